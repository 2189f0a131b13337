import GatewayAuth
import GatewayBackplane
import GatewayConfig
import GatewayHTTP
import GatewayRuntime
import GatewayTelemetry
import GatewayTestSupport
import Synchronization
import Testing

@testable import PluginKit

private let second: UInt64 = 1_000_000_000

/// A driver over a network: never answers at once.
private final class Remote: Backplane {
    let store = MemoryBackplane()
    let journeys = Atomic<Int>(0)

    func performAtOnce(_ tasks: inout [BackplaneTask], now: UInt64) -> Bool { false }

    func perform(_ tasks: inout [BackplaneTask], now: UInt64) async {
        journeys.wrappingAdd(1, ordering: .relaxed)
        await EventLoop.current?.nextTurn()
        _ = store.performAtOnce(&tasks, now: now)
    }
}

/// Limits without a server around them.
private struct Stand {
    let backplane: any Backplane
    let service: RateLimitService
    let violations: MetricFamily<Counter>

    init(_ backplane: any Backplane = MemoryBackplane(), _ settings: [String: String] = [:]) {
        self.backplane = backplane
        service = RateLimitService(backplane: backplane, settings: Self.settings(settings))
        violations = .unregistered(labels: ["limit", "kind"])
    }

    static func settings(_ environment: [String: String]) -> RateLimitSettings {
        var env = SettingsReader(environment: environment) { (_, _) throws(SettingError) in [] }
        let settings = RateLimitSettings(from: &env)
        #expect(env.problems.isEmpty)
        return settings
    }

    static func problems(_ environment: [String: String]) -> [String] {
        var env = SettingsReader(environment: environment) { (_, _) throws(SettingError) in [] }
        _ = RateLimitSettings(from: &env)
        return env.problems.map(\.description)
    }

    func limit(_ rules: RateRules = RateRules(), named name: String = "test.limit") -> RateLimit {
        RateLimit(
            name, rules, limiting: RateLimiting(service: service, violations: violations),
            log: LogSystem(level: .error, format: .text, sink: LogSink(limit: .zero) { _ in true }).logger("test"))
    }
}

extension RateLimit {
    /// Asks for one request, at a moment of the test's choice.
    fileprivate func ask(
        _ subject: RateSubject, _ use: RateUse = .request, holding: Bool = false, at seconds: Double = 0
    ) -> RateRefusal? {
        let now = MonotonicTime(nanoseconds: second + UInt64(seconds * 1e9))
        var check = RateCheck(core, use, of: subject, holding: holding, now: now)
        let isDone = check.runAtOnce()
        #expect(isDone)
        return check.refusal
    }

    /// Requests granted before the first refusal.
    fileprivate func drain(_ subject: RateSubject, at seconds: Double = 0) -> Int {
        for taken in 0..<5000 where ask(subject, at: seconds) != nil { return taken }
        return 5000
    }
}

@Suite("Limits")
struct RateLimitTests {
    private static func user(_ subject: String = "ada", tier: String? = nil) -> RateSubject {
        RateSubject(Principal(subject: subject, issuer: "https://issuer.test", expiry: 1e12, tier: tier))
    }

    private static func stranger(_ address: String, isShared: Bool = false) throws -> RateSubject {
        let address = try #require(IPAddress(address))
        return try LoopThread.with { loop in
            let request = Request(
                loop: loop, peer: .loopback(port: 1), isSecure: false, body: RequestBody(source: NoBody()),
                id: RequestID(high: 0, low: 1))
            request.client.address = address
            request.client.isShared = isShared
            return RateSubject(of: request)
        }
    }

    // MARK: Users

    @Test("a user has the guide's hundred requests a minute, whatever others use")
    func users() {
        let limit = Stand().limit()
        #expect(limit.drain(Self.user("ada")) == 100)
        #expect(limit.drain(Self.user("bob")) == 100)
        let refusal = limit.ask(Self.user("ada"))
        #expect(refusal?.kind == .requests)
        #expect(refusal?.isOfUser == true)
        #expect(refusal?.limit == 100)
        #expect(refusal?.retryAfter == .milliseconds(600))
        #expect(refusal?.retryAfterSeconds == 1)
        #expect(refusal?.tier == "free")
        #expect(limit.drain(Self.user("ada"), at: 6) == 10)
    }

