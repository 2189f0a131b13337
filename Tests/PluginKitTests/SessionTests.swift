import GatewayAuth
import GatewayRuntime
import GatewayTelemetry
import GatewayWebSocket
import Testing

@testable import PluginKit

/// A socket without a connection.
private final class Socket: WebSocket {
    let loop: EventLoop
    var principal: Principal? { nil }
    let requestID = RequestID(high: 0, low: 0)
    var subprotocol: String? { nil }
    var unsentBytes = 0
    var roundTripNanoseconds: UInt64? { nil }
    var sent: [String] = []
    var isPaused = false
    var code: CloseCode?

    init(_ loop: EventLoop) { self.loop = loop }

    func send(_ kind: WebSocketMessage.Kind, _ payload: UnsafeRawBufferPointer) -> Bool {
        sent.append(unsafe String(decoding: payload, as: UTF8.self))
        return true
    }

    func send(_ message: PreparedMessage) -> Bool {
        sent.append("\(message.count) bytes")
        return true
    }

    func pong() {}
    func close(_ code: CloseCode, reason: String) { self.code = code }
    func pause() { isPaused = true }
    func resume() { isPaused = false }
}

@Suite("Sessions", .serialized)
struct SessionTests {
    /// Runs `body` on a loop of its own and waits until `finish` was called.
    private func onLoop(_ body: @escaping @Sendable (EventLoop, @escaping @Sendable () -> Void) -> Void) throws {
        let loop = try EventLoop(index: 0, workers: WorkerPool(threads: 1))
        let done = Signal()
        Threads.start("test") { loop.run() }
        loop.submit { body(loop) { done.raise() } }
        #expect(done.wait(atMost: .seconds(20)))
        loop.stop()
    }

    private static func receive(_ text: String, in session: WebSocketSession) {
        var text = text
        text.withUTF8 { bytes in
            unsafe session.received(WebSocketMessage(kind: .text, borrowing: UnsafeRawBufferPointer(bytes)))
        }
    }

    @Test("messages are read in order; the peer is slowed down at the limit and read on when they are gone")
    func messages() throws {
        try onLoop { loop, finish in
            let socket = Socket(loop)
            let session = WebSocketSession(socket: socket)
            for number in 0..<WebSocketSession.limit { Self.receive("\(number)", in: session) }
            #expect(socket.isPaused)
            loop.launch {
                for number in 0..<WebSocketSession.limit { #expect(await session.next()?.text == "\(number)") }
                #expect(socket.isPaused)
                loop.launch {
                    #expect(!socket.isPaused)
                    Self.receive("more", in: session)
                    session.closed()
                }
                #expect(await session.next()?.text == "more")
                #expect(await session.next() == nil)
                finish()
            }
        }
    }

    @Test("several tasks wait for a slow peer, and all go on")
    func senders() throws {
        try onLoop { loop, finish in
            let socket = Socket(loop)
            socket.unsentBytes = 1
            let session = WebSocketSession(socket: socket)
            let group = Ended(3, finish)
            for number in 0..<3 {
                loop.launch {
                    try? await session.send("\(number)")
                    group.endOne()
                }
            }
            loop.launch {
                await loop.nextTurn()
                #expect(socket.sent.isEmpty)
                socket.unsentBytes = 0
                session.drained()
                await loop.nextTurn()
                #expect(socket.sent.sorted() == ["0", "1", "2"])
            }
        }
    }

    @Test("senders and readers end when the socket closes")
    func closing() throws {
        try onLoop { loop, finish in
            let socket = Socket(loop)
            socket.unsentBytes = 1
            let session = WebSocketSession(socket: socket)
            let group = Ended(3, finish)
            for _ in 0..<2 {
                loop.launch {
                    await #expect(throws: CancellationError.self) { try await session.send("x") }
                    group.endOne()
                }
            }
            loop.launch {
                #expect(await session.next() == nil)
                group.endOne()
            }
            loop.launch {
                await loop.nextTurn()
                session.closed()
            }
        }
    }

    /// How a session's function ends, and the code its socket closes with.
    enum Ending: CaseIterable, Sendable {
        case returns, throwsCancellation, throwsOther

        var code: CloseCode {
            switch self {
            case .returns: .normal
            case .throwsCancellation: .goingAway
            case .throwsOther: .internalError
            }
        }
    }

    @Test("the function's end closes the socket", arguments: Ending.allCases)
    func end(_ ending: Ending) throws {
        struct Trouble: Error {}
        try onLoop { loop, finish in
            let socket = Socket(loop)
            let handler = SessionHandler { _ in
                switch ending {
                case .returns: return
                case .throwsCancellation: throw CancellationError()
                case .throwsOther: throw Trouble()
                }
            }
            handler.opened(socket)
            loop.launch {
                await loop.nextTurn()
                #expect(socket.code == ending.code)
                finish()
            }
        }
    }

    @Test("the function is cancelled when the socket closes")
    func cancelled() throws {
        try onLoop { loop, finish in
            let socket = Socket(loop)
            let handler = SessionHandler { session in
                await #expect(throws: CancellationError.self) { try await session.socket.loop.sleep(.seconds(3600)) }
                finish()
            }
            handler.opened(socket)
            loop.launch {
                await loop.nextTurn()
                handler.closed(socket, code: .goingAway, reason: "")
            }
        }
    }
}

/// Calls `finish` after so many ends. Touched on one loop.
private final class Ended {
    private var left: Int
    private let finish: () -> Void

    init(_ count: Int, _ finish: @escaping () -> Void) {
        left = count
        self.finish = finish
    }

    func endOne() {
        left -= 1
        if left == 0 { finish() }
    }
}
