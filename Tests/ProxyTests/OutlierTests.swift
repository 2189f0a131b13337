import PluginKit
import Testing

@testable import ProxyPlugin

private let second: UInt64 = 1_000_000_000

/// A state in a class, since `#expect` cannot call what changes a value.
private final class Watched {
    var state = OutlierState()
    private let rule: OutlierRule

    init(_ rule: OutlierRule) { self.rule = rule }

    func failed(at now: UInt64, mayEject: Bool = true) -> Bool { state.failed(at: now, rule, mayEject: mayEject) }
    func succeeded(at now: UInt64) -> Bool { state.succeeded(at: now) }
    var isOut: Bool { state.isOut }
}

@Suite("One upstream's failures")
struct OutlierStateTests {
    private let rule = OutlierRule(failures: 3, time: .seconds(10), longestTime: .seconds(35))

    private func ejected(at now: UInt64) -> Watched {
        let state = Watched(rule)
        for _ in 1...3 { _ = state.failed(at: now) }
        return state
    }

    @Test("a failure may be told after a success that came later, by another loop")
    func outOfOrder() {
        let state = ejected(at: 1)
        #expect(state.succeeded(at: 20 * second))
        for _ in 1...2 { #expect(!state.failed(at: 20 * second - 1)) }
        #expect(state.failed(at: 20 * second - 1))
        // So soon after the first, it lasts twice as long.
        #expect(state.state.ejectedUntil == 40 * second - 1)
    }

    @Test("failures in a row eject, and only in a row")
    func inARow() {
        let state = Watched(rule)
        #expect(!state.failed(at: 1))
        #expect(!state.failed(at: 1))
        #expect(!state.succeeded(at: 1))
        #expect(!state.failed(at: 1))
        #expect(!state.failed(at: 1))
        #expect(!state.isOut)
        #expect(state.failed(at: 1))
        #expect(state.state.ejectedUntil == 10 * second + 1)
    }

    @Test("what was under way when it was ejected changes nothing")
    func stragglers() {
        let state = ejected(at: 0)
        #expect(!state.failed(at: 9 * second))
        #expect(!state.succeeded(at: 9 * second))
        #expect(state.isOut && state.state.ejectedUntil == 10 * second)
    }

    @Test("on trial one failure ejects for twice as long, up to the limit, and one success ends it")
    func trial() {
        let state = ejected(at: 0)
        #expect(state.failed(at: 10 * second))
        #expect(state.state.ejectedUntil == 30 * second)
        #expect(state.failed(at: 30 * second))
        #expect(state.state.ejectedUntil == 65 * second)
        #expect(state.succeeded(at: 65 * second))
        #expect(!state.isOut && state.state.failures == 0)
    }

    @Test("the time grows for one that is back only briefly, and starts again for one that was good for as long")
    func growth() {
        let (flapping, steady) = (ejected(at: 0), ejected(at: 0))
        for state in [flapping, steady] { #expect(state.succeeded(at: 10 * second)) }
        for _ in 1...3 { _ = flapping.failed(at: 19 * second) }
        #expect(flapping.state.ejectedUntil == 39 * second)
        for _ in 1...3 { _ = steady.failed(at: 20 * second) }
        #expect(steady.state.ejectedUntil == 30 * second)
    }

    @Test("it stays as long as too few others would be left, and goes when they are there again")
    func protected() {
        let state = Watched(rule)
        for _ in 1...9 { _ = state.failed(at: 0, mayEject: false) }
        #expect(!state.isOut)
        #expect(state.failed(at: 0))
    }

    @Test("a rule of zero failures ejects nobody")
    func never() {
        let state = Watched(OutlierRule(failures: 0))
        for _ in 1...99 { _ = state.failed(at: 0) }
        #expect(!state.isOut)
    }

    @Test("the longest time holds, however many strikes there are", arguments: [3, 33, 70, 100_000])
    func longest(_ strike: Int) {
        #expect(rule.time(ofStrike: strike) == 35 * second)
        #expect(
            OutlierRule(time: .seconds(3600), longestTime: .seconds(86400)).time(ofStrike: strike) <= 86400 * second)
    }
}

@Suite("A group of upstreams")
struct UpstreamGroupTests {
    private func group(_ count: Int, failures: Int = 1) throws -> UpstreamGroup {
        let members = try (0..<count).map { UpstreamMember(try ProxyTarget("http://h\($0)")) }
        return UpstreamGroup(members, rule: OutlierRule(failures: failures, time: .seconds(10)))
    }

    private func lease(_ group: UpstreamGroup, at now: UInt64 = 0, except tried: UInt32 = 0) throws -> UpstreamLease {
        try #require(group.lease(.request, except: tried, at: now))
    }

    @Test("the gauge of an upstream that is gone does not go on saying that it is left alone")
    func gauge() throws {
        let ejected = try Metrics(loops: 1).gauge("ejected", "Upstreams left alone.")
        func member(_ name: String) throws -> UpstreamMember {
            UpstreamMember(try ProxyTarget("http://\(name)"), metrics: UpstreamMember.Metrics(ejected: ejected))
        }
        func makeGroup() throws -> UpstreamGroup {
            UpstreamGroup(
                [try member("a"), UpstreamMember(try ProxyTarget("http://b"))],
                rule: OutlierRule(failures: 1, time: .seconds(10)))
        }
        var old: UpstreamGroup? = try makeGroup()
        old?.failed(0, at: 0)
        old?.failed(0, at: 11 * second)
        #expect(ejected.value == 1)
        let new = try makeGroup()
        old = nil
        #expect(ejected.value == 0)
        new.failed(0, at: 0)
        #expect(ejected.value == 1)
        new.succeeded(0, at: 11 * second)
        #expect(ejected.value == 0)
    }

