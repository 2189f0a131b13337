import GatewayBytes
import GatewayLocks
import Testing

@testable import GatewayAuth

/// An issuer, a clock and a disk, all by hand.
final class FakeIssuer: Sendable {
    private struct State {
        var now = TestClock.start
        var answer: KeyResponse = .status(404)
        var requests: [String] = []
        var files: [[UInt8]] = []
        var isHolding = false
        var held: [CheckedContinuation<Void, Never>] = []
        var tasks: [Task<Void, Never>] = []
    }

    private let state = Guarded(State())

    var now: Double { state.withLock { $0.now } }
    var fetches: Int { state.withLock { $0.requests.count } }
    var file: [UInt8]? { state.withLock { $0.files.last } }
    var heldCount: Int { state.withLock { $0.held.count } }

    func answer(_ response: KeyResponse) { state.withLock { $0.answer = response } }
    func advance(_ seconds: Double) { state.withLock { $0.now += seconds } }
    func hold() { state.withLock { $0.isHolding = true } }

    func release() {
        let held = state.withLock { state in
            state.isHolding = false
            defer { state.held = [] }
            return state.held
        }
        for one in held { one.resume() }
    }

    /// Waits for everything the store launched, saving included.
    func settle() async {
        for task in state.withLock({ $0.tasks }) { await task.value }
    }

    var world: JWKSStore.World {
        JWKSStore.World(
            now: { self.now }, fetch: { await self.fetch($0) },
            save: { file in self.state.withLock { $0.files.append(file) } },
            launch: { work in
                let task = Task { await work() }
                self.state.withLock { $0.tasks.append(task) }
            })
    }

    private func fetch(_ request: KeyRequest) async -> KeyResponse {
        let isHolding = state.withLock { state in
            state.requests.append(request.url.text)
            return state.isHolding
        }
        if isHolding {
            await withCheckedContinuation { one in state.withLock { $0.held.append(one) } }
        }
        return state.withLock { $0.answer }
    }
}

struct Scene {
    let issuer = FakeIssuer()
    let authenticator = Authenticator(policy: policy)
    let store: JWKSStore

    init(
        saved: [UInt8]? = nil, url: String = "https://keys.test/jwks", limits: JWKSSchedule.Limits = .init(),
        ahead: Double = 0
    ) {
        issuer.advance(ahead)
        store = JWKSStore(
            candidates: KeySource.candidates(keySetURL: KeyURL(url), issuer: nil, domain: nil), issuer: nil,
            fixed: everyKey.fixed, authenticator: authenticator, limits: limits, saved: saved, world: issuer.world)
    }

    func refusal(of token: String) async -> TokenError? {
        await authenticator.authenticate(Array(token.utf8), fetchingFrom: store, now: issuer.now).failure
    }
}

func rsaToken(_ id: String, other: Bool = false) throws -> String {
    try SignatureTests.mint(other ? TestKeys.otherRSAPrivate : TestKeys.rsaPrivate, id: id)
}

@Suite("Rotation of the issuer's keys")
struct JWKSStoreTests {
    @Test("the first token with a key id fetches the keys, the next ones use them")
    func firstFetch() async throws {
        let scene = Scene()
        scene.issuer.answer(.body(keySet(rsaJWK("one"))))
        #expect(await scene.refusal(of: try rsaToken("one")) == nil)
        #expect(await scene.refusal(of: try rsaToken("one")) == nil)
        #expect(scene.issuer.fetches == 1)
        #expect(scene.store.lastOutcome == .fetched(from: "https://keys.test/jwks", keys: 1, changed: true, notes: []))
    }

    @Test("the operator's secret works beside published keys, and before there are any")
    func secretBesideKeys() async {
        let scene = Scene()
        #expect(await scene.refusal(of: signed()) == nil)
        #expect(await scene.refusal(of: signed(secret: "x")) == .badSignature)
        #expect(scene.issuer.fetches == 0)
    }

    @Test("a rotated key is taken up by the token that names it; one that was withdrawn is refused")
    func rotation() async throws {
        let scene = Scene()
        scene.issuer.answer(.body(keySet(rsaJWK("one"))))
        #expect(await scene.refusal(of: try rsaToken("one")) == nil)
        scene.issuer.answer(.body(keySet(rsaJWK("two", modulus: TestJWK.otherRSAModulus))))
        scene.issuer.advance(30)
        #expect(await scene.refusal(of: try rsaToken("two", other: true)) == nil)
        #expect(scene.issuer.fetches == 2)
        #expect(await scene.refusal(of: try rsaToken("one")) == .unknownKey(id: "one"))
    }

