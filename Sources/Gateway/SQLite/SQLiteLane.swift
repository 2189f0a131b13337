import GatewayRuntime
import Synchronization

/// One connection, and the thread on which everything about it happens, in the order of asking.
final class SQLiteLane: Sendable {
    private let worker: WorkerPool
    // Safe: touched on the worker's one thread only, and by the last to let go.
    private nonisolated(unsafe) var connection: SQLiteConnection?
    private let isOpen = Atomic<Bool>(false)

    init(queue: Int) { worker = WorkerPool(threads: 1, queue: queue, name: "sqlite") }

    // MARK: Opening and closing, by threads that may block

    func open(
        atMost patience: Duration, _ make: @escaping @Sendable () throws -> SQLiteConnection
    ) throws {
        let opened: Void? = try worker.wait(atMost: patience) { [self] in unsafe connection = try make() }
        guard opened != nil else { throw SQLiteError.locked }
        isOpen.store(true, ordering: .releasing)
    }

    /// Takes no more work. What was taken is done first; the connection closes on its own thread.
    ///
    /// - Parameter patience: How long to wait for that; zero does not wait.
    func close(atMost patience: Duration) {
        guard isOpen.exchange(false, ordering: .acquiringAndReleasing) else { return worker.stop() }
        let last: @Sendable () -> Void = { [self] in
            unsafe connection?.flush()
            unsafe connection = nil
        }
        if patience > .zero {
            _ = try? worker.wait(atMost: patience, for: last)
        } else {
            // When even this finds no room, the last piece of work lets go of the connection.
            _ = worker.submit(last)
        }
        worker.stop()
    }

    // MARK: Work

    /// Runs `work` on the lane's thread and resumes on the caller's loop.
    func run<R: Sendable>(_ work: @escaping @Sendable (SQLiteConnection) throws -> R) async throws -> R {
        guard let loop = EventLoop.current else { throw SQLiteError.offLoop }
        guard isOpen.load(ordering: .acquiring) else { throw SQLiteError.closed }
        do {
            return try await loop.offload("database", to: worker) { [self] in
                guard let connection = unsafe connection else { throw SQLiteError.closed }
                return try work(connection)
            }
        } catch is WorkerPool.Busy {
            throw isOpen.load(ordering: .acquiring) ? SQLiteError.busy : SQLiteError.closed
        }
    }
}