    @Test("work under way is spread evenly")
    func even() throws {
        let group = try group(4)
        let leases = try (0..<40).map { _ in try lease(group) }
        #expect(group.members.map { $0.load(of: .request) } == [10, 10, 10, 10])
        withExtendedLifetime(leases) {}
    }

    @Test("whoever finishes gets the next, and a lease that is let go no longer counts")
    func fewest() throws {
        let group = try group(3)
        var leases = try (0..<9).map { _ in try lease(group) }
        let gone = leases.remove(at: 4).target
        for _ in 0..<5 { #expect(try lease(group).target == gone) }
        leases.removeAll()
        #expect(group.members.allSatisfy { $0.load(of: .request) == 0 })
    }

    @Test("among equals all are chosen, in no fixed order")
    func ties() throws {
        let group = try group(3)
        let chosen = try (0..<300).map { _ in try lease(group).bit }
        #expect(Set(chosen) == [1, 2, 4])
        #expect(Set((0..<290).map { Array(chosen[$0..<$0 + 6]) }).count > 6)
    }

    @Test("open sockets do not keep requests away")
    func sockets() throws {
        let group = try group(2)
        let request = try lease(group)
        let sockets = (0..<10).compactMap { _ in group.lease(.socket, at: 0) }
        #expect(group.members.map { $0.load(of: .socket) } == [5, 5])
        #expect(try lease(group).target != request.target)
        withExtendedLifetime((request, sockets)) {}
    }

    @Test("a second try goes to another, and there is none when all were tried")
    func others() throws {
        let group = try group(2)
        let first = try lease(group)
        #expect(try lease(group, except: first.bit).target != first.target)
        #expect(group.lease(.request, except: 0b11, at: 0) == nil)
    }

    @Test("at most half are ejected", arguments: [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (32, 16)])
    func half(_ count: Int, _ most: Int) throws {
        let group = try group(count)
        for place in 0..<count { group.failed(place, at: 0) }
        #expect(group.members.count { $0.isOut } == most)
        #expect(group.failing == count)
        let chosen = try (0..<200).map { _ in try lease(group).bit.trailingZeroBitCount }
        #expect(chosen.allSatisfy { !group.members[$0].isOut })
    }

    @Test("an ejected one is still asked when nobody else is left")
    func panic() throws {
        let group = try group(2)
        group.failed(0, at: 0)
        #expect(try lease(group, except: 0b10).bit == 0b01)
    }

    @Test("back from an ejection it gets one request at a time, until that is answered")
    func trial() throws {
        let group = try group(2)
        group.failed(0, at: 0)
        let held = try (0..<3).map { _ in try lease(group, at: second) }
        #expect(held.allSatisfy { $0.bit == 0b10 })
        let trial = try lease(group, at: 10 * second)
        #expect(trial.bit == 0b01)
        #expect(try lease(group, at: 10 * second).bit == 0b10)
        trial.succeeded(at: 10 * second)
        #expect(!group.members[0].isOut && group.failing == 0)
        #expect(try lease(group, at: 10 * second).bit == 0b01)
    }

    @Test("a trial that brings no verdict leaves room for the next")
    func noVerdict() throws {
        let group = try group(2)
        group.failed(0, at: 0)
        let busy = try (0..<3).map { _ in try lease(group) }
        #expect(try lease(group, at: 10 * second).bit == 0b01)
        #expect(try lease(group, at: 10 * second).bit == 0b01)
        withExtendedLifetime(busy) {}
    }

    @Test("a trial that stays open as a socket does not stand in the way of the next one")
    func longTrial() throws {
        let group = try group(2)
        group.failed(0, at: 0)
        let busy = (0..<3).compactMap { _ in group.lease(.socket, at: 0) }
        let socket = try #require(group.lease(.socket, at: 10 * second))
        socket.succeeded(at: 10 * second)
        group.failed(0, at: 11 * second)
        #expect(group.members[0].isOut)
        #expect(try lease(group, at: 100 * second, except: 0b10).bit == 0b01)
        #expect(group.members[0].isAvailable(at: 100 * second))
        withExtendedLifetime((busy, socket)) {}
    }
}

@Suite("The budget of retries")
struct RetryBudgetTests {
    private func spent(_ budget: RetryBudget) -> Int { (0..<1000).count { _ in budget.spend() } }

    @Test("a quiet route may retry ten times, and no more without requests")
    func reserve() {
        #expect(spent(RetryBudget(percent: 20)) == 10)
    }

    @Test("after that a share of the requests is earned", arguments: [1, 20, 100])
    func share(_ percent: Int) {
        let budget = RetryBudget(percent: percent)
        _ = spent(budget)
        var retries = 0
        for _ in 0..<1000 {
            budget.earn()
            if budget.spend() { retries += 1 }
        }
        #expect(retries == 10 * percent)
    }

    @Test("what is not spent does not pile up")
    func full() {
        let budget = RetryBudget(percent: 20)
        for _ in 0..<10_000 { budget.earn() }
        #expect(spent(budget) == 10)
    }

    @Test("zero turns retries off")
    func off() {
        let budget = RetryBudget(percent: 0)
        budget.earn()
        #expect(spent(budget) == 0)
    }
}
