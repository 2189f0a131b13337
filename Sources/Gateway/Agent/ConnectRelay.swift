import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayTunnel
import GatewayUpstream
import GatewayWebSocket

/// `gateway connect`.
package enum ConnectProcess {
    /// Blocks until both directions have ended.
    ///
    /// - Returns: What went wrong; `nil` when all bytes have passed.
    package static func run(_ options: ConnectOptions) -> Ending? {
        let outcome: Ending?? = CommandLoop.run { loop in
            await ConnectRelay.run(options, on: loop, input: 0, output: 1)
        }
        return outcome ?? Ending("no event loop can be started", Ending.broken)
    }
}

/// Standard input and output, joined with a port at an agent.
///
/// Neither side is read while the other takes nothing, and each direction ends by itself.
final class ConnectRelay {
    /// The protocol of the bytes' WebSocket.
    static let subprotocol = "tunnel.bytes.v1"
    /// Unsent bytes on one side above which the other is not read.
    private static let backlog = 256 << 10
    /// How long the agent may take to connect to its port, the way there included.
    private static let openTime = Duration.seconds(30)

    private let loop: EventLoop
    private let target: String
    private var socket: UpstreamWebSocket?
    private var input: StandardInput?
    private var output: StandardOutput?
    private let opened = LoopWait()
    private let over = LoopWait()
    private var isSocketOver = false
    private var isOpen = false
    private var hasInputEnded = false
    private var hasOutputEnded = false
    private var ending: Ending?

    private init(_ options: ConnectOptions, on loop: EventLoop) {
        self.loop = loop
        target = "\(options.agent):\(options.port)"
    }

    static func run(_ options: ConnectOptions, on loop: EventLoop, input: Int32, output: Int32) async -> Ending? {
        let relay = ConnectRelay(options, on: loop)
        defer { relay.end() }
        do throws(Ending) {
            let socket = try await open(options, on: loop)
            try await relay.begin(socket, input, output)
            return await relay.finish()
        } catch {
            return error
        }
    }

    /// Pings keep the way open, and are answered late where the agent's side takes nothing: then the gateway does not
    /// read this socket either. A gateway that is gone is known after five minutes, or by TCP.
    private static let sockets = UpstreamSocketSettings(
        limits: MessageLimits(frame: .mebibytes(1)),
        heartbeat: HeartbeatPolicy(interval: .seconds(20), patience: .seconds(30), allowedMisses: 10),
        closeTimeout: .seconds(2), stallTimeout: .seconds(86_400))

    private static func open(_ options: ConnectOptions, on loop: EventLoop) async throws(Ending) -> UpstreamWebSocket {
        let source = options.connection.credentials
        let credential: Credential
        do {
            credential = try await loop.offload("credential") { try source.read() }
        } catch {
            throw Ending((error as? CredentialError)?.message ?? "\(error)", Ending.configuration)
        }
        let client = try Clients.forGateway(options.connection, sockets: sockets)
        let path = "/api/tunnel/connect/\(options.agent)/\(options.port)"
        do {
            let request = options.connection.request(.get, path, as: credential)
            switch try await client.openWebSocket(request, subprotocols: [subprotocol], offersCompression: false) {
            case .opened(let socket): return socket
            case .refused(let answer):
                let body = (try? await answer.body.collect(limit: 8 << 10)) ?? []
                throw refusal(status: answer.status.code, body)
            }
        } catch let ending as Ending {
            throw ending
        } catch {
            throw Ending("the gateway cannot be reached: \(error)", Ending.unavailable)
        }
    }

    private static func refusal(status: Int, _ body: [UInt8]) -> Ending {
        let reason = Refusal.reason(status: status, body: body)
        switch status {
        case 401, 403: return Ending("the gateway does not let this token connect: \(reason)", Ending.notPermitted)
        default: return Ending("the gateway does not connect: \(reason)", Ending.unavailable)
        }
    }

    /// Returns once the connection stands at the agent.
    private func begin(_ socket: UpstreamWebSocket, _ input: Int32, _ output: Int32) async throws(Ending) {
        self.socket = socket
        do throws(SystemError) {
            self.input = try StandardInput(self, descriptor: input, on: loop)
            self.output = try StandardOutput(self, descriptor: output, on: loop)
        } catch {
            throw Ending("standard input or output cannot be used: \(error.reason)", Ending.broken)
        }
        guard socket.subprotocol == Self.subprotocol else {
            throw Ending("this gateway does not speak \(Self.subprotocol)", Ending.protocolError)
        }
        socket.start(self)
        let outcome = await opened.run(on: loop, until: loop.now + Self.openTime)
        if let ending { throw ending }
        guard outcome == .woken, isOpen else {
            throw Ending("\(target) did not answer in time", Ending.unavailable)
        }
        self.input?.resume()
    }

