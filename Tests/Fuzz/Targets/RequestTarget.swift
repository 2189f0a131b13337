import GatewayBytes
import GatewayHTTP

/// The bytes of a request. Two readers that see them in different pieces must not disagree, and what is accepted must
/// leave no second reading (RFC 9112 §11.2).
enum RequestTarget {
    enum Outcome: Equatable {
        case head(HeadView)
        case incomplete
        case refused(RequestError)
    }

    /// Everything a head says, as values.
    struct HeadView: Equatable {
        let method: Method
        let form: TargetForm
        let minorVersion: UInt8
        let flags: [Bool]
        let framing: BodyFraming
        let length: Int
        let ranges: [ByteRange]
        let query: ByteRange?
        let fields: [FieldRange]

        init(_ head: RequestHead) {
            method = head.method
            form = head.form
            minorVersion = head.minorVersion
            flags = [head.pathIsPlain, head.keepAlive, head.expectsContinue, head.upgradesToWebSocket]
            framing = head.framing
            length = head.length
            ranges = [head.methodRange, head.targetRange, head.pathRange, head.authorityRange]
            query = head.queryRange
            fields = Array(head.fields)
        }
    }

    static let small = HeadLimits(
        requestLine: .bytes(48), head: .bytes(192), fieldLine: .bytes(64), fieldCount: 5)

    static func run(_ input: [UInt8]) {
        _ = read(input, upTo: [input.count], limits: HeadLimits())
        // Why an end: a line without one may be refused later in pieces than as a whole.
        let bytes = input + Array("\r\n\r\n".utf8)
        for limits in [HeadLimits(), small] {
            let whole = read(bytes, upTo: [bytes.count], limits: limits)
            for ends in Pieces.ways(to: bytes) {
                let pieces = read(bytes, upTo: ends, limits: limits)
                require(pieces == whole, "in pieces up to \(ends): \(pieces), as a whole: \(whole)")
            }
            guard case .head(let view) = whole else { continue }
            require(view.length <= limits.head.bytes, "a head of \(view.length) bytes")
            let alone = read(Array(bytes[..<view.length]), upTo: [view.length], limits: limits)
            require(alone == whole, "what follows a head changes it: \(whole), alone: \(alone)")
        }
        checkAccepted(bytes)
    }

    static func read(_ bytes: [UInt8], upTo ends: [Int], limits: HeadLimits) -> Outcome {
        var parser = RequestParser(limits: limits)
        // A head that has been used before: nothing of that request may shine through.
        var head = used
        do throws(RequestError) {
            for end in ends {
                let prefix = Array(bytes[..<end])
                if try parser.parse(prefix.span, into: &head) { return .head(HeadView(head)) }
            }
            return .incomplete
        } catch {
            return .refused(error)
        }
    }

    private static let used: RequestHead = {
        let request =
            "GET http://a.example/%61?q HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade, close\r\n"
            + "Upgrade: websocket\r\nExpect: 100-continue\r\nContent-Length: 7\r\nX-Unknown: b\r\n\r\n"
        var parser = RequestParser()
        var head = RequestHead()
        let isRead = (try? parser.parse(Array(request.utf8).span, into: &head)) == true
        require(isRead, "a plain request is refused")
        return head
    }()

    private static func checkAccepted(_ bytes: [UInt8]) {
        var parser = RequestParser()
        var head = RequestHead()
        guard (try? parser.parse(bytes.span, into: &head)) == true else { return }
        let view = HeadView(head)
        require(head.length <= bytes.count, "a head longer than its bytes")
        Fields.check(head.fields, in: bytes, headLength: head.length)
        for range in view.ranges + [view.query].compactMap(\.self) {
            require(range.range.upperBound <= head.length, "a range outside the head")
            require(bytes[range.range].allSatisfy { $0 > 0x20 && $0 != 0x7F }, "a control byte in the request line")
        }
        checkFraming(head, bytes)
        checkPath(head, bytes)
    }

