import CLinux
import Glibc

/// Many sockets that all speak one ``Exchange``, on one thread and one epoll.
///
/// Each socket has at most one request outstanding. A socket that gets anything but the right reply is closed and
/// counted under its reason; it is not opened again, so there are never more faults than sockets.
final class Swarm<Talk: Exchange>: ClosedLoop {
    private struct Member {
        let link: Link
        var phase = Phase.opening
        /// When the outstanding request was sent; zero when none is.
        var askedAt: UInt64 = 0
        var progress = Progress()
        /// The start of something that has not come completely.
        var partial: [UInt8] = []
        /// What the kernel did not take yet.
        var unsent: [UInt8] = []
    }

    private enum Phase { case securing, opening, open, closed }

    private(set) var talk: Talk
    private let poller: Poller
    private let target: Target
    private let wanted: Int
    private let isIdle: Bool
    private let cipher: TLSClient?
    private var members: [Member] = []
    private var scratch: [UInt8]

    private(set) var latency = Histogram()
    private(set) var faults: [Fault: Int] = [:]
    private(set) var openCount = 0
    var facts: [(String, Int)] { talk.facts }
    private var openingCount = 0
    private var outstanding = 0
    private var toIssue = 0
    private var deadline: UInt64 = 0

    private static var inputTag: Int { Int(Int32.max) }
    private var inputEnded = false
    private var inputLines = 0

    /// - Parameters:
    ///   - cipher: Puts TLS on every socket.
    ///   - largestReply: Bytes; a longer one is a fault, bodies that are read piece by piece excepted.
    init(_ talk: Talk, _ plan: Plan, _ cipher: TLSClient?, largestReply: Int) throws(Fault) {
        self.talk = talk
        target = plan.target
        wanted = plan.socketCount
        isIdle = plan.mode == .webSocketIdle
        self.cipher = cipher
        poller = try Poller.make(capacity: 256)
        scratch = [UInt8](repeating: 0, count: max(256 * 1024, 2 * largestReply))
    }

    deinit { for member in members where member.phase != .closed { member.link.close() } }

    // MARK: Opening

    /// Handshakes under way at once; stays below any listen backlog.
    private static var window: Int { 128 }

    func open() throws(Fault) {
        let seconds = isIdle ? 60.0 : 30.0
        let limit = Moment.after(seconds: seconds)
        while members.count < wanted || openingCount > 0 {
            while members.count < wanted, openingCount < Self.window { try admit() }
            turn(milliseconds: openingCount > 0 ? 100 : 0)
            guard Moment.now() < limit else {
                throw Fault("only \(openCount) of \(wanted) sockets were open after \(seconds) seconds")
            }
        }
    }

    private func admit() throws(Fault) {
        let socket = try Socket.connect(to: target.address, port: target.port, abortive: isIdle)
        let index = members.count
        members.append(Member(link: Link(socket: socket, session: try cipher?.session(on: socket))))
        openingCount += 1
        do throws(Fault) {
            try poller.add(socket.descriptor, tag: index)
            try secure(index)
        } catch {
            fail(index, error)
        }
    }

    /// Goes on with the TLS handshake if there is one, and speaks when it is done.
    private func secure(_ index: Int) throws(Fault) {
        if let session = members[index].link.session {
            members[index].phase = .securing
            guard try session.handshake() else { return }
        }
        members[index].phase = .opening
        if talk.opening.isEmpty { opened(index) } else { try transmit(talk.opening, on: index) }
    }

    private func opened(_ index: Int) {
        members[index].phase = .open
        openingCount -= 1
        openCount += 1
    }

    // MARK: The closed loop

    /// Asks on every open socket, and asks again on each reply.
    func run(_ bounds: Bounds) -> Double {
        latency = Histogram()
        toIssue = bounds.operations
        let start = Moment.now()
        deadline = start &+ UInt64(bounds.seconds * 1e9)
        let patience = deadline &+ 5_000_000_000
        for index in members.indices where members[index].phase == .open { ask(index) }
        while outstanding > 0 {
            turn(milliseconds: 100)
            if Moment.now() > patience { giveUp() }
        }
        return Moment.seconds(from: start, to: Moment.now())
    }

    private func giveUp() {
        for index in members.indices where members[index].phase == .open && members[index].askedAt != 0 {
            fail(index, Fault("no reply within five seconds of the end"))
        }
    }

    private func ask(_ index: Int) {
        let now = Moment.now()
        guard toIssue > 0, now < deadline else { return }
        toIssue -= 1
        outstanding += 1
        members[index].askedAt = now
        do throws(Fault) { try transmit(talk.request, on: index) } catch { fail(index, error) }
    }

    // MARK: Waiting

