import PluginKit

/// Sends a request's body to an agent in a task of its own, so that an answer may begin before the body is complete, and
/// so that a server which takes no more of it does not keep the consumer longer than one which takes all and says nothing.
///
/// Confined to the consumer's loop.
final class Upload {
    /// The next piece of a body; `nil` at its end.
    typealias Source = () async throws -> [UInt8]?

    private let loop: EventLoop
    private let exchange: Exchange
    private var task: Task<Void, Never>?
    /// What is wrong with the body, if anything is; known before the exchange fails for it.
    private(set) var fault: GatewayFault?
    private var isReading = false
    /// When the body was last read, or found to be over.
    private var lastRead: MonotonicTime

    /// Begins it.
    init(_ source: @escaping Source, to exchange: Exchange, on loop: EventLoop) {
        self.loop = loop
        self.exchange = exchange
        lastRead = loop.now
        task = loop.launch { await self.send(source) }
    }

    func cancel() { task?.cancel() }

    /// When an answer is due that may take `patience` from the end of the body, or from when the agent last took a part of
    /// it; `nil` when that is over. While it is the consumer that is waited for, it is not.
    func due(within patience: Duration) -> MonotonicTime? {
        let due = (isReading ? loop.now : max(lastRead, exchange.lastTaken)) + patience
        return due > loop.now ? due : nil
    }

    private func read(_ source: Source) async throws -> [UInt8]? {
        isReading = true
        defer {
            isReading = false
            lastRead = loop.now
        }
        return try await source()
    }

    private func send(_ source: Source) async {
        do {
            while let piece = try await read(source) { try await exchange.write(piece) }
            try await exchange.finishWriting()
        } catch let fault as GatewayFault {
            self.fault = fault
            exchange.cancel()
        } catch {
            // The stream is over, or the consumer has left: whoever reads the answer finds out.
        }
    }
}