    /// Counts fields by their text, without the parser's own index.
    private static func checkFraming(_ head: RequestHead, _ bytes: [UInt8]) {
        let lengths = Fields.values(of: "content-length", head.fields, bytes)
        let codings = Fields.values(of: "transfer-encoding", head.fields, bytes)
        let hosts = Fields.values(of: "host", head.fields, bytes)
        require(lengths.count + codings.count <= 1, "two framings")
        require(hosts.count == 1 || hosts.isEmpty && head.minorVersion == 0, "\(hosts.count) hosts")
        switch head.framing {
        case .none: require(lengths.isEmpty && codings.isEmpty, "no body, but framing fields")
        case .chunked: require(codings.count == 1 && head.minorVersion == 1, "chunked without its field")
        case .length(let count): require(lengths == [String(count)], "a length that is not the field's")
        }
        if let host = hosts.first, head.form == .absolute || head.form == .authority {
            let authority = String(decoding: bytes[head.authorityRange.range], as: UTF8.self)
            require(authority.lowercased() == host.lowercased(), "host \(host), target \(authority)")
        }
        require(!head.upgradesToWebSocket || head.method == .get, "an upgrade that is no GET")
    }

    /// A plain path is compared byte by byte, so it must be its own normal form; a normal form is final.
    private static func checkPath(_ head: RequestHead, _ bytes: [UInt8]) {
        let path = unsafe bytes.withUnsafeBytes { raw in unsafe [UInt8](head.path(in: raw)) }
        guard head.form != .authority, head.form != .asterisk else { return }
        require(path.first == UInt8(ascii: "/"), "a path without a slash")
        let normal = normalise(path)
        require(!head.pathIsPlain || normal == path, "a plain path that changes: \(path.shown)")
        guard let normal else { return }
        require(normalise(normal) == normal, "not final: \(path.shown), \(normal.shown)")
        require(normal.count <= path.count, "a longer normal form")
    }

    private static func normalise(_ path: [UInt8]) -> [UInt8]? {
        unsafe path.withUnsafeBytes { raw in try? unsafe PathNormaliser.normalise(raw) }
    }
}

/// What holds for the fields of every accepted head.
enum Fields {
    static func check(_ fields: FieldTable, in bytes: [UInt8], headLength: Int) {
        var end = 0
        for field in fields {
            require(field.name.lowerBound >= end && !field.name.isEmpty, "names overlap or are empty")
            require(field.value.lowerBound > field.name.upperBound, "a value before its name")
            end = field.value.upperBound
            require(end <= headLength - 4, "a value outside the head")
            let name = bytes[field.name.range]
            require(name.allSatisfy(isToken), "a name that is no token")
            let value = bytes[field.value.range]
            require(value.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }, "a control byte in a value")
            require(value.first != 0x20 && value.first != 0x09, "a value starts with a blank")
            require(value.last != 0x20 && value.last != 0x09, "a value ends in a blank")
        }
        checkLines(Array(bytes[..<headLength]))
    }

    /// Every line of a head ends in CR LF, and neither stands alone.
    private static func checkLines(_ head: [UInt8]) {
        require(head.suffix(4) == [0x0D, 0x0A, 0x0D, 0x0A], "a head without its empty line")
        for (place, byte) in head.enumerated() {
            if byte == 0x0D { require(place + 1 < head.count && head[place + 1] == 0x0A, "a bare CR at \(place)") }
            if byte == 0x0A { require(place > 0 && head[place - 1] == 0x0D, "a bare LF at \(place)") }
            require(byte != 0, "a NUL at \(place)")
        }
    }

    static func values(of name: String, _ fields: FieldTable, _ bytes: [UInt8]) -> [String] {
        fields.filter { String(decoding: bytes[$0.name.range], as: UTF8.self).lowercased() == name }
            .map { String(decoding: bytes[$0.value.range], as: UTF8.self) }
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}
