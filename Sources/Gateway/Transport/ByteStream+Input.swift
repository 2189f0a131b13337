import GatewayRuntime
import GatewayTLS

extension ByteStream {
    package enum Received {
        /// So many bytes lie at the front of the loop's receive buffer, prefix included; `new` of them are new.
        case bytes(Int, new: Int)
        case wouldBlock
        /// The peer finished sending in order.
        case end
        case failed(StreamEnd)
    }

    /// Receives once into the loop's buffer, behind `prefix`: what a parser left over from before.
    ///
    /// The bytes are valid until anything on this loop receives again. `.end` and `.failed` are final and repeat.
    ///
    /// - Parameters:
    ///   - prefix: Smaller than the loop's buffer, or nothing can be received.
    ///   - limit: Most bytes to receive; the rest stays with the kernel, which says again that it is there.
    package func receive(after prefix: [UInt8] = [], atMost limit: Int = .max) -> Received {
        guard state == .open else { return .failed(.local) }
        if let inputEnd { return inputEnd }
        let buffer = unsafe loop.receiveBuffer
        guard prefix.count < buffer.count else { return .wouldBlock }
        loop.willReceive()
        if !prefix.isEmpty { unsafe buffer.copyBytes(from: prefix) }
        let room = unsafe UnsafeMutableRawBufferPointer(
            rebasing: buffer[prefix.count..<prefix.count + min(limit, buffer.count - prefix.count)])
        switch unsafe cipher == nil ? receivePlain(into: room) : receiveSealed(into: room) {
        case .bytes(let count, _):
            received &+= UInt64(count)
            return .bytes(prefix.count + count, new: count)
        case .wouldBlock: return .wouldBlock
        case let over:
            let honest = honestEnd(over)
            inputEnd = honest
            refreshInterestSoon()
            return honest
        }
    }

    /// A reset is reported once, to whoever calls first. If that was a write, reading now finds what looks like an end in
    /// order, and a body that lasts until the end would pass for whole.
    private func honestEnd(_ end: Received) -> Received {
        guard case .end = end, let outputFailure else { return end }
        if case .failed(let error) = outputFailure, error.isBrokenPipe { return end }
        return .failed(outputFailure)
    }

    private func receivePlain(into room: UnsafeMutableRawBufferPointer) -> Received {
        switch unsafe Socket.receive(descriptor.number, into: room) {
        case .bytes(let count): .bytes(count, new: count)
        case .wouldBlock: .wouldBlock
        case .end: .end
        case .failed(let error): .failed(.failed(error))
        }
    }

    private func receiveSealed(into room: UnsafeMutableRawBufferPointer) -> Received {
        guard let cipher else { return .failed(.local) }
        switch unsafe cipher.read(into: room) {
        case .bytes(let count): return .bytes(count, new: count)
        case .wantRead: return .wouldBlock
        case .wantWrite:
            crossed = .readNeedsWrite
            refreshInterest()
            return .wouldBlock
        case .closed: return .end
        case .closedDirty: return .failed(.peer)
        case .failed(let error): return .failed(.cipher(error))
        }
    }

    /// Stops telling the handler of input: the peer is slowed down by TCP itself.
    package func pauseInput() {
        guard wantsInput else { return }
        wantsInput = false
        // After its end nothing is asked for anyway.
        if inputEnd == nil { refreshInterest() }
    }

    package func resumeInput() {
        guard !wantsInput, state == .open else { return }
        wantsInput = true
        refreshInterest()
        if hasHiddenInput { loop.callSoon(self, tag: Tag.more) }
    }

    /// Whether nothing has arrived that nobody asked for: no bytes, no end. Asks the kernel.
    ///
    /// Leaves the loop's receive buffer alone: whoever asks may be answering a request that still lies there. Close a
    /// stream that is not quiet; a byte of what came may be lost.
    package var isQuiet: Bool {
        guard state == .open, inputEnd == nil, !sawEnd else { return false }
        guard isSecure else { return !Socket.isStale(descriptor.number) }
        // What waits may be a session ticket, which is not data: only the cipher can tell.
        var byte: UInt8 = 0
        return unsafe withUnsafeMutableBytes(of: &byte) { room in
            if case .wouldBlock = unsafe receiveSealed(into: room) { true } else { false }
        }
    }

    /// Whether nothing had arrived when this turn of the loop began: no bytes, no end. Asks nobody, so what came since
    /// then is not known.
    ///
    /// Only of a stream that has wanted input since an earlier turn.
    package var wasQuiet: Bool {
        guard state == .open, wantsInput, inputEnd == nil, !sawEnd, crossed == .none else { return false }
        return !hasHiddenInput && !descriptor.hasNews(on: loop)
    }
}
