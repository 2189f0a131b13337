import GatewayTunnel
import PluginKit

/// The session's side of an exchange, on the agent's loop: passes events over to the consumer's.
final class ExchangePort: TunnelStreamHandler {
    private var exchange: LoopBound<Exchange>?
    private var stream: TunnelStream?
    private var traffic: AgentTraffic?
    /// Written by the consumer and not yet by the stream, which waits for the session's credit. At most a stream's window.
    private var pending: [UInt8] = []
    private var endsAfterPending = false
    /// Bytes that the consumer believes to be under way.
    private var underWay = 0

    init(_ exchange: LoopBound<Exchange>) { self.exchange = exchange }

    func begin(_ stream: TunnelStream, _ traffic: AgentTraffic?) {
        self.stream = stream
        self.traffic = traffic
        traffic?.openStreams.add()
    }

    // MARK: The consumer's wishes

    func write(_ bytes: [UInt8]) {
        underWay += bytes.count
        pending += bytes
        flush()
    }

    func endOutput() {
        endsAfterPending = true
        flush()
    }

    func consume(_ count: Int) { stream?.consume(count) }

    func cancel() {
        guard let stream else { return }
        leave()
        stream.reset(.cancelled)
    }

    private func flush() {
        guard let stream else { return }
        if !pending.isEmpty {
            let count = unsafe pending.withUnsafeBytes { unsafe stream.write($0) }
            pending.removeFirst(count)
        }
        if pending.isEmpty, endsAfterPending { stream.end() }
    }

    // MARK: TunnelStreamHandler

    func answered(_ answer: StreamAnswer) { exchange?.run { $0.answered(answer) } }

    func received(_ bytes: UnsafeRawBufferPointer) {
        let copy = unsafe Array(bytes)
        exchange?.run { $0.received(copy) }
    }

    func inputEnded() { exchange?.run { $0.inputEnded() } }

    func roomGrew() {
        flush()
        guard let stream else { return }
        let freed = underWay - stream.outstanding - pending.count
        guard freed > 0 else { return }
        underWay -= freed
        exchange?.run { $0.roomGrew(by: freed) }
    }

    func finished(_ reason: TunnelReset?, message: String) {
        if reason != nil { traffic?.failures.add() }
        let exchange = exchange
        leave()
        exchange?.run { $0.finished(reason.map { .reset($0, message) }) }
    }

    /// Breaks the circle with the exchange.
    private func leave() {
        if stream != nil { traffic?.openStreams.add(-1) }
        stream = nil
        exchange = nil
        pending = []
    }
}
