/// A pipe that can change hands.
package final class PooledPipe {
    package var pipe: Pipe

    init(_ pipe: consuming Pipe) { self.pipe = pipe }
}

/// Empty pipes of one loop, kept for its next relays: making and sizing one costs four system calls. Lives on its loop.
package final class PipePool {
    /// Bytes a pipe is asked to hold. A megabyte is granted too, but the pipes of one user may only take 64 MiB together;
    /// beyond that the kernel gives new ones two pages.
    package static let capacity = 256 << 10

    private let limit: Int
    private var idle: [PooledPipe] = []

    /// - Parameter limit: Most pipes kept; each takes two descriptors.
    init(limit: Int) { self.limit = limit }

    package func take() throws(SystemError) -> PooledPipe {
        if let pipe = idle.popLast() { return pipe }
        return PooledPipe(try Pipe.make(capacity: Self.capacity))
    }

    /// Keeps it for the next relay; one that still holds bytes is closed, and the bytes are gone.
    package func giveBack(_ pipe: PooledPipe) {
        if pipe.pipe.count == 0, idle.count < limit { idle.append(pipe) }
    }

    package var count: Int { idle.count }
}