    @Test("one subject of two issuers is two users")
    func issuers() {
        let limit = Stand().limit()
        #expect(limit.drain(Self.user()) == 100)
        let other = Principal(subject: "ada", issuer: "https://other.test", expiry: 1e12)
        #expect(limit.drain(RateSubject(other)) == 100)
    }

    @Test(
        "a token's tier decides, and a word that nobody set means the standard",
        arguments: [("premium", 300), ("enterprise", 1000), ("free", 100), ("Premium", 100), ("admin", 100)])
    func tiers(_ tier: String, _ expected: Int) {
        #expect(Stand().limit().drain(Self.user(tier: tier)) == expected)
    }

    @Test("tiers are a setting, and so is what everybody has")
    func settings() {
        let stand = Stand(
            MemoryBackplane(),
            ["RATE_LIMIT_TIERS": "gold=7/0, silver = 0/2,\n\tbronze = 5 / 1 ,", "RATE_LIMIT_REQUESTS_PER_MINUTE": "4"])
        let limit = stand.limit()
        #expect(limit.drain(Self.user("a", tier: "gold")) == 7)
        #expect(limit.drain(Self.user("b", tier: "silver")) == 5000)
        #expect(limit.drain(Self.user("c", tier: "premium")) == 4)
        #expect(limit.drain(Self.user("d", tier: "bronze")) == 5)
    }

    @Test(
        "tiers that say nothing clear stop the start",
        arguments: [
            "premium", "premium=1", "premium=1/", "=1/1", "premium=-1/1", "a=1/1,a=2/2", "a=b=1/1", "a=1/1/1",
            "pre mium=1/1", "premium=30 0/5", "premium=300/5 0", "a=1/1 b=1/1", "a=1/1,a = 2/2",
        ])
    func badTiers(_ text: String) {
        #expect(Stand.problems(["RATE_LIMIT_TIERS": text]).count == 1)
    }

    @Test("no more tiers than the limit are taken")
    func tooManyTiers() {
        let tiers = (0..<33).map { "t\($0)=1/1" }.joined(separator: ",")
        #expect(Stand.problems(["RATE_LIMIT_TIERS": tiers]).count == 1)
    }

