import CLinux
import Glibc

/// Many sockets that all speak one ``Exchange``, on one thread and one epoll.
///
/// Each socket has at most one request outstanding. A socket that gets anything but the right reply is closed and
/// counted under its reason; it is not opened again, so there are never more faults than sockets.
final class Swarm<Talk: Exchange> {
    private struct Member {
        let socket: Socket
        var phase = Phase.opening
        /// When the outstanding request was sent; zero when none is.
        var askedAt: UInt64 = 0
        /// The start of something that has not come completely.
        var partial: [UInt8] = []
        /// What the kernel did not take yet.
        var unsent: [UInt8] = []
    }

    private enum Phase { case opening, open, closed }

    /// What limits a run: whichever comes first ends it.
    struct Bounds {
        let operations: Int
        let seconds: Double
    }

    private(set) var talk: Talk
    private let poller: Poller
    private let target: Target
    private var members: [Member] = []
    private var scratch: [UInt8]

    private(set) var latency = Histogram()
    private(set) var faults: [Fault: Int] = [:]
    private(set) var openCount = 0
    private var openingCount = 0
    private var outstanding = 0
    private var toIssue = 0
    private var deadline: UInt64 = 0

    private static var inputTag: Int { Int(Int32.max) }
    private var inputEnded = false
    private var inputLines = 0

    /// - Parameter largestReply: Bytes; a longer one is a fault.
    init(_ talk: Talk, target: Target, largestReply: Int) throws(Fault) {
        self.talk = talk
        self.target = target
        poller = try Poller.make(capacity: 256)
        scratch = [UInt8](repeating: 0, count: max(256 * 1024, 2 * largestReply))
    }

    deinit { for member in members where member.phase != .closed { member.socket.close() } }

    // MARK: Opening

    /// Opens `count` sockets with at most `window` handshakes under way, which stays below any listen backlog.
    func open(_ count: Int, abortive: Bool, window: Int = 128, within seconds: Double) throws(Fault) {
        let limit = Moment.after(seconds: seconds)
        while members.count < count || openingCount > 0 {
            while members.count < count, openingCount < window { try admit(abortive: abortive) }
            turn(milliseconds: openingCount > 0 ? 100 : 0)
            guard Moment.now() < limit else {
                throw Fault("only \(openCount) of \(count) sockets were open after \(seconds) seconds")
            }
        }
    }

    private func admit(abortive: Bool) throws(Fault) {
        let socket = try Socket.connect(to: target.address, port: target.port, abortive: abortive)
        let index = members.count
        members.append(Member(socket: socket))
        openingCount += 1
        do throws(Fault) {
            try poller.add(socket.descriptor, tag: index)
            if talk.opening.isEmpty { opened(index) } else { try transmit(talk.opening, on: index) }
        } catch {
            fail(index, error)
        }
    }

    private func opened(_ index: Int) {
        members[index].phase = .open
        openingCount -= 1
        openCount += 1
    }

    // MARK: The closed loop

    /// Asks on every open socket, asks again on each reply, and returns when the bounds are reached and the last
    /// replies are in. A reply that is five seconds late is a fault.
    ///
    /// - Returns: Seconds from the first request to the last reply.
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

    /// Keeps the sockets alive, answering pings, until a line comes in on standard input or it ends.
    ///
    /// - Returns: Whether it was a line.
    func waitForLine() -> Bool {
        let before = inputLines
        while inputLines == before, !inputEnded { turn(milliseconds: 1000) }
        return inputLines > before
    }

    /// Keeps the sockets alive, answering pings, until standard input ends.
    func waitForEnd() { while !inputEnded { turn(milliseconds: 1000) } }

    /// Needed before any wait. Standard input has to be something that can be waited for.
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
                if writable { try flush(tag) }
                if readable { try receive(tag) }
            } catch {
                fail(tag, error)
            }
        }
    }

    /// Takes what has come, judges all of it, and only then asks again: a second reply to one request is found out.
    private func receive(_ index: Int) throws(Fault) {
        let kept = members[index].partial.count
        if kept > 0 {
            scratch.replaceSubrange(0..<kept, with: members[index].partial)
            members[index].partial.removeAll(keepingCapacity: true)
        }
        guard kept < scratch.count else { throw Fault("a reply is longer than \(scratch.count) bytes") }
        guard let count = try members[index].socket.receive(into: &scratch, from: kept) else {
            members[index].partial.append(contentsOf: scratch[..<kept])
            return
        }
        guard count > 0 else { throw Fault("the server closed the connection") }
        let wasAsked = members[index].askedAt != 0
        let used = try judge(index, upTo: kept + count)
        if used < kept + count { members[index].partial.append(contentsOf: scratch[used..<(kept + count)]) }
        if wasAsked, members[index].askedAt == 0 { ask(index) }
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
            switch try talk.digest(input) {
            case .incomplete:
                return start
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
        let count = try members[index].socket.send(bytes)
        guard count < bytes.count else { return }
        members[index].unsent = Array(bytes[count...])
        try poller.change(members[index].socket.descriptor, tag: index, writable: true)
    }

    private func flush(_ index: Int) throws(Fault) {
        let count = try members[index].socket.send(members[index].unsent)
        members[index].unsent.removeFirst(count)
        guard members[index].unsent.isEmpty else { return }
        try poller.change(members[index].socket.descriptor, tag: index, writable: false)
    }

    private func fail(_ index: Int, _ fault: Fault) {
        guard members[index].phase != .closed else { return }
        if members[index].phase == .opening { openingCount -= 1 } else { openCount -= 1 }
        if members[index].askedAt != 0 { outstanding -= 1 }
        members[index].phase = .closed
        members[index].socket.close()
        members[index].partial = []
        members[index].unsent = []
        faults[fault, default: 0] += 1
    }
}
