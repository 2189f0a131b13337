/// Where the server is.
struct Target {
    var address = "127.0.0.1"
    var port: UInt16 = 0
}

/// What one run does, as its command line says.
struct Plan {
    enum Mode: String, CaseIterable {
        case http
        case webSocketEcho = "ws-echo"
        case webSocketIdle = "ws-idle"
        case handshake = "tls-handshake"
    }

    var mode = Mode.http
    var target = Target()
    var host: String?
    var path = "/"
    var token: String?
    var connections: Int?
    var seconds = 3.0
    var operations = Int.max
    var warmUp = 0.0
    var waits = false

    var method = "GET"
    var headers: [String] = []
    var expectedText: String?
    var expectedFile: String?
    var expectedLength = 0

    var size = 20
    var payload = Payload.binary
    var deflate = false

    var certificate: String?
    var resumes = false

    init(arguments: [String]) throws(Fault) {
        guard let name = arguments.first, let mode = Mode(rawValue: name) else {
            throw Fault("the first argument is one of \(Mode.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        self.mode = mode
        var rest = arguments.dropFirst()
        while let name = rest.popFirst() {
            guard let option = Option.all.first(where: { $0.name == name }) else {
                throw Fault("there is no option \(name)")
            }
            if option.value == nil {
                try option.apply(&self, "")
            } else {
                guard let value = rest.popFirst() else { throw Fault("\(name) needs a value") }
                try option.apply(&self, value)
            }
        }
        guard target.port != 0 else { throw Fault("--port is missing") }
        guard mode != .handshake || certificate != nil else { throw Fault("tls-handshake needs --tls") }
        guard (expectedFile != nil) == (expectedLength > 0), expectedFile == nil || expectedText == nil else {
            throw Fault("--expect-file and --expect-length come together, and without --expect")
        }
    }

    var hostField: String { host ?? "\(target.address):\(target.port)" }
    var socketCount: Int { connections ?? (mode == .webSocketIdle ? 10_000 : 64) }
}

/// One option: its line of help and what it does are in one place.
private struct Option: Sendable {
    let name: String
    let value: String?
    let help: String
    let apply: @Sendable (inout Plan, String) throws(Fault) -> Void

    init(
        _ name: String, _ value: String?, _ help: String,
        _ apply: @escaping @Sendable (inout Plan, String) throws(Fault) -> Void
    ) {
        self.name = name
        self.value = value
        self.help = help
        self.apply = apply
    }

    static let all: [Option] = common + http + webSocket + tls

    private static let common: [Option] = [
        Option("--port", "N", "port of the server; required") { (plan, text) throws(Fault) in
            plan.target.port = UInt16(try number(text, 1...65_535))
        },
        Option("--address", "A", "IPv4 address of the server (127.0.0.1)") { (plan, text) in
            plan.target.address = text
        },
        Option("--host", "H", "Host field (address:port)") { (plan, text) in plan.host = text },
        Option("--path", "P", "path of the request (/)") { (plan, text) in plan.path = text },
        Option("--connections", "N", "sockets (64; ws-idle 10000)") { (plan, text) throws(Fault) in
            plan.connections = try number(text, 1...1_000_000)
        },
        Option("--seconds", "S", "stop asking after this time (3)") { (plan, text) throws(Fault) in
            plan.seconds = try seconds(text)
        },
        Option("--operations", "N", "stop asking after this many (no limit)") { (plan, text) throws(Fault) in
            plan.operations = try number(text, 1...Int.max)
        },
        Option("--warmup", "S", "the same before, not counted (0)") { (plan, text) throws(Fault) in
            plan.warmUp = try seconds(text)
        },
        Option("--wait", nil, "say when ready, start at a line on standard input, hold until it ends") { (plan, _) in
            plan.waits = true
        },
    ]

    private static let http: [Option] = [
        Option("--method", "M", "http: method (GET)") { (plan, text) in plan.method = text },
        Option("--header", "'N: V'", "http: one more field; repeatable") { (plan, text) in plan.headers.append(text) },
        Option("--expect", "TEXT", "http: what each body must be (anything)") { (plan, text) in
            plan.expectedText = text
        },
        Option("--expect-file", "F", "http: each body must be this file's bytes, over and over,") { (plan, text) in
            plan.expectedFile = text
        },
        Option("--expect-length", "N", "http: up to this length") { (plan, text) throws(Fault) in
            plan.expectedLength = try number(text, 1...(1 << 40))
        },
    ]

    private static let webSocket: [Option] = [
        Option("--token", "JWT", "ws: added to the path as ?token=") { (plan, text) in plan.token = text },
        Option("--size", "N", "ws-echo: bytes of a message (20)") { (plan, text) throws(Fault) in
            plan.size = try number(text, 1...16 * 1024 * 1024)
        },
        Option("--payload", "KIND", "ws-echo: binary, text or json (binary)") { (plan, text) throws(Fault) in
            switch text {
            case "binary": plan.payload = .binary
            case "text": plan.payload = .text
            case "json": plan.payload = .json
            default: throw Fault("--payload is binary, text or json")
            }
        },
        Option("--deflate", nil, "ws-echo: permessage-deflate without takeover, both ways") { (plan, _) in
            plan.deflate = true
        },
    ]

    private static let tls: [Option] = [
        Option("--tls", "PEM", "TLS 1.3 to the server, which must show this certificate") { (plan, text) in
            plan.certificate = text
        },
        Option("--resume", nil, "tls-handshake: each must resume the one before it, instead of none") { (plan, _) in
            plan.resumes = true
        },
    ]

    private static func number(_ text: String, _ range: ClosedRange<Int>) throws(Fault) -> Int {
        guard let value = Int(text), range.contains(value) else {
            throw Fault("\(text) is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func seconds(_ text: String) throws(Fault) -> Double {
        guard let value = Double(text), (0...86_400).contains(value) else {
            throw Fault("\(text) is not a number of seconds from 0 to 86400")
        }
        return value
    }
}

extension Plan {
    static var help: String {
        let options = Option.all.map { option in
            let usage = "  \(option.name) \(option.value ?? "")"
            return usage + String(repeating: " ", count: max(1, 24 - usage.count)) + option.help
        }
        return """
            benchload MODE --port N [options]

            http           keep-alive requests, closed loop
            ws-echo        messages that must come back, closed loop
            ws-idle        opens sockets and holds them until standard input ends
            tls-handshake  a new connection each time, full or resumed, closed loop

            TLS is always 1.3 with \(TLSClient.suite) and \(TLSClient.group).

            \(options.joined(separator: "\n"))

            Prints one line of JSON for each event. Exits 1 when a reply was wrong or missing, 2 when it could not run.
            """
    }
}
