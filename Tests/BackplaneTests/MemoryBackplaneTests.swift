import BackplaneConformance
import Synchronization
import Testing

@testable import GatewayBackplane

private let second: UInt64 = 1_000_000_000

/// A clock that goes on when it is told to.
private final class Clock: Sendable {
    private let time = Atomic<UInt64>(1_000_000_000)

    var now: UInt64 { time.load(ordering: .relaxed) }
    func advance(_ nanoseconds: UInt64) { time.wrappingAdd(nanoseconds, ordering: .relaxed) }
}

@Suite("The backplane in memory")
struct MemoryBackplaneTests {
    @Test("keeps the contract of every driver", arguments: BackplaneContract.cases)
    func contract(_ item: BackplaneContract.Case) async throws {
        let clock = Clock()
        try await item.run(
            BackplaneUnderTest(MemoryBackplane(), now: { clock.now }, advance: { clock.advance($0) }))
    }

    private static let space = BackplaneSpace("test")

    private static func key(_ number: UInt64) -> BackplaneKey { BackplaneKey(space, number, 0) }

    private static func ask(
        _ backplane: MemoryBackplane, _ number: UInt64, _ operation: BackplaneOperation, now: UInt64 = second
    ) -> BackplaneAnswer? {
        var tasks = [BackplaneTask(key(number), operation)]
        guard backplane.performAtOnce(&tasks, now: now) else { return nil }
        return tasks[0].answer
    }

    @Test("leases that ended by themselves are counted off once")
    func leaseCount() {
        var table = LeaseTable(capacity: 4)
        for number in 0..<3 {
            _ = table.hold(Self.key(1), LeaseID(UInt64(number)), limit: 9, until: 2 * second, now: second)
        }
        _ = table.hold(Self.key(2), LeaseID(9), limit: 9, until: 90 * second, now: second)
        #expect(table.count == 4)
        // There is room once the three are swept away, which this very key had.
        #expect(table.hold(Self.key(1), LeaseID(3), limit: 9, until: 90 * second, now: 20 * second) == 8)
        #expect(table.count == 2)
        table.release(Self.key(1), LeaseID(3))
        table.release(Self.key(2), LeaseID(9))
        #expect(table.count == 0)
    }

    @Test("answers at once, so that nobody suspends")
    func atOnce() {
        #expect(Self.ask(MemoryBackplane(), 1, .take(.perMinute(1), cost: 1))?.isGranted == true)
    }

    @Test("below what it has room for, hardly anybody is forgotten")
    func capacity() {
        let backplane = MemoryBackplane(limits: MemoryBackplane.Limits(keys: 4096))
        for number in 0..<2048 { _ = Self.ask(backplane, UInt64(number), .take(.perMinute(1), cost: 1)) }
        let forgotten = (0..<2048).filter {
            Self.ask(backplane, UInt64($0), .take(.perMinute(1), cost: 0))?.count != 0
        }
        // Keys fall unevenly: in one table of six there are nine where eight have room.
        #expect(forgotten.count < 20)
        #expect(backplane.figures(at: second).keys > 2048 - 20)
    }

    @Test("a flood of strangers makes it forget strangers: nobody who is blocked comes free")
    func flood() {
        let backplane = MemoryBackplane(limits: MemoryBackplane.Limits(keys: 1024))
        let block = StrikeRule(threshold: 1, window: 60 * second, hold: 3600 * second)
        for number in 0..<64 { _ = Self.ask(backplane, UInt64(number), .strike(block, adding: 1)) }
        for number in 1000..<101_000 { _ = Self.ask(backplane, UInt64(number), .take(.perMinute(100), cost: 1)) }
        let free = (0..<64).filter {
            Self.ask(backplane, UInt64($0), .strike(block, adding: 0))?.isGranted != false
        }
        #expect(free.isEmpty)
        let figures = backplane.figures(at: second)
        #expect(figures.keys <= 2 * 1024)
        #expect(figures.evicted > 90_000)
    }

    @Test("the newest stranger of a flood is limited all the same")
    func newest() {
        let backplane = MemoryBackplane(limits: MemoryBackplane.Limits(keys: 1024))
        for number in 0..<100_000 { _ = Self.ask(backplane, UInt64(number), .take(.perMinute(100), cost: 1)) }
        for _ in 0..<100 { _ = Self.ask(backplane, 1 << 40, .take(.perMinute(100), cost: 1)) }
        #expect(Self.ask(backplane, 1 << 40, .take(.perMinute(100), cost: 1))?.isGranted == false)
    }

    @Test("what has ended makes room without being looked for")
    func expiry() {
        let backplane = MemoryBackplane(limits: MemoryBackplane.Limits(keys: 1024))
        for round in 0..<50 {
            let now = second + UInt64(round) * 61 * second
            for number in 0..<500 {
                _ = Self.ask(backplane, UInt64(round * 1000 + number), .take(.perMinute(1), cost: 1), now: now)
            }
        }
        #expect(backplane.figures(at: .max / 2).keys == 0)
        let figures = backplane.figures(at: second + 49 * 61 * second)
        #expect(figures.keys + Int(figures.evicted) >= 500)
        #expect(figures.evicted < 250)
    }

    @Test("questions leave nothing behind")
    func questions() {
        let backplane = MemoryBackplane()
        let rule = StrikeRule(threshold: 3, window: second, hold: second)
        for number in 0..<1000 {
            _ = Self.ask(backplane, UInt64(number), .take(.perMinute(1), cost: 0))
            _ = Self.ask(backplane, UInt64(number), .strike(rule, adding: 0))
        }
        #expect(backplane.figures(at: second) == MemoryBackplane.Figures())
    }

    private static func hold(_ lease: UInt64, lasting: UInt64 = 60 * second) -> BackplaneOperation {
        .hold(lease: LeaseID(lease), limit: 1000, lasting: lasting)
    }

    @Test("beyond its leases no place is given, and those that ended make room")
    func leases() {
        let backplane = MemoryBackplane(limits: MemoryBackplane.Limits(leases: 16))
        // One for each shard, so a key has room for one.
        for lease in 0..<10 { _ = Self.ask(backplane, 1, Self.hold(UInt64(lease), lasting: 2 * second)) }
        var figures = backplane.figures(at: second)
        #expect(figures.leases == 1)
        #expect(figures.crowdedOut == 9)
        #expect(Self.ask(backplane, 1, Self.hold(20), now: 3 * second)?.isGranted == true)
        // Another key of the same shard finds the room of one that nobody gave back.
        let other = (2...10_000).first { number in
            _ = Self.ask(backplane, UInt64(number), Self.hold(UInt64(number)), now: 3 * second)
            return backplane.figures(at: second).crowdedOut > figures.crowdedOut
        }
        figures = backplane.figures(at: second)
        let number = UInt64(other ?? 0)
        #expect(Self.ask(backplane, number, Self.hold(number), now: 3 * second + 10)?.isGranted == false)
        #expect(Self.ask(backplane, number, Self.hold(number), now: 70 * second)?.isGranted == true)
    }

    @Test("each process scatters keys in its own way")
    func seeds() {
        #expect(KeyHash()(1, 2, 3) != KeyHash()(1, 2, 3))
        let hash = KeyHash()
        #expect(hash(1, 2, 3) == hash(1, 2, 3))
        #expect(Set((0..<1000).map { hash(1, $0, 0) & 1023 }).count > 500)
    }
}
