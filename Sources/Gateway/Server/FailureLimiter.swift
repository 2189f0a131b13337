import GatewayHTTP
import GatewayLocks
import Synchronization

/// Counts refused tokens by address, so that guessing is slow. Bounded; forgets by itself.
///
/// Counts only proven failures. To be asked only about addresses of single clients: counting one behind which a proxy
/// speaks for many would let one guesser lock out everybody behind the same ingress.
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

    private let most: Atomic<Int>
    private let window: Double
    private let capacity: Int
    private let state = Guarded(State())

    /// - Parameters:
    ///   - limit: Failures within `window` seconds after which an address must wait for the window's end. 0: no limit.
    ///   - capacity: Addresses remembered.
    init(limit: Int, window: Double = 60, capacity: Int = 65536) {
        most = Atomic(limit)
        self.window = window
        self.capacity = capacity
    }

    /// May be changed at any time; what was counted stays.
    var limit: Int {
        get { most.load(ordering: .relaxed) }
        set { most.store(newValue, ordering: .relaxed) }
    }

    /// Whole seconds to wait, or `nil` when the address may try.
    func retryAfter(_ address: IPAddress, now: Double) -> Int? {
        let limit = limit
        guard limit > 0 else { return nil }
        return state.withLock { state in
            guard let record = state.records[Self.key(of: address)], record.failures >= limit, now < record.windowEnds
            else {
                return nil
            }
            return Int((record.windowEnds - now).rounded(.up))
        }
    }

    func count(_ address: IPAddress, now: Double) {
        guard limit > 0 else { return }
        let key = Self.key(of: address)
        state.withLock { state in
            if state.records.count >= capacity { forget(&state, now) }
            guard state.records.count < capacity || state.records[key] != nil else { return }
            var record = state.records[key] ?? Record(failures: 0, windowEnds: now + window)
            if now >= record.windowEnds { record = Record(failures: 0, windowEnds: now + window) }
            record.failures += 1
            state.records[key] = record
        }
    }

    /// Drops what has ended. A flood of addresses must not buy a walk over all of them with each one.
    private func forget(_ state: inout State, _ now: Double) {
        guard now >= state.cleanAt else { return }
        state.cleanAt = now + window / 8
        state.records = state.records.filter { now < $0.value.windowEnds }
    }

    /// What one customer usually has: an IPv4 address, or the /64 of an IPv6 address.
    private static func key(of address: IPAddress) -> UInt64 {
        switch address.form {
        // No /64 that anybody has begins with 32 zero bits.
        case .v4(let value): UInt64(value)
        case .v6(let value): UInt64(truncatingIfNeeded: value >> 64)
        }
    }
}
