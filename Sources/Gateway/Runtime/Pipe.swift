import CLinux
import Glibc

/// A kernel pipe that carries bytes between two sockets without copying them through the process (splice(2)).
package struct Pipe: ~Copyable {
    private let readEnd: CInt
    private let writeEnd: CInt
    /// Bytes inside.
    package private(set) var count = 0

    /// - Parameter capacity: Asked of the kernel, which may give less.
    package static func make(capacity: Int) throws(SystemError) -> Pipe {
        var ends: (CInt, CInt) = (-1, -1)
        let status = unsafe withUnsafeMutableBytes(of: &ends) { raw in
            unsafe pipe2(raw.assumingMemoryBound(to: CInt.self).baseAddress, CInt(O_NONBLOCK | O_CLOEXEC))
        }
        guard status == 0 else { throw SystemError("pipe2") }
        _ = fcntl(ends.1, linux_set_pipe_size, CInt(capacity))
        return Pipe(readEnd: ends.0, writeEnd: ends.1)
    }

    private init(readEnd: CInt, writeEnd: CInt) {
        self.readEnd = readEnd
        self.writeEnd = writeEnd
    }

    deinit {
        _ = close(readEnd)
        _ = close(writeEnd)
    }

    /// Moves up to `limit` bytes from a socket into the pipe.
    package mutating func fill(from socket: CInt, limit: Int) -> Socket.Received {
        let moved = splice(socket, nil, writeEnd, nil, limit, Self.flags)
        if moved > 0 {
            count += moved
            return .bytes(moved)
        }
        if moved == 0 { return .end }
        return errno == EAGAIN || errno == EINTR ? .wouldBlock : .failed(SystemError("splice"))
    }

    /// Moves what the pipe holds into a socket. All of it leaves at once: holding back a part of a packet until more
    /// comes (SPLICE_F_MORE) would keep a slow source's last bytes from its reader.
    package mutating func drain(into socket: CInt) -> Socket.Sent {
        let moved = splice(readEnd, nil, socket, nil, count, Self.flags)
        if moved >= 0 {
            count -= moved
            return .bytes(moved)
        }
        return errno == EAGAIN || errno == EINTR ? .wouldBlock : .failed(SystemError("splice"))
    }

    private static var flags: UInt32 { UInt32(linux_splice_move | linux_splice_nonblock) }
}