    /// The gateway closes the socket once both directions have ended and the agent has everything. To close it first could
    /// cost what is still on its way, so there is no limit but that of a dead connection.
    private func finish() async -> Ending? {
        _ = await over.run(on: loop)
        return ending
    }

    /// Leaves everything as it was found.
    private func end() {
        socket?.close(.normal)
        output?.letGo()
        input?.letGo()
    }

    private func fail(_ message: String, _ code: Int32) {
        if ending == nil { ending = Ending(message, code) }
        opened.wake()
        // What came before the end is written all the same.
        if isSocketOver { checkOver() } else { over.wake() }
    }

    /// Over is over once everything that came has been written, too.
    private func checkOver() {
        if isSocketOver, (output?.unsent ?? 0) == 0 { over.wake() }
    }
}

extension ConnectRelay: StandardInputHandler, StandardOutputHandler {
    func inputReadable() {
        guard let socket, let input, !hasInputEnded, socket.unsentBytes <= Self.backlog else {
            self.input?.pause()
            return
        }
        switch input.read() {
        case .bytes(let count):
            unsafe socket.send(.binary, UnsafeRawBufferPointer(rebasing: loop.receiveBuffer[..<count]))
        case .wouldBlock: return
        case .end, .failed:
            hasInputEnded = true
            input.pause()
            let end = Array("{\"type\":\"end\"}".utf8)
            unsafe end.withUnsafeBytes { unsafe socket.send(.text, $0) }
        }
    }

    func outputDrained() {
        socket?.resume()
        checkOver()
    }

    /// Whoever started this has gone, or wants no more: ssh closes both its ends, and which of them is noticed first is
    /// chance. As with SIGPIPE there is nothing to say, and nobody to say it to.
    func outputBroke() { over.wake() }
}

extension ConnectRelay: UpstreamWebSocketHandler {
    func upstreamSaid(_ kind: MessageKind, _ payload: UnsafeRawBufferPointer) {
        guard let output else { return }
        guard kind == .binary else { return control(unsafe Array(payload)) }
        guard isOpen, !hasOutputEnded else {
            return fail("the gateway sent bytes where none may be", Ending.protocolError)
        }
        unsafe output.write(payload)
        if output.unsent > Self.backlog { socket?.pause() }
    }

    private func control(_ text: [UInt8]) {
        switch (try? JSON.parse(text))?["type"]?.string {
        case "open":
            isOpen = true
            opened.wake()
        case "end":
            hasOutputEnded = true
            output?.finish()
        // Of a later version.
        default: break
        }
    }

    func upstreamDrained() {
        if !hasInputEnded, isOpen { input?.resume() }
    }

    func upstreamEnded(_ code: CloseCode, reason: String) {
        isSocketOver = true
        input?.pause()
        if !isWhole(code) { explain(code, reason.isEmpty ? "" : ": \(reason)") }
        checkOver()
    }

    /// Whether nothing is missing. That this direction has ended here says nothing of what is still on its way; the gateway
    /// closes with 1000 once the agent has everything, or its port wants no more.
    private func isWhole(_ code: CloseCode) -> Bool { hasOutputEnded && code == .normal }

    private func explain(_ code: CloseCode, _ said: String) {
        switch code.rawValue {
        case 4401: fail("the token has ended", Ending.notPermitted)
        case 4403: fail("\(target) is not offered, or not to this user\(said)", Ending.notPermitted)
        case 4404 where !isOpen: fail("there is no agent that would be \(target)\(said)", Ending.unavailable)
        case 4502 where !isOpen: fail("\(target) cannot be reached by its agent\(said)", Ending.unavailable)
        case 1013 where !isOpen: fail("\(target) cannot serve more now\(said)", Ending.unavailable)
        case 1006: fail("the connection to the gateway broke", Ending.broken)
        default: fail("the gateway ended the connection with \(code)\(said)", Ending.broken)
        }
    }
}
