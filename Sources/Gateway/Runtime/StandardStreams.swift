import CLinux
import GatewayBytes
import Glibc

// Standard input and output on a loop, whatever they are: pipes, sockets, terminals, files. The descriptors are set to
// not block, which others that share them see too; `letGo()` sets them back.

/// Told on the loop when there is something to read.
package protocol StandardInputHandler: AnyObject {
    /// Call ``StandardInput/read()``, or ``StandardInput/pause()``.
    func inputReadable()
}

/// A descriptor to read from, standard input by default. Begins at rest.
package final class StandardInput: Channel, TimerTarget {
    private let loop: EventLoop
    private var stream: BorrowedDescriptor
    private weak var handler: (any StandardInputHandler)?
    private var isPaused = true

    package init(
        _ handler: any StandardInputHandler, descriptor: CInt = 0, on loop: EventLoop
    ) throws(SystemError) {
        self.loop = loop
        self.handler = handler
        stream = try BorrowedDescriptor(descriptor)
        // While nobody reads, the kernel must not repeat that the writer has gone: hence edges.
        stream.watch([.edgeTriggered], for: self, on: loop)
    }

    package func pause() {
        guard !isPaused else { return }
        isPaused = true
        stream.want([.edgeTriggered], on: loop)
    }

    package func resume() {
        guard isPaused, stream.isOpen else { return }
        isPaused = false
        if stream.isWatched { stream.want([.readable], on: loop) } else { loop.callSoon(self, tag: 0) }
    }

    /// Reads once into the loop's receive buffer.
    package func read() -> Socket.Received {
        loop.willReceive()
        let count = unsafe Glibc.read(stream.number, loop.receiveBuffer.baseAddress, loop.receiveBuffer.count)
        if count > 0 { return .bytes(count) }
        if count == 0 { return .end }
        return errno == EAGAIN || errno == EINTR ? .wouldBlock : .failed(SystemError("read"))
    }

    package func letGo() {
        isPaused = true
        stream.letGo(on: loop)
    }

    package func ready(_ readiness: Readiness) { tell() }
    package func loopEnds() { letGo() }

    /// A file is always ready, and the kernel watches none.
    package func timerFired(tag: UInt32) {
        tell()
        if !isPaused { loop.callSoon(self, tag: 0) }
    }

    private func tell() {
        if !isPaused { handler?.inputReadable() }
    }
}

/// Told on the loop what becomes of what was written.
package protocol StandardOutputHandler: AnyObject {
    /// What had piled up has left.
    func outputDrained()
    /// Nobody reads any more. Told once; what is unsent is dropped.
    func outputBroke()
}

/// A descriptor to write to, standard output by default.
package final class StandardOutput: Channel, TimerTarget {
    private let loop: EventLoop
    private var stream: BorrowedDescriptor
    private weak var handler: (any StandardOutputHandler)?
    private var waiting = OutputBuffer(capacity: 64)
    private var isFinishing = false

    package init(
        _ handler: any StandardOutputHandler, descriptor: CInt = 1, on loop: EventLoop
    ) throws(SystemError) {
        self.loop = loop
        self.handler = handler
        stream = try BorrowedDescriptor(descriptor)
        stream.watch([], for: self, on: loop)
    }

    /// Bytes that have not been taken. There is no limit here: whoever writes looks at it.
    package var unsent: Int { waiting.count }

    package func write(_ bytes: UnsafeRawBufferPointer) {
        guard stream.isOpen, !isFinishing else { return }
        guard waiting.isEmpty else { return unsafe waiting.append(bytes) }
        let done = unsafe push(bytes)
        guard stream.isOpen, done < bytes.count else { return }
        unsafe waiting.append(UnsafeRawBufferPointer(rebasing: bytes[done...]))
        stream.want([.writable], on: loop)
    }

    /// Closes it once everything has left: its reader finds the end.
    package func finish() {
        isFinishing = true
        if waiting.isEmpty { stream.close(on: loop) }
    }

    package func letGo() { stream.letGo(on: loop) }

    package func ready(_ readiness: Readiness) {
        if readiness.isHungUp, !readiness.contains(.writable) { return fail() }
        guard !waiting.isEmpty else { return }
        let done = unsafe waiting.withUnsafeBytes { unsafe push($0) }
        guard stream.isOpen else { return }
        waiting.consume(done)
        guard waiting.isEmpty else { return }
        waiting = OutputBuffer(capacity: 64)
        stream.want([], on: loop)
        if isFinishing { stream.close(on: loop) }
        handler?.outputDrained()
    }

    package func loopEnds() { letGo() }

    package func timerFired(tag: UInt32) { handler?.outputBroke() }

    /// - Returns: How many bytes were taken.
    private func push(_ bytes: UnsafeRawBufferPointer) -> Int {
        var done = 0
        while done < bytes.count {
            let count = unsafe Glibc.write(
                stream.number, bytes.baseAddress.map { unsafe $0 + done }, bytes.count - done)
            if count >= 0 {
                done += count
            } else if errno == EAGAIN {
                break
            } else if errno != EINTR {
                fail()
                break
            }
        }
        return done
    }

    /// The caller may be in the middle of its own work: it is told later.
    private func fail() {
        guard stream.isOpen else { return }
        waiting = OutputBuffer(capacity: 64)
        stream.letGo(on: loop)
        loop.callSoon(self, tag: 0)
    }
}

/// A descriptor of the process, watched by way of a duplicate, so that it can be given back as it was.
private struct BorrowedDescriptor: ~Copyable {
    private let original: CInt
    private let flags: CInt
    private var watched: WatchedDescriptor
    /// `false` for a file, which the kernel does not watch.
    private(set) var isWatched = false

    init(_ descriptor: CInt) throws(SystemError) {
        flags = fcntl(descriptor, F_GETFL, 0)
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
        guard flags >= 0, copy >= 0 else { throw SystemError("fcntl") }
        original = descriptor
        watched = WatchedDescriptor(owning: copy)
        _ = fcntl(copy, F_SETFL, flags | O_NONBLOCK)
    }

    var number: CInt { watched.number }
    var isOpen: Bool { watched.isOpen }

    mutating func watch(_ interest: Readiness, for channel: any Channel, on loop: EventLoop) {
        isWatched = (try? watched.watch(interest, for: channel, on: loop)) != nil
    }

    mutating func want(_ interest: Readiness, on loop: EventLoop) {
        if isWatched { watched.want(interest, on: loop) }
    }

    mutating func letGo(on loop: EventLoop) {
        guard watched.isOpen else { return }
        _ = fcntl(watched.number, F_SETFL, flags)
        // Not closed as it is: the original keeps the file open, and the kernel would go on reporting about it.
        WatchedDescriptor.discard(watched.surrender(on: loop))
    }

    /// Closes the original too; its number stays taken, so that nothing else comes to be called standard output.
    mutating func close(on loop: EventLoop) {
        guard watched.isOpen else { return }
        _ = shutdown(watched.number, CInt(SHUT_WR))
        letGo(on: loop)
        let nothing = unsafe open("/dev/null", O_RDWR | O_CLOEXEC)
        guard nothing >= 0 else { return }
        _ = dup2(nothing, original)
        _ = Glibc.close(nothing)
    }
}
