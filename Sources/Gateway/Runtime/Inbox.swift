import CLinux
import GatewayLocks
import Glibc

/// What other threads hand a loop: one eventfd wake for a whole batch.
///
/// Unbounded by itself; what enters is bounded by what produces it (tasks, worker results, one message per setting).
final class Inbox: Channel, Sendable {
    enum Item: Sendable {
        case job(UnownedJob)
        case work(@Sendable () -> Void)

        func run(on loop: EventLoop) {
            switch self {
            case .job(let job):
                unsafe job.runSynchronously(
                    isolatedTo: loop.asUnownedSerialExecutor(), taskExecutor: loop.asUnownedTaskExecutor())
            case .work(let work): work()
            }
        }
    }

    private let wake: CInt
    private let items = Guarded<[Item]>([])

    /// - Parameter wake: A non-blocking eventfd that outlives the inbox.
    init(wake: CInt) { self.wake = wake }

    func put(_ item: Item) {
        let wasEmpty = items.withLock { items in
            items.append(item)
            return items.count == 1
        }
        guard wasEmpty else { return }
        var one: UInt64 = 1
        // Fails only when the counter is full, and then the loop is awake already.
        _ = unsafe write(wake, &one, 8)
    }

    func take() -> [Item] {
        items.withLock { items in
            guard !items.isEmpty else { return [] }
            let taken = items
            items = []
            return taken
        }
    }

    func ready(_ readiness: Readiness) {
        var count: UInt64 = 0
        _ = unsafe read(wake, &count, 8)
    }
}
