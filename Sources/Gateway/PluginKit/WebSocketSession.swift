package import GatewayWebSocket

/// A WebSocket as a sequence of messages, for handlers that suspend.
///
/// At most ``limit`` messages wait; then the peer is slowed down until the session has caught up. When the socket closes
/// the session's task is cancelled; messages that arrived before can still be read.
package final class WebSocketSession {
    /// One whole message, copied out of the loop's buffer.
    package struct Message: Sendable {
        /// Text or binary, as the peer declared it.
        package let kind: WebSocketMessage.Kind
        /// The payload, decompressed.
        package let bytes: [UInt8]

        /// The payload as text; valid UTF-8 was checked already for text messages.
        package var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    /// The socket itself, for what a session has no function for.
    package let socket: any WebSocket
    /// Most messages that wait for the session to read them.
    package static let limit = 16

    private var waiting: [Message] = []
    private var first = 0
    private var reader: Waiter?
    private var senders: [Waiter] = []
    private var isClosed = false
    private var isPaused = false

    init(socket: any WebSocket) { self.socket = socket }

    /// The next message; `nil` once the socket has closed and all were read.
    package func next() async -> Message? {
        while first == waiting.count {
            if isClosed { return nil }
            if isPaused {
                isPaused = false
                socket.resume()
                continue
            }
            precondition(reader == nil, "two tasks read one WebSocket session")
            // A caller that has lost its isolation is suspended on the way here: look again before nobody wakes it.
            await suspend { waiter in
                if isClosed || first < waiting.count { waiter.resume() } else { reader = waiter }
            }
        }
        let message = waiting[first]
        first += 1
        if first == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            first = 0
        } else if first >= Self.limit {
            // A reader that is always a message behind must not keep all that it has read.
            waiting.removeFirst(first)
            first = 0
        }
        return message
    }

    /// Sends and waits while the peer is slow. Several tasks may send.
    ///
    /// - Throws: `CancellationError` once the socket has closed.
    package func send(_ text: String) async throws {
        try await room()
        socket.send(text: text)
    }

    /// Sends bytes and waits while the peer is slow. Several tasks may send.
    ///
    /// - Throws: `CancellationError` once the socket has closed.
    package func send(_ bytes: [UInt8]) async throws {
        try await room()
        socket.send(binary: bytes)
    }

    private func room() async throws {
        while !isClosed, socket.unsentBytes > 0 {
            await suspend { waiter in
                if isClosed || socket.unsentBytes == 0 { waiter.resume() } else { senders.append(waiter) }
            }
        }
        if isClosed { throw CancellationError() }
    }

    func received(_ message: WebSocketMessage) {
        waiting.append(Message(kind: message.kind, bytes: message.bytes))
        if waiting.count - first >= Self.limit, !isPaused {
            isPaused = true
            socket.pause()
        }
        reader.wake()
    }

    func drained() {
        let waiting = senders
        senders = []
        for sender in waiting { sender.resume() }
    }

    func closed() {
        isClosed = true
        reader.wake()
        drained()
    }
}

/// A function over a ``WebSocketSession`` as the handler of one socket.
///
/// `Registrar.webSocket(_:access:at:options:session:)` makes one where the function needs the socket only. Return one from
/// the other form where it needs something of the request as well, such as a capture, or where the request may be refused.
package final class SessionHandler: WebSocketHandler {
    private let run: @Sendable (WebSocketSession) async throws -> Void
    private var session: WebSocketSession?
    private var task: Task<Void, Never>?

    /// - Parameter run: Called in a task of its own on the socket's loop, once the socket is open. The socket closes when
    ///   it ends: with 1000 when it returns, 1001 when it throws `CancellationError`, 1011 on any other error.
    package init(run: @escaping @Sendable (WebSocketSession) async throws -> Void) { self.run = run }

    /// Starts the function.
    package func opened(_ socket: any WebSocket) {
        let session = WebSocketSession(socket: socket)
        self.session = session
        let run = run
        task = socket.loop.launch {
            do {
                try await run(session)
                socket.close(.normal, reason: "")
            } catch is CancellationError {
                socket.close(.goingAway, reason: "")
            } catch {
                socket.close(.internalError, reason: "")
            }
        }
    }

    /// Queues the message for the function.
    package func received(_ message: WebSocketMessage, on socket: any WebSocket) { session?.received(message) }
    /// Lets senders go on.
    package func drained(_ socket: any WebSocket) { session?.drained() }

    /// Cancels the function.
    package func closed(_ socket: any WebSocket, code: CloseCode, reason: String) {
        session?.closed()
        session = nil
        // What it waits for beside the socket has lost its purpose.
        task?.cancel()
        task = nil
    }
}