    @Test("new settings hold at once, and what was used counts under them")
    func adoption() {
        let stand = Stand()
        let limit = stand.limit()
        for _ in 0..<90 { #expect(limit.ask(Self.user()) == nil) }
        stand.service.adopt(Stand.settings(["RATE_LIMIT_REQUESTS_PER_MINUTE": "200"]))
        #expect(limit.drain(Self.user()) == 20)
        // A plugin that is made anew goes on counting.
        #expect(stand.limit().ask(Self.user())?.kind == .requests)
        #expect(stand.limit(named: "test.other").drain(Self.user()) == 200)
    }

    @Test("messages and bytes have rates of their own, and requests in messages count with all others")
    func messages() {
        let allowance = RateAllowance(
            requests: .perMinute(3), messages: .perMinute(5), bytes: Rate(1000, per: second))
        let limit = Stand().limit(RateRules(users: .tiers(RateTiers(allowance))))
        for _ in 0..<5 { #expect(limit.ask(Self.user(), RateUse(messages: 1, bytes: 100)) == nil) }
        #expect(limit.ask(Self.user(), RateUse(messages: 1))?.kind == .messages)
        let refusal = limit.ask(Self.user(), RateUse(bytes: 600))
        #expect(refusal?.kind == .bytes)
        #expect(refusal?.retryAfter == .milliseconds(100))
        #expect(limit.ask(Self.user(), RateUse(bytes: 600), at: 0.1) == nil)
        #expect(limit.ask(Self.user()) == nil)
        #expect(limit.ask(Self.user(), RateUse(requests: 2)) == nil)
        #expect(limit.ask(Self.user())?.kind == .requests)
    }

    @Test("a place is taken for each request at once, and refused beyond the limit")
    func places() {
        let limit = Stand().limit()
        for _ in 0..<3 { #expect(limit.ask(Self.user(), holding: true) == nil) }
        let refusal = limit.ask(Self.user(), holding: true)
        #expect(refusal?.kind == .concurrent)
        #expect(refusal?.limit == 3)
        #expect(refusal?.retryAfterSeconds == 1)
        #expect(limit.ask(Self.user(tier: "premium"), holding: true) == nil)
        // Who is gone without giving back: free in a minute.
        #expect(limit.ask(Self.user("ada"), holding: true, at: 59) != nil)
        #expect(limit.ask(Self.user("ada"), holding: true, at: 61) == nil)
    }

    // MARK: Addresses

    @Test("strangers are counted by address: an IPv4 address, or the network that a customer has")
    func addresses() throws {
        let limit = Stand().limit(RateRules(addresses: .settings))
        #expect(limit.drain(try Self.stranger("192.0.2.1")) == 200)
        #expect(limit.drain(try Self.stranger("192.0.2.2")) == 200)
        #expect(limit.ask(try Self.stranger("::ffff:192.0.2.1"))?.isOfUser == false)
        #expect(limit.drain(try Self.stranger("2001:db8::1")) == 200)
        #expect(limit.ask(try Self.stranger("2001:db8::ffff:ffff:ffff:ffff"))?.kind == .requests)
        #expect(limit.drain(try Self.stranger("2001:db8:0:1::1")) == 200)
        #expect(limit.drain(try Self.stranger("::192.0.2.1")) == 200)
    }

    @Test("how much of an IPv6 address is a customer is a setting")
    func prefix() throws {
        let limit = Stand(MemoryBackplane(), ["RATE_LIMIT_IPV6_PREFIX": "48"]).limit(RateRules(addresses: .settings))
        #expect(limit.drain(try Self.stranger("2001:db8:0:1::1")) == 200)
        #expect(limit.ask(try Self.stranger("2001:db8:0:ffff::1")) != nil)
        #expect(limit.ask(try Self.stranger("2001:db8:1::1")) == nil)
        let whole = Stand(MemoryBackplane(), ["RATE_LIMIT_IPV6_PREFIX": "128"]).limit(RateRules(addresses: .settings))
        #expect(whole.drain(try Self.stranger("2001:db8::1")) == 200)
        #expect(whole.ask(try Self.stranger("2001:db8::2")) == nil)
    }

    @Test("an address that speaks for many is never limited")
    func shared() throws {
        let limit = Stand().limit(RateRules(addresses: .settings))
        #expect(limit.drain(try Self.stranger("10.0.0.1", isShared: true)) == 5000)
    }

    @Test("users are spared the rule for addresses, unless it is for everybody")
    func whom() throws {
        let limit = Stand().limit(RateRules(users: .unlimited, addresses: .settings))
        #expect(limit.drain(Self.user()) == 5000)
        let strict = Stand().limit(
            RateRules(users: .unlimited, addresses: .rule(AddressRule(.perMinute(2), whom: .everybody))))
        let subject = try LoopThread.with { loop in
            let request = Request(
                loop: loop, peer: .loopback(port: 1), isSecure: false, body: RequestBody(source: NoBody()),
                id: RequestID(high: 0, low: 1))
            request.principal = Principal(subject: "ada", issuer: "x", expiry: 1e12)
            return RateSubject(of: request)
        }
        #expect(strict.drain(subject) == 2)
        #expect(strict.ask(subject)?.tier == nil)
    }

    @Test("who goes on after refusals becomes suspicious, then blocked, and comes free again")
    func escalation() throws {
        let limit = Stand().limit(RateRules(addresses: .settings))
        let stranger = try Self.stranger("192.0.2.1")
        #expect(limit.drain(stranger) == 200)
        // Four seconds with refusals later the fifth makes it suspicious.
        for at in 1..<5 { for _ in 0..<50 { _ = limit.ask(stranger, at: Double(at)) } }
        // A minute on, everybody else has two hundred requests again.
        #expect(limit.drain(stranger, at: 100) == 10)
        #expect(limit.drain(stranger, at: 106) == 1)
        for at in 107..<120 { for _ in 0..<5 { _ = limit.ask(stranger, at: Double(at)) } }
        let blocked = limit.ask(stranger, at: 120)
        #expect(blocked?.kind == .blocked)
        #expect((3500...3600).contains(blocked?.retryAfterSeconds ?? 0))
        #expect(limit.ask(try Self.stranger("192.0.2.2"), at: 120) == nil)
        #expect(limit.ask(stranger, at: 3000)?.kind == .blocked)
        #expect(limit.drain(stranger, at: 4000) == 200)
    }

    @Test("many refusals within a second are one violation")
    func pace() throws {
        let limit = Stand().limit(RateRules(addresses: .settings))
        let stranger = try Self.stranger("192.0.2.1")
        #expect(limit.drain(stranger) == 200)
        for _ in 0..<1000 { #expect(limit.ask(stranger)?.kind == .requests) }
        #expect(limit.drain(stranger, at: 61) == 200)
    }

    @Test("a user gets in at an address that is blocked")
    func userAtBlockedAddress() throws {
        let rule = AddressRule(
            .perMinute(1),
            escalation: AddressRule.Escalation(
                suspiciousAfter: 1, suspiciousRate: .perMinute(1),
                block: StrikeRule(threshold: 1, window: 60 * second, hold: 60 * second)))
        let limit = Stand().limit(RateRules(addresses: .rule(rule)))
        let stranger = try Self.stranger("127.0.0.1")
        for _ in 0..<3 { _ = limit.ask(stranger) }
        #expect(limit.ask(stranger)?.kind == .blocked)
        #expect(limit.ask(Self.user()) == nil)
    }

    // MARK: Elsewhere

    @Test("with the facts on another machine a check waits, and decides the same")
    func remote() throws {
        let remote = Remote()
        let stand = Stand(remote, ["RATE_LIMIT_REQUESTS_PER_MINUTE": "2", "RATE_LIMIT_MAX_CONCURRENT": "1"])
        let limit = stand.limit()
        let user = Self.user()
        let (first, second, kinds, journeys) = try LoopThread.with { loop in
            guard case .undecided(let question) = limit.check(.request, of: user, on: loop) else {
                return (false, false, [] as [RateRefusal.Kind], 0)
            }
            let first = await question.answer() == nil
            let lease = try await limit.begin(of: user, on: loop)
            var kinds: [RateRefusal.Kind] = []
            do throws(RateRefusal) {
                _ = try await limit.begin(of: user, on: loop)
            } catch {
                kinds.append(error.kind)
            }
            do throws(RateRefusal) {
                try await limit.spend(.request, of: user, on: loop)
            } catch {
                kinds.append(error.kind)
            }
            lease?.end()
            lease?.end()
            await loop.nextTurn()
            await loop.nextTurn()
            return (first, lease != nil, kinds, remote.journeys.load(ordering: .relaxed))
        }
        #expect(first)
        #expect(second)
        #expect(kinds == [.requests, .requests])
        // Two that count, two that are refused, and one that gives back.
        #expect(journeys == 5)
        #expect(remote.store.figures(at: .max / 2).leases == 0)
    }

    @Test("leases have names that no other has")
    func leaseNames() {
        let names = (0..<1000).map { _ in RateLease.nextID() }
        #expect(Set(names).count == 1000)
    }

    @Test("a lease that is held asks for its place again, and gives it back once")
    func renewal() throws {
        let backplane = MemoryBackplane()
        let limit = Stand(backplane).limit()
        let user = Self.user()
        let (held, after, timers) = try LoopThread.with { loop in
            let lease = try await limit.begin(of: user, on: loop)
            let timers = loop.timerCount
            lease?.timerFired(tag: 0)
            let held = backplane.figures(at: loop.now.nanoseconds).leases
            lease?.end()
            lease?.timerFired(tag: 0)
            lease?.requestEnded()
            return (held, backplane.figures(at: loop.now.nanoseconds).leases, timers)
        }
        #expect(held == 1)
        #expect(after == 0)
        #expect(timers == 1)
    }

    @Test("an error that is refused by a limit says what clients of the guides read")
    func body() throws {
        let refusal = RateRefusal(
            kind: .requests, isOfUser: false, limit: 3, retryAfter: .milliseconds(1500), resetAfter: .seconds(60),
            tier: nil)
        let fault = refusal.fault
        #expect(fault.fields.first(.retryAfter) == "2")
        let response = fault.response(requestID: RequestID(high: 0, low: 1))
        guard case .bytes(let bytes) = response.body else {
            Issue.record("no body")
            return
        }
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.contains(#""code":"rate_limited""#))
        #expect(text.contains(#""retryAfter":2,"resetAt":"20"#))
        #expect(text.contains(#""limitType":"ip""#))
    }

    @Test("every kind of refusal has a sentence", arguments: RateRefusal.Kind.allCases)
    func sentences(_ kind: RateRefusal.Kind) {
        let refusal = RateRefusal(
            kind: kind, isOfUser: true, limit: 3, retryAfter: .zero, resetAfter: .zero, tier: "free")
        #expect(refusal.message.hasSuffix("."))
        #expect(refusal.retryAfterSeconds == 1)
    }
}

private final class NoBody: RequestBodySource {
    var declaredBodyLength: UInt64? { nil }
    func nextBodyChunk() async throws -> [UInt8]? { nil }
}
