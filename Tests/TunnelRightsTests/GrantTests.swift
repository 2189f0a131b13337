import GatewayTestSupport
import PluginKit
import Testing

@testable import TunnelPlugin

private final class Thing {}

/// How often something happened.
private final class Count: Sendable {
    private let number = Guarded(0)
    var value: Int { number.withLock { $0 } }
    func add() { number.withLock { $0 += 1 } }
}

@Suite("Grants")
struct GrantTests {
    private let grants = GrantsInUse()
    private let key = GrantsInUse.Key.enrolment("e1")

    @Test("revoking ends every use, once")
    func revoked() {
        let (first, second) = (Thing(), Thing())
        let (ends, others) = (Count(), Count())
        let grant = grants.grant(for: key)
        grant.use(as: ObjectIdentifier(first)) { ends.add() }
        grant.use(as: ObjectIdentifier(second)) { ends.add() }
        let other = grants.grant(for: .enrolment("e2"))
        other.use(as: ObjectIdentifier(first)) { others.add() }
        grants.revoke(key)
        grants.revoke(key)
        #expect(ends.value == 2)
        #expect(others.value == 0)
        #expect(grant.isRevoked)
        #expect(!other.isRevoked)
    }

    @Test("a use that comes after the revocation ends at once")
    func late() {
        let grant = grants.grant(for: key)
        grants.revoke(key)
        let ends = Count()
        grant.use(as: ObjectIdentifier(grant)) { ends.add() }
        #expect(ends.value == 1)
    }

    @Test("a use that is over is not ended")
    func forgotten() {
        let thing = Thing()
        let ends = Count()
        let grant = grants.grant(for: key)
        grant.use(as: ObjectIdentifier(thing)) { ends.add() }
        grant.forget(ObjectIdentifier(thing))
        grants.revoke(key)
        #expect(ends.value == 0)
    }

    @Test("whoever asks for the same right has the same grant, and a new one after its revocation")
    func shared() {
        let grant = grants.grant(for: key)
        #expect(grants.grant(for: key) === grant)
        grants.revoke(key)
        let next = grants.grant(for: key)
        #expect(next !== grant)
        #expect(!next.isRevoked)
    }

    @Test("a grant that nobody uses is not kept")
    func letGo() {
        var grant: Grant? = grants.grant(for: key)
        #expect(grants.count == 1)
        // The end of one that was revoked does not take the place of its successor away.
        grants.revoke(key)
        let next = grants.grant(for: key)
        grant = nil
        #expect(grant == nil)
        #expect(grants.count == 1)
        #expect(grants.grant(for: key) === next)
        do { _ = grants.grant(for: .enrolment("e2")) }
        #expect(grants.count == 1)
    }

    @Test("a store has the same grants however often it is opened, and no other store's")
    func places() {
        let first = GrantsInUse.ofStore(in: "/a/first")
        #expect(GrantsInUse.ofStore(in: "/a/first") === first)
        #expect(GrantsInUse.ofStore(in: "/a/second") !== first)
    }

    @Test("users whose names only look alike have grants of their own")
    func lookAlikes() {
        let kelvin = GrantsInUse.Key(ShareParties(owner: "\u{212A}", agent: "a", consumer: "b"))
        let letter = GrantsInUse.Key(ShareParties(owner: "K", agent: "a", consumer: "b"))
        #expect(kelvin != letter)
    }
}

@Suite("Remembered facts")
struct RememberedFactsTests {
    private let grants = GrantsInUse()

    @Test("a fact is asked for once, until something changes")
    func remembered() throws {
        let facts = RememberedFacts<String, String?>(64, in: grants)
        let grants = grants
        try LoopThread.with { _ in
            let loads = Count()
            func ask() async throws -> String? {
                try await facts.fact(for: "a") { () throws(TunnelStoreError) in
                    loads.add()
                    return nil
                }
            }
            for _ in 0..<3 { #expect(try await ask() == nil) }
            #expect(loads.value == 1)
            grants.storeChanged()
            _ = try await ask()
            _ = try await ask()
            #expect(loads.value == 2)
        }
    }

    @Test("what was read while something changed is told, and not remembered")
    func raced() throws {
        let facts = RememberedFacts<String, Int>(64, in: grants)
        let grants = grants
        try LoopThread.with { _ in
            let first = try await facts.fact(for: "a") { () throws(TunnelStoreError) in
                grants.storeChanged()
                return 1
            }
            let second = try await facts.fact(for: "a") { () throws(TunnelStoreError) in 2 }
            #expect(first == 1)
            #expect(second == 2)
        }
    }

    @Test("a failure is not remembered")
    func failure() throws {
        let facts = RememberedFacts<String, Int>(64, in: grants)
        try LoopThread.with { _ in
            let failed = try? await facts.fact(for: "a") { () throws(TunnelStoreError) -> Int in throw .busy }
            #expect(failed == nil)
            let next = try await facts.fact(for: "a") { () throws(TunnelStoreError) in 3 }
            #expect(next == 3)
        }
    }
}
