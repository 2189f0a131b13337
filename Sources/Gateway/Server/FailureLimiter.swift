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

    private let limit: Int
    private let window: Double
    private let capacity: Int
    private let records = Mutex<[UInt64: Record]>([:])

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
        return records.withLock { records in
            guard let record = records[address.prefixKey], record.failures >= limit, now < record.windowEnds else {
                return nil
            }
            return max(1, Int(record.windowEnds - now))
        }
    }

    func count(_ address: SocketAddress, isBehindProxy: Bool, now: Double) {
        guard limit > 0, !isBehindProxy else { return }
        records.withLock { records in
            if records.count >= capacity { records = records.filter { now < $0.value.windowEnds } }
            guard records.count < capacity || records[address.prefixKey] != nil else { return }
            var record = records[address.prefixKey] ?? Record(failures: 0, windowEnds: now + window)
            if now >= record.windowEnds { record = Record(failures: 0, windowEnds: now + window) }
            record.failures += 1
            records[address.prefixKey] = record
        }
    }
}