    /// Keeps the sockets alive meanwhile, answering pings; ``waitForEnd()`` too.
    func waitForLine() -> Bool {
        let before = inputLines
        while inputLines == before, !inputEnded { turn(milliseconds: 1000) }
        return inputLines > before
    }

    func waitForEnd() { while !inputEnded { turn(milliseconds: 1000) } }

    /// Standard input has to be something that can be waited for.
    func watchInput() throws(Fault) {
        do throws(Fault) {
            try poller.add(STDIN_FILENO, tag: Self.inputTag)
        } catch {
            throw Fault("standard input must be a pipe or a terminal (\(error.reason))")
        }
    }

    private func readInput() {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(STDIN_FILENO, $0.baseAddress, $0.count) }
        guard count > 0 else { return inputEnded = true }
        inputLines += bytes[..<count].count { $0 == 0x0A }
    }

    // MARK: One turn

    private func turn(milliseconds: Int) {
        let count = poller.wait(milliseconds: milliseconds)
        for number in 0..<count {
            let (tag, readable, writable) = poller.event(number)
            guard tag != Self.inputTag else {
                readInput()
                continue
            }
            guard members[tag].phase != .closed else { continue }
            do throws(Fault) {
                if members[tag].phase == .securing {
                    try secure(tag)
                    continue
                }
                if writable { try flush(tag) }
                if readable { try receive(tag) }
            } catch {
                fail(tag, error)
            }
        }
    }

    /// Takes what has come, judges all of it, and only then asks again: a second reply to one request is found out.
    private func receive(_ index: Int) throws(Fault) {
        let wasAsked = members[index].askedAt != 0
        repeat { try take(index) } while members[index].link.mayHoldMore
        if wasAsked, members[index].askedAt == 0 { ask(index) }
    }

    private func take(_ index: Int) throws(Fault) {
        let kept = members[index].partial.count
        if kept > 0 {
            scratch.replaceSubrange(0..<kept, with: members[index].partial)
            members[index].partial.removeAll(keepingCapacity: true)
        }
        guard kept < scratch.count else { throw Fault("a reply is longer than \(scratch.count) bytes") }
        guard let count = try members[index].link.receive(into: &scratch, from: kept) else {
            members[index].partial.append(contentsOf: scratch[..<kept])
            return
        }
        guard count > 0 else { throw Fault("the server closed the connection") }
        let used = try judge(index, upTo: kept + count)
        if used < kept + count { members[index].partial.append(contentsOf: scratch[used..<(kept + count)]) }
    }

    /// - Returns: How much of `scratch` was consumed.
    private func judge(_ index: Int, upTo end: Int) throws(Fault) -> Int {
        let bytes = scratch  // a span needs a stable owner; nothing writes to it meanwhile, so nothing is copied
        var start = 0
        while start < end {
            let input = bytes.span.extracting(start..<end)
            guard members[index].phase == .open else {
                guard let count = try talk.accept(input) else { return start }
                opened(index)
                start += count
                continue
            }
            switch try talk.digest(input, &members[index].progress) {
            case .incomplete:
                return start
            case .part(let count):
                guard members[index].askedAt != 0 else { throw Fault("a reply came that nobody asked for") }
                start += count
            case .reply(let count):
                try replied(index)
                start += count
            case .aside(let count, let answer):
                if !answer.isEmpty { try transmit(answer, on: index) }
                start += count
            }
        }
        return start
    }

    private func replied(_ index: Int) throws(Fault) {
        let askedAt = members[index].askedAt
        guard askedAt != 0 else { throw Fault("a reply came that nobody asked for") }
        latency.record(Moment.now() &- askedAt)
        members[index].askedAt = 0
        outstanding -= 1
    }

    private func transmit(_ bytes: [UInt8], on index: Int) throws(Fault) {
        guard members[index].unsent.isEmpty else { return members[index].unsent.append(contentsOf: bytes) }
        let count = try members[index].link.send(bytes)
        guard count < bytes.count else { return }
        members[index].unsent = Array(bytes[count...])
        try poller.change(members[index].link.socket.descriptor, tag: index, writable: true)
    }

    private func flush(_ index: Int) throws(Fault) {
        let count = try members[index].link.send(members[index].unsent)
        members[index].unsent.removeFirst(count)
        guard members[index].unsent.isEmpty else { return }
        try poller.change(members[index].link.socket.descriptor, tag: index, writable: false)
    }

    private func fail(_ index: Int, _ fault: Fault) {
        guard members[index].phase != .closed else { return }
        if members[index].phase == .open { openCount -= 1 } else { openingCount -= 1 }
        if members[index].askedAt != 0 { outstanding -= 1 }
        members[index].phase = .closed
        members[index].link.socket.close()
        members[index].partial = []
        members[index].unsent = []
        faults[fault, default: 0] += 1
    }
}
