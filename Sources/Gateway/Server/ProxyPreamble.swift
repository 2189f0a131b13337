import GatewayHTTP
import GatewayRuntime

/// Reads the PROXY header at the start of a connection, and not one byte more: what follows is a TLS library's, or the
/// HTTP parser's.
///
/// So it looks before it takes. Bytes of a header that is not whole yet all belong to it and are taken, which is also
/// what keeps the loop from being told of the same bytes again and again.
final class ProxyPreamble: Channel, TimerTarget {
    enum Outcome {
        /// The descriptor is the receiver's now.
        case header(ProxyProtocolHeader, CInt)
        /// The connection is closed, and somebody should know why.
        case refused(reason: String)
        /// The connection is closed: the other end left without a word, or the gateway ends.
        case left
    }

    private let loop: EventLoop
    private var descriptor: WatchedDescriptor
    private var taken: [UInt8] = []
    private var timer = TimerToken.none
    private var finish: ((ProxyPreamble, Outcome) -> Void)?

    /// Longest header, and so the most that is held.
    private static let limit = 4096

    /// - Parameter descriptor: Owned from here on.
    init(descriptor: CInt, loop: EventLoop) {
        self.descriptor = WatchedDescriptor(owning: descriptor)
        self.loop = loop
    }

    /// - Parameters:
    ///   - patience: How long the whole header may take.
    ///   - finish: Called once, perhaps at once.
    func start(patience: Duration, finish: @escaping (ProxyPreamble, Outcome) -> Void) {
        self.finish = finish
        timer = loop.setTimer(at: loop.now + patience, for: self)
        do throws(SystemError) {
            try descriptor.watch(.readable, for: self, on: loop)
        } catch {
            end(.refused(reason: error.description))
        }
    }

    func cutOff() { end(.left) }

    func ready(_ readiness: Readiness) {
        guard descriptor.isOpen else { return }
        loop.willReceive()
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: loop.receiveBuffer[..<Self.limit])
        switch unsafe Socket.peek(descriptor.number, into: room) {
        case .bytes(let count): unsafe read(UnsafeRawBufferPointer(rebasing: room[..<count]))
        case .wouldBlock: return
        case .end where taken.isEmpty: end(.left)
        case .end: end(.refused(reason: "the connection ended within its PROXY header"))
        case .failed: end(.left)
        }
    }

    private func read(_ seen: UnsafeRawBufferPointer) {
        let start = taken.count
        unsafe taken.append(contentsOf: seen)
        do throws(ProxyProtocolError) {
            // Why a copy: a span of a property may not be borrowed across what else is done here.
            let bytes = taken
            let header = try ProxyProtocolHeader.parse(bytes.span, limit: Self.limit)
            guard take(min(header?.length ?? taken.count, taken.count) - start) else { return end(.left) }
            if let header { end(.header(header, descriptor.surrender(on: loop))) }
        } catch {
            end(.refused(reason: error.message))
        }
    }

    /// Takes bytes that were seen already.
    private func take(_ count: Int) -> Bool {
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: loop.receiveBuffer[..<count])
        if case .bytes(count) = unsafe Socket.receive(descriptor.number, into: room) { return true }
        return false
    }

    func timerFired(tag: UInt32) {
        timer = .none
        end(.refused(reason: "the PROXY header did not come in time"))
    }

    private func end(_ outcome: Outcome) {
        guard let finish else { return }
        self.finish = nil
        loop.cancelTimer(timer)
        timer = .none
        descriptor.close(on: loop)
        finish(self, outcome)
    }
}
