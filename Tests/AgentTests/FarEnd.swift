import GatewayBytes
import GatewayHTTP
import GatewayLocks
import GatewayRuntime
import GatewayTestSupport
import GatewayTunnel
import PluginKit

/// The gateway's end of the tunnel as a test wants it: real WebSockets, and what is said on them.
// Safe: `state` is locked and `id` constant; everything else is touched on the gateway's one loop.
final class FarEnd: @unchecked Sendable {
    struct State {
        /// What an agent has to show.
        var credentials: Set<String> = ["good"]
        var refusal = Status.unauthorized
        var loop: EventLoop?
        /// Paths of carriers, in order.
        var opened: [String] = []
        var hellos: [TunnelHello] = []
        /// Tokens shown in band.
        var shown: [String] = []
        var closed: [Int] = []
    }

    let id: String
    let state = Guarded(State())
    private(set) var session: TunnelSession?
    private(set) var carrier: FarCarrier?
    /// What is done with a hello; `nil` welcomes, or resumes what it knows.
    var greet: ((FarEnd, FarCarrier, TunnelHello) -> Void)?
    private var sessions = 0

    private static let all = Guarded<[String: FarEnd]>([:])
    private static let count = Guarded(0)

    init() {
        id = Self.count.withLock { count in
            count += 1
            return "far-\(count)"
        }
        Self.all.withLock { $0[id] = self }
    }

    static func find(_ id: String) -> FarEnd? { all.withLock { $0[id] } }

    /// Runs `body` on the gateway's loop and waits for what it returns. Only once an agent has connected.
    func onLoop<R: Sendable>(_ body: @escaping @Sendable (FarEnd) throws -> R) throws -> R {
        guard let loop = state.withLock({ $0.loop }) else { throw LoopThread.TimedOut() }
        let outcome = Outcome<R>()
        loop.submit { outcome.set(Result { try body(self) }) }
        return try outcome.value()
    }

    func heard(_ hello: TunnelHello, on carrier: FarCarrier) {
        state.withLock { $0.hellos.append(hello) }
        if let greet { return greet(self, carrier, hello) }
        if let resumption = hello.resumption, let session, resumption.session == "session-\(sessions)" {
            self.carrier = carrier
            carrier.session = session
            session.resume(on: carrier, positions: resumption.positions, newest: resumption.newest)
        } else {
            welcome(carrier)
        }
    }

    func welcome(_ carrier: FarCarrier, _ terms: TunnelTerms = TunnelTerms()) {
        sessions += 1
        let session = TunnelSession(role: .gateway, terms: terms)
        self.session = session
        self.carrier = carrier
        carrier.session = session
        let welcome = TunnelWelcome(session: "session-\(sessions)", secret: Secret("s"), terms: terms)
        carrier.send(text: TunnelMessage.welcome(welcome).text)
        session.attach(carrier)
    }

    /// Begins a stream and gathers what comes of it.
    func open(_ request: StreamRequest, ends: Bool = true) throws -> Consumer {
        try onLoop { far in
            let consumer = Consumer(far)
            consumer.stream = far.session?.open(request, ends: ends, handler: consumer)
            guard consumer.stream != nil else { throw LoopThread.TimedOut() }
            return consumer
        }
    }

    func ask(_ method: String, _ target: String, fields: [(String, String)] = []) throws -> Consumer {
        try open(.http(Self.request(method, target, fields: fields)))
    }

    static func request(
        _ method: String, _ target: String, fields: [(String, String)] = [], length: UInt64? = nil
    ) throws -> StreamHTTPRequest {
        var all = HeaderFields()
        for (name, value) in fields {
            if let name = HeaderName(name) { try all.append(name, checking: value) }
        }
        return StreamHTTPRequest(method: method, target: target, fields: all, length: length)
    }
}

/// One carrier at the gateway.
final class FarCarrier: WebSocketHandler, TunnelCarrier {
    private unowned let far: FarEnd
    private var socket: (any WebSocket)?
    var session: TunnelSession?

    init(_ far: FarEnd) { self.far = far }

    var unsentBytes: Int { socket?.unsentBytes ?? 0 }

    func send(text: [UInt8]) { unsafe text.withUnsafeBytes { unsafe _ = socket?.send(.text, $0) } }

    func send(binary: UnsafeRawBufferPointer) { unsafe _ = socket?.send(.binary, binary) }

    func close(_ code: UInt16) { socket?.close(CloseCode(rawValue: code), reason: "test") }

    func opened(_ socket: any WebSocket) { self.socket = socket }

    func drained(_ socket: any WebSocket) { session?.pump() }

