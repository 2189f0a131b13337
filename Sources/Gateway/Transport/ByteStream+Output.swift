package import GatewayBytes
import GatewayRuntime
import GatewayTLS

extension ByteStream {
    /// Exists only while the kernel has not taken everything.
    final class Unsent {
        var buffer: OutputBuffer
        init(capacity: Int) { buffer = OutputBuffer(capacity: capacity) }
    }

    /// Bytes the kernel has not taken yet; those still in the loop's shared buffer do not count.
    package var unsent: Int { unsentBytes?.buffer.count ?? 0 }

    /// Bytes of ``sent`` that the peer's kernel has acknowledged, less what TLS adds: to be compared with what it was before,
    /// since it grows only while the peer takes something. ``sent`` may stand still meanwhile: the kernel reports a socket
    /// as writable when a third of its buffer is free, which a slow reader of megabytes takes a minute for. A system call.
    package var taken: Int64 { Int64(sent) - Int64(Socket.unacknowledged(descriptor.number)) }

    /// Whether something was written that the peer has not acknowledged. May cost a system call.
    package var isOwed: Bool { isCorked || unsent > 0 || Socket.unacknowledged(descriptor.number) > 0 }

    /// The loop's shared buffer is sent once it holds this much, so that it stays in the processor's cache.
    private static var flushAt: Int { 65536 }

    /// Appends to the stream's output. It leaves when the loop's turn ends, or sooner when much has piled up.
    ///
    /// Written to a stream that is not open, it is dropped. There is no limit here: whoever writes looks at ``unsent``.
    @inline(__always)
    package func write(_ body: (inout OutputBuffer) -> Void) {
        guard state == .open, outputFailure == nil else { return }
        if let unsentBytes { return body(&unsentBytes.buffer) }
        loop.corkOutput(of: self)
        // That may have sent what this stream wrote earlier in this turn, and the kernel may have taken a part of it.
        if let unsentBytes { return body(&unsentBytes.buffer) }
        body(&loop.output)
        if loop.output.count >= Self.flushAt { loop.flushCorks() }
    }

    /// The same for bytes that lie elsewhere: many of them go to the kernel from there.
    package func write(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.flushAt else { return write { unsafe $0.append(bytes) } }
        flush()
        guard state == .open, outputFailure == nil else { return }
        guard unsentBytes == nil else { return write { unsafe $0.append(bytes) } }
        unsafe keep(bytes, last: push(bytes))
    }

    /// Sends what this stream has in the loop's buffer now.
    package func flush() { loop.flushOutput(of: self) }

    package func sendCorked(_ bytes: UnsafeRawBufferPointer) {
        guard state == .open, outputFailure == nil else { return }
        unsafe keep(bytes, last: push(bytes))
    }

    /// Keeps the last `count` bytes until the kernel takes them.
    private func keep(_ bytes: UnsafeRawBufferPointer, last count: Int) {
        guard count > 0 else { return }
        let kept = Unsent(capacity: count)
        unsafe kept.buffer.append(UnsafeRawBufferPointer(rebasing: bytes[(bytes.count - count)...]))
        unsentBytes = kept
        refreshInterest()
    }

    func retryUnsent() {
        guard let waiting = unsentBytes else { return }
        let left = unsafe waiting.buffer.withUnsafeBytes { unsafe push($0) }
        if left == 0 || outputFailure != nil {
            unsentBytes = nil
        } else {
            waiting.buffer.consume(waiting.buffer.count - left)
        }
        refreshInterest()
    }

    private enum Pushed {
        case bytes(Int)
        case wouldBlock
        case failed(StreamEnd)
    }

    /// Sends as much as the kernel takes; returns how much is left, which is nothing once writing has failed.
    ///
    /// A failure is dealt with in the next turn: the caller may be in the middle of its own work, and what the peer
    /// sent before it went has to be read first.
    private func push(_ bytes: UnsafeRawBufferPointer) -> Int {
        var done = 0
        while done < bytes.count {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
            switch unsafe cipher == nil ? pushPlain(rest) : pushSealed(rest) {
            case .bytes(let count):
                done += count
                sent &+= UInt64(count)
                lastSent = loop.now
            case .wouldBlock: return bytes.count - done
            case .failed(let reason):
                outputFailure = reason
                loop.callSoon(self, tag: Tag.writeFailed)
                return 0
            }
        }
        return 0
    }

    private func pushPlain(_ bytes: UnsafeRawBufferPointer) -> Pushed {
        switch unsafe Socket.send(descriptor.number, bytes) {
        case .bytes(let count): .bytes(count)
        case .wouldBlock: .wouldBlock
        case .failed(let error): .failed(.failed(error))
        }
    }

    private func pushSealed(_ bytes: UnsafeRawBufferPointer) -> Pushed {
        guard let cipher else { return .failed(.local) }
        switch unsafe cipher.write(bytes) {
        case .bytes(let count): return .bytes(count)
        case .wantWrite: return .wouldBlock
        case .wantRead:
            crossed = .writeNeedsRead
            return .wouldBlock
        case .closedDirty: return .failed(.peer)
        case .failed(let error): return .failed(.cipher(error))
        }
    }

    /// Suspends until the kernel has taken everything written.
    ///
    /// - Parameter patience: How long it may take none of it.
    /// - Throws: ``RelayError/sinkClosed`` when the peer left; ``RelayError/sinkStalled`` when it took nothing for too
    ///   long, which resets the connection; ``RelayError/cancelled``.
    package func drainCompletely(patience: Duration) async throws(RelayError) {
        flush()
        while isOpen, unsent > 0 {
            let before = taken
            let wait = LoopWait()
            drainWait = wait
            let outcome = await wait.run(on: loop, until: loop.now + patience)
            drainWait = nil
            if outcome == .cancelled { throw .cancelled }
            if outcome == .late, taken <= before, isOpen {
                abort()
                throw .sinkStalled
            }
        }
        guard isOpen, outputFailure == nil else { throw .sinkClosed }
    }
}