    @Test("a storm of unknown keys is one fetch, and every waiter gets its answer")
    func storm() async throws {
        let scene = Scene()
        scene.issuer.answer(.body(keySet(rsaJWK("new"))))
        scene.issuer.hold()
        let good = try rsaToken("new")
        let bad = try rsaToken("gone")
        async let answers = withTaskGroup(of: (Bool, TokenError?).self) { group in
            for number in 0..<200 {
                group.addTask { (number % 2 == 0, await scene.refusal(of: number % 2 == 0 ? good : bad)) }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        while scene.store.waitingCount < 200 { await Task.yield() }
        scene.issuer.release()
        for (isGood, refusal) in await answers { #expect(refusal == (isGood ? nil : .unknownKey(id: "gone"))) }
        #expect(scene.issuer.fetches == 1)
    }

    @Test("between two fetches for unknown keys lies the cool-down")
    func coolDown() async throws {
        let scene = Scene()
        scene.issuer.answer(.body(keySet(rsaJWK("one"))))
        for number in 0..<50 {
            #expect(await scene.refusal(of: try rsaToken("unknown\(number)")) == .unknownKey(id: "unknown\(number)"))
        }
        #expect(scene.issuer.fetches == 1)
        scene.issuer.advance(29.9)
        _ = await scene.refusal(of: try rsaToken("later"))
        #expect(scene.issuer.fetches == 1)
        scene.issuer.advance(0.1)
        _ = await scene.refusal(of: try rsaToken("later"))
        #expect(scene.issuer.fetches == 2)
    }

    @Test("a key id the issuer did not have is not asked for again soon, others are")
    func negativeCache() async throws {
        let scene = Scene()
        scene.issuer.answer(.body(keySet(rsaJWK("one"))))
        _ = await scene.refusal(of: try rsaToken("gone"))
        scene.issuer.advance(60)
        _ = await scene.refusal(of: try rsaToken("gone"))
        #expect(scene.issuer.fetches == 1)
        _ = await scene.refusal(of: try rsaToken("other"))
        #expect(scene.issuer.fetches == 2)
        scene.issuer.advance(240)
        scene.issuer.answer(.body(keySet(rsaJWK("gone"))))
        #expect(await scene.refusal(of: try rsaToken("gone")) == nil)
        #expect(scene.issuer.fetches == 3)
    }

    @Test("unknown key ids that are remembered are bounded")
    func negativeCacheBound() {
        var schedule = JWKSSchedule(limits: JWKSSchedule.Limits(unknownCount: 16))
        for number in 0..<1000 { schedule.remember(unknown: "k\(number)", at: now) }
        #expect(schedule.unknownCount <= 16)
        schedule.began(at: now - 100)
        let answers = (schedule.mayFetch(forUnknown: "k999", at: now), schedule.mayFetch(forUnknown: "k1", at: now))
        #expect(answers == (false, true))
    }

    @Test("a clock set back does not stop fetching")
    func clockSetBack() {
        var schedule = JWKSSchedule(limits: JWKSSchedule.Limits())
        schedule.began(at: now)
        let soon = schedule.mayFetch(forUnknown: "a", at: now + 1)
        let setBack = schedule.mayFetch(forUnknown: "a", at: now - 3600)
        #expect(!soon && setBack)
    }

    @Test("an issuer that is down leaves its last keys in use, for a bounded time")
    func issuerDown() async throws {
        let scene = Scene(limits: JWKSSchedule.Limits(refresh: 600, stale: 3600))
        scene.issuer.answer(.body(keySet(rsaJWK("one"))))
        await scene.store.refresh()
        scene.issuer.answer(.unreachable("connection refused"))
        let token = try rsaToken("one")
        for _ in 0..<5 {
            scene.issuer.advance(600)
            #expect(await scene.store.refresh() == .failed(["https://keys.test/jwks: connection refused"]))
            #expect(await scene.refusal(of: token) == nil)
        }
        scene.issuer.advance(599)
        #expect(await scene.refusal(of: token) == nil)
        scene.issuer.advance(1)
        #expect(await scene.refusal(of: token) == .unknownKey(id: "one"))
        #expect(await scene.refusal(of: signed(["exp": "1900000000"])) == nil)
        scene.issuer.answer(.body(keySet(rsaJWK("one"))))
        scene.issuer.advance(30)
        #expect(await scene.refusal(of: token)?.check == .expiry)
        #expect(scene.authenticator.keys.published.count == 1)
    }

    @Test("keys come back on demand after they went stale")
    func backAfterStale() async throws {
        let scene = Scene(limits: JWKSSchedule.Limits(stale: 600))
        scene.issuer.answer(.body(keySet(rsaJWK("one"))))
        await scene.store.refresh()
        scene.issuer.advance(700)
        #expect(await scene.refusal(of: try rsaToken("one")) == nil)
        #expect(scene.issuer.fetches == 2)
    }

    @Test("the next fetch is due by the interval, and after failures sooner, further apart each time")
    func dueTimes() async {
        let scene = Scene()
        let start = scene.issuer.now
        #expect(scene.store.nextRefresh(at: start) == start)
        var waits: [Double] = []
        for _ in 0..<9 {
            await scene.store.refresh()
            waits.append((scene.store.nextRefresh(at: scene.issuer.now) ?? 0) - scene.issuer.now)
            scene.issuer.advance(waits[waits.count - 1])
        }
        #expect(waits == [5, 10, 20, 40, 80, 160, 300, 300, 300])
        scene.issuer.answer(.body(keySet(rsaJWK("one"))))
        await scene.store.refresh()
        #expect(scene.store.nextRefresh(at: scene.issuer.now) == scene.issuer.now + 600)
        scene.issuer.answer(.status(503))
        await scene.store.refresh()
        #expect(scene.store.nextRefresh(at: scene.issuer.now) == scene.issuer.now + 5)
    }

    @Test("nowhere to fetch from: nothing is due, nothing is asked")
    func nowhere() async {
        let store = JWKSStore(
            candidates: [], issuer: nil, fixed: everyKey.fixed, authenticator: Authenticator(policy: policy),
            world: FakeIssuer().world)
        #expect(store.nextRefresh(at: now) == nil)
        #expect(await store.refresh() == .failed([]))
    }

    @Test("a set without a usable key does not replace good ones")
    func uselessSet() async throws {
        let scene = Scene()
        scene.issuer.answer(.body(keySet(rsaJWK("one"))))
        await scene.store.refresh()
        for body in ["{}", #"{"keys":[]}"#, #"{"keys":[{"kty":"oct","k":"AA"}]}"#, "<html>"] {
            scene.issuer.answer(.body(Array(body.utf8)))
            guard case .failed = await scene.store.refresh() else {
                Issue.record("adopted \(body)")
                continue
            }
        }
        #expect(await scene.refusal(of: try rsaToken("one")) == nil)
    }

    @Test("the last good keys are saved and restored at the next start")
    func restored() async throws {
        let first = Scene()
        first.issuer.answer(.body(keySet(rsaJWK("one"))))
        await first.store.refresh()
        await first.issuer.settle()
        let file = try #require(first.issuer.file)

        let second = Scene(saved: file)
        second.issuer.answer(.unreachable("down"))
        #expect(await second.refusal(of: try rsaToken("one")) == nil)
        #expect(second.issuer.fetches == 0)
        #expect(second.store.fetchedAt == now)
        #expect(second.store.nextRefresh(at: now) == now)
    }

    @Test("saved keys that are stale, from the future, damaged or of other settings are not believed")
    func notRestored() async throws {
        let first = Scene()
        first.issuer.answer(.body(keySet(rsaJWK("one"))))
        await first.store.refresh()
        await first.issuer.settle()
        let file = try #require(first.issuer.file)
        let token = try rsaToken("one")

        #expect(Scene(saved: file, ahead: 86399).store.fetchedAt != nil)
        let scenes = [
            Scene(saved: file, ahead: 86400), Scene(saved: file, ahead: -61),
            Scene(saved: file, url: "https://other.test/jwks"),
            Scene(saved: Array(file.dropLast())), Scene(saved: []), Scene(saved: Array("{}".utf8)),
            Scene(
                saved: Array(
                    String(decoding: file, as: UTF8.self).replacing("\"version\":1", with: "\"version\":2").utf8)),
        ]
        for scene in scenes {
            #expect(scene.store.fetchedAt == nil)
            #expect(scene.authenticator.authenticate(Array(token.utf8), now: now).failure == .unknownKey(id: "one"))
        }
    }

    @Test("fetching the same keys again keeps verdicts, other keys forget them")
    func verdicts() async throws {
        let scene = Scene()
        scene.issuer.answer(.body(keySet(rsaJWK("one"))))
        #expect(await scene.refusal(of: try rsaToken("one")) == nil)
        #expect(scene.authenticator.rememberedCount == 1)
        await scene.store.refresh()
        #expect(scene.authenticator.rememberedCount == 1)
        scene.issuer.answer(.body(keySet(rsaJWK("two"))))
        await scene.store.refresh()
        #expect(scene.authenticator.rememberedCount == 0)
        #expect(
            scene.authenticator.authenticate(Array(try rsaToken("one").utf8), now: now).failure
                == .unknownKey(id: "one"))
    }

    @Test("those who may wait are bounded")
    func waiters() async throws {
        let scene = Scene(limits: JWKSSchedule.Limits(waiting: 2))
        scene.issuer.answer(.body(keySet(rsaJWK("one"))))
        scene.issuer.hold()
        async let first = scene.store.refresh()
        async let second = scene.store.refresh()
        while scene.store.waitingCount < 2 { await Task.yield() }
        #expect(await scene.store.refresh() == .busy)
        while scene.issuer.heldCount == 0 { await Task.yield() }
        scene.issuer.release()
        #expect(await first == second)
    }
}
