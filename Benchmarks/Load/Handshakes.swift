import CLinux
import Glibc

/// TLS connections that are made and given up again and again, a few at a time, on one thread and one epoll.
///
/// One operation is a new TCP connection, the handshake, and the arrival of the server's ticket, which it sends when it
/// has seen the whole handshake too; then the connection is closed in order. Each handshake must be of the kind asked
/// for. A slot in which something goes wrong stays empty, so there are never more faults than slots.
final class Handshakes: ClosedLoop {
    private struct Slot {
        var link: Link?
        var isComplete = false
        var startedAt: UInt64 = 0
        /// The newest one; kept only if it will be offered.
        var ticket: TLSTicket?
        var hasFailed = false
    }

    private let client: TLSClient
    private let target: Target
    private let resumes: Bool
    private let poller: Poller
    private var slots: [Slot]
    private var scratch = [UInt8](repeating: 0, count: 16 * 1024)

    private(set) var latency = Histogram()
    private(set) var faults: [Fault: Int] = [:]
    private var underWay = 0
    private var toBegin = 0
    private var deadline: UInt64 = 0
    /// The first connection of a slot has nothing to resume yet.
    private var isFirst = true

    init(_ plan: Plan, _ client: TLSClient) throws(Fault) {
        self.client = client
        target = plan.target
        resumes = plan.resumes
        poller = try Poller.make(capacity: 256)
        slots = Array(repeating: Slot(), count: plan.socketCount)
    }

    deinit { for slot in slots { slot.link?.close() } }

    var openCount: Int { slots.count { !$0.hasFailed } }
    var facts: [(String, Int)] { [("resumed", resumes ? latency.total : 0)] }

    // Between runs nothing is open that would have to be attended to.
    func watchInput() {}
    func waitForLine() -> Bool { readLine() != nil }
    func waitForEnd() { while readLine() != nil {} }

    /// A full handshake in each slot; resuming runs take their first tickets from those.
    func open() {
        isFirst = true
        _ = run(Bounds(operations: slots.count, seconds: 30))
        isFirst = false
    }

    func run(_ bounds: Bounds) -> Double {
        latency = Histogram()
        toBegin = bounds.operations
        let start = Moment.now()
        deadline = start &+ UInt64(bounds.seconds * 1e9)
        let patience = deadline &+ 5_000_000_000
        for index in slots.indices { begin(index) }
        while underWay > 0 {
            turn(milliseconds: 100)
            if Moment.now() > patience { giveUp() }
        }
        return Moment.seconds(from: start, to: Moment.now())
    }

    private func giveUp() {
        for index in slots.indices where slots[index].link != nil {
            fail(index, Fault("no handshake within five seconds of the end"))
        }
    }

    private func begin(_ index: Int) {
        let now = Moment.now()
        guard !slots[index].hasFailed, toBegin > 0, now < deadline else { return }
        toBegin -= 1
        underWay += 1
        do throws(Fault) {
            slots[index].startedAt = now
            slots[index].isComplete = false
            let socket = try Socket.connect(to: target.address, port: target.port, abortive: false)
            slots[index].link = Link(socket: socket, session: nil)
            let session = try client.session(on: socket, resuming: resumes ? slots[index].ticket : nil)
            slots[index].link = Link(socket: socket, session: session)
            try poller.add(socket.descriptor, tag: index)
            _ = try session.handshake()
        } catch {
            fail(index, error)
        }
    }

    private func turn(milliseconds: Int) {
        let count = poller.wait(milliseconds: milliseconds)
        for number in 0..<count {
            let index = poller.event(number).tag
            do throws(Fault) { try advance(index) } catch { fail(index, error) }
        }
    }

    private func advance(_ index: Int) throws(Fault) {
        guard let link = slots[index].link, let session = link.session else { return }
        if !slots[index].isComplete {
            guard try session.handshake() else { return }
            slots[index].isComplete = true
            try checkKind(session)
        }
        // Tickets come as if they were data, and no data may come: nothing was asked.
        if let count = try session.receive(into: &scratch, from: 0) {
            throw Fault(count == 0 ? "the server closed the connection" : "data came that nobody asked for")
        }
        guard let ticket = session.ticket else { return }
        latency.record(Moment.now() &- slots[index].startedAt)
        slots[index].ticket = resumes ? ticket : nil
        slots[index].link = nil
        underWay -= 1
        link.close()
        begin(index)
    }

    private func checkKind(_ session: TLSSession) throws(Fault) {
        guard session.isResumed != (resumes && !isFirst) else { return }
        throw Fault(session.isResumed ? "a session was resumed, unasked" : "a session was not resumed")
    }

    private func fail(_ index: Int, _ fault: Fault) {
        if let link = slots[index].link { link.socket.close() }
        slots[index].link = nil
        slots[index].ticket = nil
        slots[index].hasFailed = true
        underWay -= 1
        faults[fault, default: 0] += 1
    }
}
