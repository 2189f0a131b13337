import GatewayBytes
import GatewayHTTP

extension TunnelMessage {
    private static let limits = JSONLimits(size: .bytes(TunnelProtocol.messageSize), depth: 6, values: 20_000)

    /// Reads a text message.
    ///
    /// - Throws: For what no agent or gateway may send: no JSON object with a `type`, or a known type whose members are
    ///   missing, of another kind or out of range. A message of an unknown type is ``other``.
    package init(_ text: [UInt8]) throws(TunnelViolation) {
        let json: JSON
        do throws(JSONError) {
            json = try JSON.parse(text, limits: Self.limits)
        } catch {
            throw TunnelViolation("a text message is not the JSON it should be")
        }
        guard let type = json["type"]?.string else { throw TunnelViolation("a message has no type") }
        let members = Members(json, of: type)
        switch type {
        case "hello": self = .hello(try TunnelHello(members))
        case "welcome": self = .welcome(try TunnelWelcome(members))
        case "resumed": self = .resumed(try members.positions())
        case "open": self = try Self.open(members)
        case "head": self = try Self.head(members)
        case "window":
            self = .window(
                try members.stream(), consumed: try members.offset("consumed"), ended: try members.flag("end"))
        case "reset": self = try Self.reset(members)
        case "drain": self = .drain
        default: self = .other(type: type, json)
        }
    }

    private static func open(_ members: Members) throws(TunnelViolation) -> TunnelMessage {
        let stream = try members.stream()
        switch try members.text("kind") {
        case "tcp": return .open(stream, .tcp(port: try members.integer("port", in: 1...65535)), ends: false)
        case "http":
            let target = try members.text("target")
            guard target.utf8.first == UInt8(ascii: "/"), isVisible(target) else { throw members.wrong("target") }
            let method = try members.text("method")
            guard isToken(method) else { throw members.wrong("method") }
            let request = StreamHTTPRequest(
                method: method, target: target, fields: try members.fields(), length: try members.length())
            return .open(stream, .http(request), ends: try members.flag("end"))
        default: throw members.wrong("kind")
        }
    }

    private static func head(_ members: Members) throws(TunnelViolation) -> TunnelMessage {
        guard let status = Status(code: try members.integer("status", in: 200...599)) else {
            throw members.wrong("status")
        }
        let answer = StreamAnswer(status: status, fields: try members.fields(), length: try members.length())
        return .head(try members.stream(), answer)
    }

    private static func reset(_ members: Members) throws(TunnelViolation) -> TunnelMessage {
        // A reason of a later version still ends the stream.
        let reason = TunnelReset(rawValue: try members.text("code")) ?? .broken
        return .reset(try members.stream(), reason, TunnelProtocol.shortened(members.json["message"]?.string ?? ""))
    }

    /// Whether every byte may stand in a request line: a space or line break would begin another part of it.
    private static func isVisible(_ text: String) -> Bool {
        text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 32
            && text.utf8.allSatisfy { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) || $0 == UInt8(ascii: "-") }
    }
}

extension TunnelHello {
    fileprivate init(_ members: Members) throws(TunnelViolation) {
        try members.checkVersion()
        let name = try members.text("name")
        guard TunnelProtocol.isAgentName(name) else { throw members.wrong("name") }
        self.init(
            name: name, software: TunnelProtocol.shortened(members.json["software"]?.string ?? ""),
            offersHTTP: try members.flag("http"), ports: try members.ports())
        guard let resume = members.json["resume"] else { return }
        let inner = Members(resume, of: "hello.resume")
        resumption = Resumption(
            session: try inner.text("session"), secret: Secret(try inner.text("secret")),
            newest: try inner.integer("newest", in: 0...Int(UInt32.max)), positions: try inner.positions())
    }
}

extension TunnelWelcome {
    fileprivate init(_ members: Members) throws(TunnelViolation) {
        try members.checkVersion()
        var terms = TunnelTerms()
        let size = 0...(1 << 30)
        terms.streamWindow = try members.integer("streamWindow", in: size)
        terms.sessionWindow = try members.integer("sessionWindow", in: size)
        terms.dataFrame = try members.integer("dataFrame", in: size)
        terms.streams = try members.integer("streams", in: size)
        terms.resumeGrace = try members.integer("resumeGrace", in: size)
        guard terms.isUsable else { throw TunnelViolation("the welcome's terms cannot be used") }
        self.init(session: try members.text("session"), secret: Secret(try members.text("secret")), terms: terms)
    }
}

/// The members of one message, read strictly.
private struct Members {
    let json: JSON
    let type: String

    init(_ json: JSON, of type: String) {
        self.json = json
        self.type = type
    }

    func wrong(_ name: String) -> TunnelViolation { TunnelViolation("\(type): \(name) is missing or cannot be used") }

    func checkVersion() throws(TunnelViolation) {
        guard json["version"]?.number?.int == TunnelProtocol.version else {
            throw TunnelViolation("\(type): this end speaks version \(TunnelProtocol.version) of the protocol")
        }
    }

    func text(_ name: String) throws(TunnelViolation) -> String {
        guard let text = json[name]?.string, !text.isEmpty else { throw wrong(name) }
        return text
    }

    /// Absent is `false`.
    func flag(_ name: String) throws(TunnelViolation) -> Bool {
        guard let value = json[name] else { return false }
        guard let flag = value.bool else { throw wrong(name) }
        return flag
    }

    func integer<I: FixedWidthInteger>(_ name: String, in range: ClosedRange<Int>) throws(TunnelViolation) -> I {
        guard let number = json[name]?.number?.int, range.contains(number), let result = I(exactly: number) else {
            throw wrong(name)
        }
        return result
    }

    func stream() throws(TunnelViolation) -> UInt32 { try integer("stream", in: 1...Int(UInt32.max)) }

    func offset(_ name: String) throws(TunnelViolation) -> UInt64 { try integer(name, in: 0...Int.max) }

    func length() throws(TunnelViolation) -> UInt64? { json["length"] == nil ? nil : try offset("length") }

    func ports() throws(TunnelViolation) -> [UInt16] {
        guard let values = json["ports"] else { return [] }
        guard let array = values.array, array.count <= 64 else { throw wrong("ports") }
        var ports: [UInt16] = []
        for value in array {
            guard let port = value.number?.int.flatMap(UInt16.init(exactly:)), port != 0 else { throw wrong("ports") }
            ports.append(port)
        }
        return ports
    }

    func positions() throws(TunnelViolation) -> [StreamPosition] {
        guard let array = json["streams"]?.array else { throw wrong("streams") }
        var positions: [StreamPosition] = []
        for element in array {
            let inner = Members(element, of: "\(type).streams")
            positions.append(
                StreamPosition(
                    stream: try inner.stream(), hasHead: try inner.flag("head"),
                    received: try inner.offset("received"), ended: try inner.flag("end"),
                    consumed: try inner.offset("consumed")))
        }
        return positions
    }

    func fields() throws(TunnelViolation) -> HeaderFields {
        guard let array = json["headers"]?.array, array.count <= TunnelProtocol.fields else { throw wrong("headers") }
        var fields = HeaderFields()
        for pair in array {
            guard let pair = pair.strings, pair.count == 2, let name = HeaderName(pair[0]), !name.isHopByHop,
                (try? fields.append(name, checking: pair[1])) != nil
            else { throw wrong("headers") }
        }
        return fields
    }
}
