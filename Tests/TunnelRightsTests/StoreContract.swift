import GatewayTestSupport
import Testing

@testable import TunnelPlugin

/// What every store of the tunnel must do. A driver's suite runs each case against a store of its own that is empty.
struct StoreCase: Sendable, CustomTestStringConvertible {
    let title: String
    let check: @Sendable (any TunnelStore) async throws -> Void

    init(_ title: String, _ check: @escaping @Sendable (any TunnelStore) async throws -> Void) {
        self.title = title
        self.check = check
    }

    var testDescription: String { title }

    static let all = enrolments + revocations + choices + shares
}

func enrolment(_ id: String, of user: String = "ann", _ name: String = "desk", at time: Int64 = 100) -> Enrolment {
    Enrolment(id: id, user: user, name: name, digest: (0..<32).map { $0 }, createdAt: time)
}

func share(
    _ id: String, _ owner: String = "ann", _ agent: String = "desk", with consumer: String = "bob", at time: Int64 = 100
) -> AgentShare {
    AgentShare(
        id: id, parties: ShareParties(owner: owner, agent: agent, consumer: consumer),
        rule: ShareRule(methods: ["GET", "POST"], paths: ["/api/chat", "/v1/*"]), createdAt: time)
}

extension StoreCase {
    private static var enrolments: [StoreCase] {
        [
            StoreCase("an enrolment is found by its id as it was kept") { store async throws in
                #expect(try await store.enrolment("e1") == nil)
                #expect(try await store.add(enrolment("e1"), replacing: false, atMost: 5) == .added(replaced: nil))
                #expect(try await store.enrolment("e1") == enrolment("e1"))
            },
            StoreCase("a user's live enrolments are listed, the oldest first, and nobody else's") {
                store async throws in
                for (id, user, name, time) in [
                    ("e1", "ann", "new", 300), ("e2", "ann", "old", 100), ("e3", "bob", "his", 50),
                    ("e4", "Ann", "x", 1),
                ] as [(String, String, String, Int64)] {
                    _ = try await store.add(enrolment(id, of: user, name, at: time), replacing: false, atMost: 5)
                }
                #expect(try await store.enrolments(of: "ann").map(\.id) == ["e2", "e1"])
            },
            StoreCase("a name that is enrolled is refused, and says by which") { store async throws in
                _ = try await store.add(enrolment("e1"), replacing: false, atMost: 5)
                #expect(try await store.add(enrolment("e2"), replacing: false, atMost: 5) == .nameTaken(id: "e1"))
                #expect(try await store.enrolment("e2") == nil)
                // Another user's name, and the same name in another case, are other names.
                #expect(
                    try await store.add(enrolment("e3", of: "bob"), replacing: false, atMost: 5)
                        == .added(replaced: nil))
                #expect(
                    try await store.add(enrolment("e4", "Desk"), replacing: false, atMost: 5) == .added(replaced: nil))
            },
            StoreCase("replacing revokes the older one of the name in the same step") { store async throws in
                _ = try await store.add(enrolment("e1"), replacing: true, atMost: 1)
                let outcome = try await store.add(enrolment("e2", at: 200), replacing: true, atMost: 1)
                #expect(outcome == .added(replaced: enrolment("e1")))
                #expect(try await store.enrolment("e1")?.revokedAt == 200)
                #expect(try await store.enrolments(of: "ann").map(\.id) == ["e2"])
            },
            StoreCase("no more than allowed are kept, and revoked ones do not count") { store async throws in
                for index in 0..<3 {
                    _ = try await store.add(enrolment("e\(index)", "n\(index)"), replacing: false, atMost: 3)
                }
                #expect(try await store.add(enrolment("e4", "n4"), replacing: false, atMost: 3) == .tooMany)
                #expect(try await store.enrolment("e4") == nil)
                _ = try await store.revokeEnrolment("e0", of: "ann", at: 1)
                #expect(
                    try await store.add(enrolment("e4", "n4"), replacing: false, atMost: 3) == .added(replaced: nil))
            },
            StoreCase("who has more than are allowed by now may still replace one") { store async throws in
                for index in 0..<3 {
                    _ = try await store.add(enrolment("e\(index)", "n\(index)"), replacing: false, atMost: 3)
                }
                let outcome = try await store.add(enrolment("e3", "n1", at: 200), replacing: true, atMost: 1)
                #expect(outcome == .added(replaced: enrolment("e1", "n1")))
                #expect(try await store.enrolments(of: "ann").map(\.id).sorted() == ["e0", "e2", "e3"])
            },
            StoreCase("the last use is the latest that was told, in whatever order") { store async throws in
                _ = try await store.add(enrolment("e1"), replacing: false, atMost: 5)
                #expect(try await store.enrolment("e1")?.lastUsedAt == nil)
                try await store.noteUses(["e1": 500, "unknown": 1])
                try await store.noteUses(["e1": 400])
                #expect(try await store.enrolment("e1")?.lastUsedAt == 500)
            },
            StoreCase("texts are compared by their bytes, and may hold anything") { store async throws in
                // The Kelvin sign equals K for Swift's comparison of text.
                let users = ["K", "\u{212A}", "x' OR '1'='1", "a\u{0}b", "a"]
                for (index, user) in users.enumerated() {
                    _ = try await store.add(enrolment("e\(index)", of: user), replacing: false, atMost: 5)
                }
                for (index, user) in users.enumerated() {
                    #expect(try await store.enrolments(of: user).map(\.id) == ["e\(index)"])
                }
            },
        ]
    }

    private static var revocations: [StoreCase] {
        [
            StoreCase("a revoked enrolment is gone from the list and known as revoked") { store async throws in
                _ = try await store.add(enrolment("e1"), replacing: false, atMost: 5)
                #expect(try await store.revokeEnrolment("e1", of: "ann", at: 300) == enrolment("e1"))
                #expect(try await store.enrolment("e1")?.revokedAt == 300)
                #expect(try await store.enrolments(of: "ann").isEmpty)
            },
            StoreCase("revoking takes effect once, on one's own, or on anybody's") { store async throws in
                _ = try await store.add(enrolment("e1"), replacing: false, atMost: 5)
                #expect(try await store.revokeEnrolment("e1", of: "bob", at: 300) == nil)
                #expect(try await store.revokeEnrolment("unknown", of: nil, at: 300) == nil)
                #expect(try await store.enrolment("e1")?.revokedAt == nil)
                #expect(try await store.revokeEnrolment("e1", of: nil, at: 300) != nil)
                #expect(try await store.revokeEnrolment("e1", of: "ann", at: 400) == nil)
                #expect(try await store.enrolment("e1")?.revokedAt == 300)
            },
            StoreCase("only the newest revoked ones of a user are remembered") { store async throws in
                let count = TunnelStoreLimits.revoked + 3
                for index in 0..<count {
                    let time = Int64(1000 + index)
                    _ = try await store.add(enrolment("e\(index)", at: time), replacing: true, atMost: 1)
                }
                _ = try await store.add(enrolment("other", of: "bob"), replacing: false, atMost: 1)
                // The last is live; of those before it as many as allowed are left.
                #expect(try await store.enrolment("e1") == nil)
                #expect(try await store.enrolment("e2")?.revokedAt == 1003)
                #expect(try await store.enrolment("e\(count - 1)")?.revokedAt == .some(nil))
                #expect(try await store.enrolment("other") != nil)
            },
        ]
    }

    private static var choices: [StoreCase] {
        [
            StoreCase("a chosen agent is each user's own, changes and is taken back") { store async throws in
                #expect(try await store.chosenAgent(of: "ann") == nil)
                try await store.chooseAgent("desk", for: "ann")
                try await store.chooseAgent("his", for: "bob")
                #expect(try await store.chosenAgent(of: "ann") == "desk")
                try await store.chooseAgent("lap", for: "ann")
                #expect(try await store.chosenAgent(of: "ann") == "lap")
                try await store.chooseAgent(nil, for: "ann")
                try await store.chooseAgent(nil, for: "ann")
                #expect(try await store.chosenAgent(of: "ann") == nil)
                #expect(try await store.chosenAgent(of: "bob") == "his")
            }
        ]
    }

    private static var shares: [StoreCase] {
        [
            StoreCase("a share is found by its parties, and by nobody else's") { store async throws in
                #expect(try await store.add(share("s1"), atMost: 5) == .added)
                #expect(try await store.share(of: share("s1").parties) == share("s1"))
                for parties in [
                    ShareParties(owner: "bob", agent: "desk", consumer: "ann"),
                    ShareParties(owner: "ann", agent: "lap", consumer: "bob"),
                    ShareParties(owner: "ann", agent: "desk", consumer: "cat"),
                ] {
                    #expect(try await store.share(of: parties) == nil)
                }
            },
            StoreCase("there is one share at most between the same parties") { store async throws in
                _ = try await store.add(share("s1"), atMost: 5)
                #expect(try await store.add(share("s2"), atMost: 5) == .exists(id: "s1"))
                #expect(try await store.add(share("s2", with: "cat"), atMost: 5) == .added)
            },
            StoreCase("an owner gives no more than allowed") { store async throws in
                _ = try await store.add(share("s1", with: "b1"), atMost: 2)
                _ = try await store.add(share("s2", with: "b2"), atMost: 2)
                #expect(try await store.add(share("s3", with: "b3"), atMost: 2) == .tooMany)
                #expect(try await store.add(share("s4", "cat", with: "b3"), atMost: 2) == .added)
            },
            StoreCase("shares are listed by giver and by receiver, the oldest first") { store async throws in
                _ = try await store.add(share("s1", at: 300), atMost: 5)
                _ = try await store.add(share("s2", "ann", "lap", at: 100), atMost: 5)
                _ = try await store.add(share("s3", "cat", with: "bob", at: 200), atMost: 5)
                #expect(try await store.shares(givenBy: "ann").map(\.id) == ["s2", "s1"])
                #expect(try await store.shares(givenTo: "bob").map(\.id) == ["s2", "s3", "s1"])
                #expect(try await store.shares(givenTo: "ann").isEmpty)
            },
            StoreCase("whoever is given very many shares still gets a list") { store async throws in
                for index in 0..<(TunnelStoreLimits.received + 5) {
                    _ = try await store.add(share("s\(index)", "owner\(index)", at: Int64(index)), atMost: 1)
                }
                #expect(try await store.shares(givenTo: "bob").count == TunnelStoreLimits.received)
            },
            StoreCase("only the owner ends a share, once") { store async throws in
                _ = try await store.add(share("s1"), atMost: 5)
                #expect(try await store.removeShare("s1", of: "bob") == nil)
                #expect(try await store.removeShare("s1", of: "ann") == share("s1"))
                #expect(try await store.removeShare("s1", of: "ann") == nil)
                #expect(try await store.share(of: share("s1").parties) == nil)
                #expect(try await store.add(share("s2"), atMost: 5) == .added)
            },
        ]
    }
}
