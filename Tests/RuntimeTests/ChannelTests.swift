import GatewayTestSupport
import Glibc
import Testing

@testable import GatewayRuntime

@Suite("Channels")
struct ChannelTests {
    /// The same file under a number that no other test is given meanwhile: the system gives the lowest that is free.
    private static func raised(_ descriptor: CInt) -> CInt {
        defer { close(descriptor) }
        return fcntl(descriptor, F_DUPFD_CLOEXEC, 900)
    }

    /// A connected pair of sockets.
    static func pair() -> (CInt, CInt) {
        var ends: [CInt] = [-1, -1]
        _ = unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &ends)
        return (ends[0], ends[1])
    }

    private final class Probe: Channel {
        let loop: EventLoop
        var descriptor: WatchedDescriptor
        var events = 0
        var onReady: (Probe) -> Void

        init(_ descriptor: CInt, _ loop: EventLoop, _ onReady: @escaping (Probe) -> Void = { _ in }) {
            self.loop = loop
            self.descriptor = WatchedDescriptor(owning: descriptor)
            self.onReady = onReady
        }

        func start(_ interest: Readiness = .readable) throws { try descriptor.watch(interest, for: self, on: loop) }

        func ready(_ readiness: Readiness) {
            events += 1
            onReady(self)
        }
    }

    private static func poke(_ descriptor: CInt) {
        var byte: UInt8 = 1
        _ = unsafe write(descriptor, &byte, 1)
    }

    @Test("a channel closed while its event waits in the same batch is not called")
    func closedInBatch() throws {
        let events = try LoopThread.with { loop in
            let (left, leftPeer) = Self.pair()
            let (right, rightPeer) = Self.pair()
            var probes: [Probe] = []
            let done = LoopWait()
            // Whichever is called first closes the other.
            let closeOther: (Probe) -> Void = { called in
                for probe in probes { if probe !== called { probe.descriptor.close(on: loop) } }
                called.descriptor.close(on: loop)
                done.wake()
            }
            probes = [Probe(left, loop, closeOther), Probe(right, loop, closeOther)]
            for probe in probes { try probe.start() }
            Self.poke(leftPeer)
            Self.poke(rightPeer)
            _ = await done.run(on: loop)
            await loop.nextTurn()
            await loop.nextTurn()
            let events = probes.map(\.events)
            probes = []
            close(leftPeer)
            close(rightPeer)
            return events
        }
        #expect(events.sorted() == [0, 1])
    }

    @Test("what the kernel told at the beginning of a turn is news until the channel was told")
    func news() throws {
        let outcome = try LoopThread.with { loop in
            let (left, leftPeer) = Self.pair()
            let (right, rightPeer) = Self.pair()
            var probes: [Probe] = []
            var news: [Bool] = []
            let done = LoopWait()
            probes = [left, right].map {
                Probe($0, loop) { called in
                    for probe in probes where probe !== called { news.append(probe.descriptor.hasNews(on: loop)) }
                    if news.count == 2 { done.wake() }
                }
            }
            let unwatched = probes.map { $0.descriptor.hasNews(on: loop) }
            for probe in probes { try probe.start() }
            Self.poke(leftPeer)
            Self.poke(rightPeer)
            let unasked = probes.map { $0.descriptor.hasNews(on: loop) }
            _ = await done.run(on: loop)
            for probe in probes { probe.descriptor.close(on: loop) }
            probes = []
            close(leftPeer)
            close(rightPeer)
            return (unwatched, unasked, news)
        }
        #expect(outcome.0 == [true, true])
        // The kernel is asked at the beginning of a turn, so what has just come is none yet.
        #expect(outcome.1 == [false, false])
        #expect(outcome.2 == [true, false])
    }

    @Test("nothing is known of any channel when a turn has room for no more events")
    func fullBatch() throws {
        var limits = RuntimeLimits()
        limits.eventsPerTurn = 1
        let isNews = try LoopThread.with(limits: limits) { loop in
            let (descriptor, peer) = Self.pair()
            let done = LoopWait()
            var isNews = false
            let probe = Probe(descriptor, loop) { called in
                isNews = called.descriptor.hasNews(on: loop)
                called.descriptor.close(on: loop)
                done.wake()
            }
            try probe.start()
            Self.poke(peer)
            _ = await done.run(on: loop)
            close(peer)
            return isNews
        }
        #expect(isNews)
    }

    @Test("a descriptor number that is used again within a batch does not get the old one's event")
    func numberReused() throws {
        let outcome = try LoopThread.with { loop in
            let (lowLeft, leftPeer) = Self.pair()
            let (lowRight, rightPeer) = Self.pair()
            let (left, right) = (Self.raised(lowLeft), Self.raised(lowRight))
            var replacements: [Probe] = []
            var spare: [CInt] = []
            var probes: [Probe] = []
            let done = LoopWait()
            let replaceOther: (Probe) -> Void = { called in
                guard let other = probes.first(where: { $0 !== called }) else { return }
                // The same number, another file, and nothing to read on it.
                let (fresh, freshPeer) = Self.pair()
                spare.append(freshPeer)
                let number = other.descriptor.number
                other.descriptor.close(on: loop)
                called.descriptor.close(on: loop)
                let placed = dup2(fresh, number)
                close(fresh)
                let replacement = Probe(placed, loop)
                try? replacement.start()
                replacements.append(replacement)
                done.wake()
            }
            probes = [Probe(left, loop, replaceOther), Probe(right, loop, replaceOther)]
            for probe in probes { try probe.start() }
            Self.poke(leftPeer)
            Self.poke(rightPeer)
            _ = await done.run(on: loop)
            await loop.nextTurn()
            await loop.nextTurn()
            let outcome = (probes.map(\.events).reduce(0, +), replacements.count, replacements.first?.events)
            probes = []  // they hold what holds them
            for replacement in replacements { replacement.descriptor.close(on: loop) }
            for descriptor in spare + [leftPeer, rightPeer] { close(descriptor) }
            return (outcome.0, outcome.1, outcome.2 ?? -1)
        }
        #expect(outcome.0 == 1)
        #expect(outcome.1 == 1)
        #expect(outcome.2 == 0)
    }

    @Test("the loop keeps a watched channel alive and lets it go once it is closed")
    func lifetime() throws {
        let seen = try LoopThread.with { loop in
            let (own, peer) = Self.pair()
            weak var seen: Probe?
            do {
                let probe = Probe(own, loop)
                try probe.start()
                seen = probe
            }
            await loop.nextTurn()
            let whileOpen = seen != nil
            seen?.descriptor.close(on: loop)
            await loop.nextTurn()
            await loop.nextTurn()
            close(peer)
            return (whileOpen, seen == nil)
        }
        #expect(seen.0)
        #expect(seen.1)
    }

    @Test("a surrendered descriptor stays open and is watched no more")
    func surrender() throws {
        let outcome = try LoopThread.with { loop in
            let (own, peer) = Self.pair()
            let probe = Probe(own, loop)
            try probe.start()
            let number = probe.descriptor.surrender(on: loop)
            Self.poke(peer)
            await loop.nextTurn()
            await loop.nextTurn()
            var byte: UInt8 = 0
            let count = unsafe read(number, &byte, 1)
            close(number)
            close(peer)
            return (probe.events, count, probe.descriptor.isOpen)
        }
        #expect(outcome.0 == 0)
        #expect(outcome.1 == 1)
        #expect(!outcome.2)
    }

    @Test("a descriptor that cannot be watched is an error, and nothing is left behind")
    func cannotWatch() throws {
        let thrown = try LoopThread.with { loop in
            let file = unsafe open("/proc/self/status", O_RDONLY)  // epoll takes no plain files
            let probe = Probe(file, loop)
            do {
                try probe.start()
                return false
            } catch {
                probe.descriptor.close(on: loop)
                return true
            }
        }
        #expect(thrown)
    }

    @Test(
        "hung up is either bit or both",
        arguments: [0x10, 0x08, 0x18] as [UInt32])
    func hungUp(_ bits: UInt32) {
        #expect(Readiness(rawValue: bits).isHungUp)
        #expect(Readiness(rawValue: bits | 0x01).isHungUp)
        #expect(!Readiness([.readable, .writable, .peerFinished]).isHungUp)
    }

    @Test("jobs leave the ring in the order they came, however it wraps and grows")
    func jobRing() throws {
        // Jobs cannot be made by hand: tasks on a loop with a small ring take the same way.
        let order = try LoopThread.with { loop in
            var order: [Int] = []
            var tasks: [Task<Void, Never>] = []
            for round in 0..<3 {
                for number in 0..<700 {
                    tasks.append(loop.launch { order.append(round * 700 + number) })
                }
                for task in tasks { await task.value }
                tasks = []
            }
            return order
        }
        #expect(order == Array(0..<2_100))
    }

    @Test("capacities are rounded up to powers of two", arguments: [(1, 2), (2, 2), (3, 4), (256, 256), (257, 512)])
    func rounding(_ given: Int, _ expected: Int) {
        #expect(given.roundedUpToPowerOfTwo == expected)
    }
}
