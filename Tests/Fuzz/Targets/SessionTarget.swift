import GatewayHTTP
import GatewayTunnel

/// One end of a session, either, whose peer sends anything, and whose own side acts in between: small windows, so that
/// short inputs reach every limit.
///
/// The input is a list of steps: what, which stream, how much, and then that many bytes where the step wants some.
enum SessionTarget {
    private static let terms: TunnelTerms = {
        var terms = TunnelTerms()
        terms.streamWindow = 64
        terms.sessionWindow = 160
        terms.dataFrame = 24
        terms.streams = 3
        return terms
    }()

    static func run(_ bytes: [UInt8]) {
        for role in [TunnelSession.Role.gateway, .agent] {
            let end = SessionEnd(role, terms)
            var rest = bytes[...]
            while let what = rest.popFirst(), let stream = rest.popFirst(), let size = rest.popFirst() {
                let count = min(Int(size), rest.count)
                let taken = [UInt8](rest.prefix(count))
                if end.step(what, UInt32(stream), Int(size), taken) { rest = rest.dropFirst(count) }
                end.check()
                if end.isOver { break }
            }
            end.finish()
        }
    }
}

/// A session with streams that hold on to what they get.
private final class SessionEnd {
    private let session: TunnelSession
    private let carrier = Carrier()
    private let ends: Ends
    private let terms: TunnelTerms
    private(set) var isOver = false

    private final class Ends {
        var all: [End] = []
    }

    private final class Carrier: TunnelCarrier {
        var unsentBytes = 0
        func send(text: [UInt8]) { require(text.first == UInt8(ascii: "{"), "no object: \(text.shown)") }
        func send(binary: UnsafeRawBufferPointer) {
            require(unsafe (try? DataFrame(binary)) != nil, "no frame was sent")
            unsentBytes += binary.count
        }
    }

    private final class End: TunnelStreamHandler {
        var stream: TunnelStream?
        var held = 0
        /// Where the peer must go on.
        var total: UInt64 = 0
        var answers = 0
        var hasEnded = false
        var endings = 0
        var wasReset = false

        func answered(_ answer: StreamAnswer) { answers += 1 }
        func received(_ bytes: UnsafeRawBufferPointer) {
            require(!hasEnded && endings == 0 && !wasReset, "bytes after the end")
            held += bytes.count
            total += UInt64(bytes.count)
        }
        func inputEnded() {
            require(!hasEnded, "ended twice")
            hasEnded = true
        }
        func roomGrew() { require(endings == 0, "told after it was over") }
        func finished(_ reason: TunnelReset?, message: String) {
            endings += 1
            require(reason != nil || held == 0, "complete with bytes that nobody consumed")
        }
    }

    init(_ role: TunnelSession.Role, _ terms: TunnelTerms) {
        let ends = Ends()
        self.ends = ends
        self.terms = terms
        session = TunnelSession(role: role, terms: terms, carrierBacklog: 100) { stream in
            // Some are refused.
            guard stream.id % 5 != 0 else { return nil }
            let end = End()
            end.stream = stream
            ends.all.append(end)
            return end
        }
        session.attach(carrier)
    }