    func received(_ message: WebSocketMessage, on socket: any WebSocket) {
        do {
            guard message.kind == .text else {
                return unsafe try message.withBytes { unsafe try session?.receive(binary: $0) }
            }
            let other: TunnelMessage?
            if let session {
                other = try session.receive(text: message.bytes)
            } else {
                other = try TunnelMessage(message.bytes)
            }
            switch other {
            case .hello(let hello)?: far.heard(hello, on: self)
            case .other("auth", let json)?:
                far.state.withLock { $0.shown.append(json["token"]?.string ?? "") }
                send(text: Array(#"{"type":"auth_renewed","expiresAt":1}"#.utf8))
            default: break
            }
        } catch {
            close(1002)
        }
    }

    func closed(_ socket: any WebSocket, code: CloseCode, reason: String) {
        far.state.withLock { $0.closed.append(Int(code.rawValue)) }
        session?.detach()
        self.socket = nil
    }
}

/// A consumer's end of a stream.
// Safe: `seen` is locked; everything else is touched on the gateway's one loop.
final class Consumer: TunnelStreamHandler, @unchecked Sendable {
    struct Seen {
        var answer: StreamAnswer?
        var bytes: [UInt8] = []
        var isInputEnded = false
        var isOver = false
        var reason: TunnelReset?
        var message = ""
    }

    private let far: FarEnd
    private let seen = Guarded(Seen())
    /// The session holds it until it has finished.
    weak var stream: TunnelStream?
    /// Whether what arrives is consumed at once.
    var consumes = true
    private var unwritten: ArraySlice<UInt8> = []
    private var endsAfter = false

    init(_ far: FarEnd) { self.far = far }

    var now: Seen { seen.withLock { $0 } }

    var text: String { String(decoding: now.bytes, as: UTF8.self) }

    func answered(_ answer: StreamAnswer) { seen.withLock { $0.answer = answer } }

    func received(_ bytes: UnsafeRawBufferPointer) {
        let copy = unsafe Array(bytes)
        seen.withLock { $0.bytes += copy }
        if consumes { stream?.consume(copy.count) }
    }

    func inputEnded() { seen.withLock { $0.isInputEnded = true } }

    func roomGrew() { flush() }

    func finished(_ reason: TunnelReset?, message: String) {
        seen.withLock {
            $0.isOver = true
            $0.reason = reason
            $0.message = message
        }
    }

    /// Sends a part of the request's body.
    func write(_ bytes: [UInt8], thenEnd: Bool = false) throws {
        try far.onLoop { _ in
            self.unwritten += bytes
            self.endsAfter = thenEnd
            self.flush()
        }
    }

    func reset() throws { try far.onLoop { _ in self.stream?.reset(.cancelled) } }

    private func flush() {
        guard let stream else { return }
        while !unwritten.isEmpty {
            let count = unsafe unwritten.withUnsafeBytes { unsafe stream.write($0) }
            guard count > 0 else { return }
            unwritten = unwritten.dropFirst(count)
        }
        if endsAfter { stream.end() }
    }
}

struct FarSettings: Settings {
    let id: String

    init(from env: inout SettingsReader) { id = env.required("ID", example: "far-1", "Which test this is.") }
}

/// The routes that agents use, answered by a ``FarEnd``.
struct FarPlugin: Plugin {
    static let name: PluginName = "far"
    static let summary = "The gateway's end of the tunnel, as a test wants it."

    private let settings: FarSettings

    init(settings: FarSettings) { self.settings = settings }

    func register(with gateway: inout Registrar) {
        guard let far = FarEnd.find(settings.id) else { return }
        var options = WebSocketOptions()
        options.subprotocols = [TunnelProtocol.subprotocol]
        options.slowConsumer = .close(limit: .max)
        for path in ["/api/tunnel/agent", "/api/tunnel/agent/enrolled"] {
            gateway.webSocket(path, access: .anyone, options: options) { request in
                try Self.check(request, far)
                far.state.withLock {
                    $0.loop = request.loop
                    $0.opened.append(path)
                }
                return FarCarrier(far)
            }
        }
        gateway.post("/api/tunnel/enrolments", access: .anyone) { request in
            try Self.check(request, far)
            let body = try await request.body.collect(limit: 4096)
            let name = (try? JSON.parse(body))?["name"]?.string ?? ""
            var json = JSONWriter()
            json.object { json in
                json.member("name", name)
                json.member("id", "e1")
                json.member("credential", "gwe_abc")
                json.member("createdAt", 1)
            }
            return .json(json.bytes, status: .created)
        }
    }

    private static func check(_ request: Request, _ far: FarEnd) throws {
        let shown = request.header(.authorization) ?? ""
        let (credentials, refusal) = far.state.withLock { ($0.credentials, $0.refusal) }
        guard credentials.contains(String(shown.dropFirst("Bearer ".count))) else {
            throw GatewayFault(refusal, "no", "This credential is not good.")
        }
    }
}
