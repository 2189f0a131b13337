import GatewayRuntime
import Synchronization

/// Counts refused tokens by address, so that guessing is slow. Bounded; forgets by itself.
///
/// Counts only proven failures, and only for addresses that are clients: one behind which a proxy speaks for many is
/// never counted, or one guesser would lock out everybody behind the same ingress.
final class FailureLimiter: Sendable {
    private struct Record {
        var failures: Int
        var windowEnds: Double
    }

    private struct State {
        var records: [UInt64: Record] = [:]
        /// When looking for forgotten records is worth while again.
        var cleanAt = 0.0
    }

    private let limit: Int
    private let window: Double
    private let capacity: Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - limit: Failures within `window` seconds after which an address must wait for the window's end. 0: no limit.
    ///   - capacity: Addresses remembered.
    init(limit: Int, window: Double = 60, capacity: Int = 65536) {
        self.limit = limit
        self.window = window
        self.capacity = capacity
    }

    /// Whole seconds to wait, or `nil` when the address may try.
    func retryAfter(_ address: SocketAddress, now: Double) -> Int? {
        guard limit > 0 else { return nil }
        return state.withLock { state in
            guard let record = state.records[address.prefixKey], record.failures >= limit, now < record.windowEnds
            else {
                return nil
            }
            return Int((record.windowEnds - now).rounded(.up))
        }
    }

    /// - Parameter isBehindProxy: The address speaks for many clients.
    func count(_ address: SocketAddress, isBehindProxy: Bool, now: Double) {
        guard limit > 0, !isBehindProxy else { return }
        state.withLock { state in
            if state.records.count >= capacity { forget(&state, now) }
            guard state.records.count < capacity || state.records[address.prefixKey] != nil else { return }
            var record = state.records[address.prefixKey] ?? Record(failures: 0, windowEnds: now + window)
            if now >= record.windowEnds { record = Record(failures: 0, windowEnds: now + window) }
            record.failures += 1
            state.records[address.prefixKey] = record
        }
    }

    /// Drops what has ended. A flood of addresses must not buy a walk over all of them with each one.
    private func forget(_ state: inout State, _ now: Double) {
        guard now >= state.cleanAt else { return }
        state.cleanAt = now + window / 8
        state.records = state.records.filter { now < $0.value.windowEnds }
    }
}