    /// - Returns: Whether the bytes were used.
    func step(_ what: UInt8, _ id: UInt32, _ size: Int, _ bytes: [UInt8]) -> Bool {
        let end = ends.all.isEmpty ? nil : ends.all[Int(id) % ends.all.count]
        let stream = end?.stream
        switch what % 16 {
        case 0, 1: receive { () throws(TunnelViolation) in _ = try session.receive(text: bytes) }
        case 2: receive(bytes)
        case 3, 4: receive(frame(id, offset: UInt64(size), bytes, ends: what > 127))
        case 5: receive(frame(stream?.id ?? id, offset: end?.total ?? 0, bytes, ends: what > 127))
        case 6:
            receive { () throws(TunnelViolation) in
                _ = try session.receive(text: TunnelMessage.window(id, consumed: UInt64(size), ended: what > 127).text)
            }
            return false
        case 7:
            receive { () throws(TunnelViolation) in
                let head = TunnelMessage.head(id, StreamAnswer(status: .ok))
                _ = try session.receive(text: head.text)
            }
            return false
        case 8: open(id, ends: what > 127)
        case 9:
            _ = unsafe bytes.withUnsafeBytes { unsafe stream?.write($0) ?? 0 }
            return true
        case 10: stream?.end()
        case 11:
            guard let end else { return false }
            let count = min(size, end.held)
            end.held -= count
            stream?.consume(count)
        case 12: stream?.answer(StreamAnswer(status: .ok))
        case 13:
            if stream?.isOpen == true { end?.wasReset = true }
            stream?.reset(.cancelled)
        case 14: resume(id, UInt64(size), what > 127)
        default:
            carrier.unsentBytes = 0
            session.pump()
        }
        return what % 16 < 6
    }

    private func receive(_ bytes: [UInt8]) {
        receive { () throws(TunnelViolation) in try receiveBinary(bytes) }
    }

    private func receiveBinary(_ bytes: [UInt8]) throws(TunnelViolation) {
        let outcome: Result<Void, TunnelViolation> = unsafe bytes.withUnsafeBytes { bytes in
            do throws(TunnelViolation) {
                unsafe try session.receive(binary: bytes)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try outcome.get()
    }

    private func receive(_ work: () throws(TunnelViolation) -> Void) {
        do throws(TunnelViolation) {
            try work()
        } catch {
            isOver = true
        }
    }

    private func frame(_ id: UInt32, offset: UInt64, _ bytes: [UInt8], ends: Bool) -> [UInt8] {
        var frame = [UInt8](repeating: 0, count: DataFrame.size)
        unsafe frame.withUnsafeMutableBytes {
            unsafe DataFrame(stream: max(1, id), offset: offset, ends: ends).write(to: $0)
        }
        return frame + bytes
    }

    /// At the gateway by itself, at the agent by the peer.
    private func open(_ id: UInt32, ends closes: Bool) {
        if session.role == .agent {
            return receive { () throws(TunnelViolation) in
                _ = try session.receive(text: TunnelMessage.open(max(1, id), .tcp(port: 22), ends: false).text)
            }
        }
        let end = End()
        end.stream = session.open(.tcp(port: 22), ends: closes, handler: end)
        if end.stream != nil { ends.all.append(end) }
    }

    /// On another carrier, by a peer that says anything of how far it came.
    private func resume(_ id: UInt32, _ place: UInt64, _ flag: Bool) {
        session.detach()
        carrier.unsentBytes = 0
        var positions = session.positions.map {
            StreamPosition(stream: $0.stream, hasHead: flag, received: place, ended: flag, consumed: place / 2)
        }
        if id % 3 == 0, !positions.isEmpty { positions.removeFirst() }
        session.resume(on: carrier, positions: positions, newest: id % 2 == 0 ? .max : id)
    }

    func check() {
        require(session.streams.count <= terms.streams, "\(session.streams.count) streams")
        let outstanding = session.streams.values.reduce(0) { $0 + $1.outstanding }
        require(outstanding <= terms.sessionWindow, "\(outstanding) bytes under way")
        for stream in session.streams.values {
            require((0...terms.streamWindow).contains(stream.outstanding), "\(stream.outstanding) of one under way")
            require(stream.room <= terms.sessionWindow - outstanding, "room for \(stream.room)")
        }
        for end in ends.all {
            require(end.endings <= 1 && end.held <= terms.streamWindow, "\(end.endings) \(end.held)")
        }
    }

    /// Everybody is told, once, and nothing is left.
    func finish() {
        session.end(.lost, "over")
        require(session.streams.isEmpty, "streams after the end")
        for end in ends.all {
            require(end.stream?.isOpen == false, "open after the end")
            require(end.endings == (end.wasReset ? 0 : 1), "told \(end.endings) times")
            end.stream = nil
        }
    }
}
