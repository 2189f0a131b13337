import GatewayBytes
import Testing

@testable import GatewayAuth

@Suite("Principal")
struct PrincipalTests {
    static func principal(_ changes: KeyValuePairs<String, String?>) -> Principal? {
        Authenticator(policy: policy, keys: everyKey).authenticate(Array(signed(changes).utf8), now: now).success
    }

    @Test(
        "admin is the permission of exactly that name",
        arguments: [
            ("permissions", "[\"admin\"]", true),
            ("https://cloudtolocalllm.com/permissions", "[\"x\",\"admin\"]", true),
            ("app_metadata", "{\"permissions\":[\"admin\"]}", true), ("permissions", "[\"Admin\"]", false),
            ("permissions", "[\"administrator\"]", false), ("permissions", "[\"not-admin\"]", false),
            ("permissions", "[\"view_system_metrics\"]", false), ("permissions", "[\"*\"]", false),
            ("permissions", "\"admin\"", false), ("permissions", "[\"admin\",1]", false),
            ("permissions", "{\"admin\":true}", false),
            ("user_metadata", "{\"permissions\":[\"admin\"]}", false), ("scope", "\"admin\"", false),
            ("role", "\"admin\"", false),
            ("admin", "true", false), ("roles", "[\"admin\"]", false),
        ])
    func admin(_ name: String, _ json: String, _ isAdmin: Bool) throws {
        #expect(try #require(Self.principal([name: json])).isAdmin == isAdmin)
    }

    @Test(
        "the tier comes from claims only the issuer sets",
        arguments: [
            ("https://cloudtolocalllm.com/tier", "\"premium\"", "premium"), ("tier", "\"premium\"", "premium"),
            ("app_metadata", "{\"tier\":\"enterprise\"}", "enterprise"),
            ("user_metadata", "{\"tier\":\"enterprise\"}", "free"),
            ("tier", "7", "free"), ("tier", "\"\"", "free"), ("x", "1", "free"),
        ])
    func tier(_ name: String, _ json: String, _ tier: String) throws {
        #expect(try #require(Self.principal([name: json])).tier == tier)
    }

    @Test("the namespaced tier wins over the plain one, and that over metadata")
    func tierOrder() throws {
        let all = try #require(
            Self.principal([
                "https://cloudtolocalllm.com/tier": "\"a\"", "tier": "\"b\"", "app_metadata": "{\"tier\":\"c\"}",
            ]))
        #expect(all.tier == "a")
        #expect(try #require(Self.principal(["tier": "\"b\"", "app_metadata": "{\"tier\":\"c\"}"])).tier == "b")
    }

    @Test("roles are kept, one or several")
    func roles() throws {
        #expect(try #require(Self.principal([:])).roles == ["authenticated"])
        #expect(try #require(Self.principal(["role": "[\"a\",\"b\"]"])).roles == ["a", "b"])
        #expect(try #require(Self.principal(["role": nil])).roles == [])
    }

    static func make(
        _ subject: String = "me", _ issuer: String = "i", expiry: Double = now, roles: [String] = ["r"],
        permissions: [String] = ["p", "q"], tier: String? = "premium"
    ) -> Principal {
        Principal(subject: subject, issuer: issuer, expiry: expiry, roles: roles, permissions: permissions, tier: tier)
    }

    @Test("a socket is renewed by the same person with no more rights")
    func renewal() {
        let old = Self.make()
        let mayRenew: [Principal] = [
            Self.make(), Self.make(expiry: now + 3600), Self.make(expiry: now - 1), Self.make(permissions: ["q"]),
            Self.make(roles: [], permissions: [], tier: nil), Self.make(tier: "free"),
        ]
        for next in mayRenew { #expect(old.mayRenew(with: next)) }
        #expect(old.renewalRefusal(with: Self.make("other")) == .otherSubject)
        #expect(old.renewalRefusal(with: Self.make("Me")) == .otherSubject)
        #expect(old.renewalRefusal(with: Self.make("me", "j")) == .otherIssuer)
        #expect(old.renewalRefusal(with: Self.make(permissions: ["p", "admin"])) == .moreRights("admin"))
        #expect(old.renewalRefusal(with: Self.make(roles: ["r", "s"])) == .moreRights("s"))
        #expect(old.renewalRefusal(with: Self.make(tier: "enterprise")) == .moreRights("enterprise"))
        #expect(Self.make(tier: nil).renewalRefusal(with: old) == .moreRights("premium"))
        #expect(Principal.RenewalRefusal.moreRights("admin").message.contains("admin"))
    }

    @Test("the Kelvin sign does not renew for a K")
    func canonicalEquivalence() {
        #expect(Self.make("K").renewalRefusal(with: Self.make("\u{212A}")) == .otherSubject)
        #expect(Self.make(permissions: ["K"]).renewalRefusal(with: Self.make(permissions: ["\u{212A}"])) != nil)
    }

    @Test("time left ends at zero")
    func time() {
        let principal = Self.make(expiry: now + 10)
        #expect(principal.secondsLeft(at: now) == 10)
        #expect(principal.secondsLeft(at: now + 11) == 0)
        #expect(!principal.hasExpired(at: now + 9.9) && principal.hasExpired(at: now + 10))
    }
}

@Suite("Lifetime of a socket's token")
struct TokenLifetimeTests {
    @Test("warned once ahead of the end, closed at it")
    func warnAndClose() {
        var lifetime = TokenLifetime(PrincipalTests.make(expiry: now + 100), warnBefore: 60)
        let actions = [0, 39.9, 40, 41, 99.9, 100, 200].map { lifetime.tick(at: now + $0) }
        #expect(
            actions == [
                .wait(until: now + 40), .wait(until: now + 40), .warn(secondsLeft: 60), .wait(until: now + 100),
                .wait(until: now + 100), .close, .close,
            ])
    }

    @Test("a token that is short already is warned about at once, and without a warning time never")
    func shortToken() {
        var short = TokenLifetime(PrincipalTests.make(expiry: now + 10), warnBefore: 60)
        let first = short.tick(at: now)
        #expect(first == .warn(secondsLeft: 10))
        var silent = TokenLifetime(PrincipalTests.make(expiry: now + 10), warnBefore: 0)
        let only = silent.tick(at: now + 5)
        #expect(only == .wait(until: now + 10))
    }

    @Test("a renewal starts over, a refused one changes nothing")
    func renewal() {
        var lifetime = TokenLifetime(PrincipalTests.make(expiry: now + 100), warnBefore: 60)
        _ = lifetime.tick(at: now + 50)
        let refused = lifetime.renew(with: PrincipalTests.make("other", expiry: now + 1000))
        #expect(refused == .otherSubject)
        #expect(lifetime.principal.expiry == now + 100)
        let renewed = lifetime.renew(with: PrincipalTests.make(expiry: now + 1000))
        let next = lifetime.tick(at: now + 50)
        #expect(renewed == nil)
        #expect(next == .wait(until: now + 940))
    }
}

@Suite("Authenticator")
struct AuthenticatorTests {
    @Test("a good token is remembered, and the same principal comes back")
    func remembered() throws {
        let authenticator = Authenticator(policy: policy, keys: everyKey)
        let token = Array(signed().utf8)
        let first = try #require(authenticator.authenticate(token, now: now).success)
        let second = try #require(authenticator.authenticate(token.span, now: now).success)
        #expect(first === second)
        #expect(authenticator.rememberedCount == 1)
    }

    @Test("a bad signature is remembered for a while, and no longer; other refusals are not")
    func refused() {
        let authenticator = Authenticator(policy: policy, keys: everyKey)
        let bad = Array(signed(secret: "x").utf8)
        #expect(authenticator.authenticate(bad, now: now).failure == .badSignature)
        #expect(authenticator.rememberedCount == 1)
        #expect(authenticator.authenticate(bad, now: now + 11).failure == .badSignature)
        let early = Array(signed(["nbf": "1800000060"]).utf8)
        #expect(authenticator.authenticate(early, now: now).failure?.check == .notBefore)
        #expect(authenticator.authenticate(early, now: now + 60).failure == nil)
        #expect(authenticator.rememberedCount == 2)
    }

    @Test("what is remembered is bounded")
    func bounded() {
        let limits = Authenticator.Limits(remembered: 8, refused: 4)
        let authenticator = Authenticator(policy: policy, keys: everyKey, limits: limits)
        for number in 0..<50 {
            #expect(
                authenticator.authenticate(Array(signed(["sub": "\"user-\(number)\""]).utf8), now: now).failure == nil)
            _ = authenticator.authenticate(Array(signed(["sub": "\"\(number)\""], secret: "x").utf8), now: now)
            #expect(authenticator.rememberedCount <= 12)
        }
    }

    @Test("with no memory at all every verdict is still right")
    func noMemory() {
        let authenticator = Authenticator(
            policy: policy, keys: everyKey, limits: Authenticator.Limits(remembered: 0, refused: 0))
        for _ in 0..<3 {
            #expect(authenticator.authenticate(Array(signed().utf8), now: now).failure == nil)
            #expect(authenticator.authenticate(Array(signed(secret: "x").utf8), now: now).failure == .badSignature)
        }
        #expect(authenticator.rememberedCount == 0)
    }

    @Test("replaced keys take effect at once, also for tokens that were remembered")
    func replaced() {
        let authenticator = Authenticator(policy: policy, keys: everyKey)
        let token = Array(signed().utf8)
        #expect(authenticator.authenticate(token, now: now).failure == nil)
        authenticator.replaceKeys(KeySet(published: everyKey.published))
        #expect(authenticator.authenticate(token, now: now).failure == .noKeyFits(.hs256))
    }

    @Test("a remembered token is not believed longer than its key")
    func rememberedNoLongerThanKey() {
        let keys = KeySet(published: everyKey.published, publishedUntil: now + 10)
        let authenticator = Authenticator(policy: policy, keys: keys)
        let token = Array(ForeignTokens.genuine[0].token.utf8)
        #expect(authenticator.authenticate(token, now: now + 9).failure == nil)
        #expect(authenticator.authenticate(token, now: now + 10).failure == .keysUnavailable)
    }

    @Test("many threads get the same verdicts while keys change under them")
    func threads() async {
        let authenticator = Authenticator(policy: policy, keys: everyKey)
        let good = Array(signed().utf8)
        let bad = Array(signed(secret: "x").utf8)
        await withTaskGroup(of: Bool.self) { group in
            for number in 0..<64 {
                group.addTask {
                    if number % 8 == 0 { authenticator.replaceKeys(everyKey) }
                    return authenticator.authenticate(good, now: now).failure == nil
                        && authenticator.authenticate(bad, now: now).failure == .badSignature
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }

    @Test("the cache forgets what was not asked for, and keeps what was")
    func cache() {
        var cache = BoundedCache<Int, Int>(capacity: 8)
        for number in 0..<100 {
            cache.insert(number, for: number)
            _ = cache.value(for: 0)
            #expect(cache.count <= 8)
        }
        do {
            let value = cache.value(for: 0)
            #expect(value == 0)
        }
        do {
            let value = cache.value(for: 99)
            #expect(value == 99)
        }
        do {
            let value = cache.value(for: 50)
            #expect(value == nil)
        }
        cache.insert(7, for: 99)
        do {
            let value = cache.value(for: 99)
            #expect(value == 7)
        }
        cache.remove(99)
        do {
            let value = cache.value(for: 99)
            #expect(value == nil)
        }
        cache.removeAll()
        #expect(cache.count == 0)
    }
}

@Suite("Settings")
struct AuthSettingsTests {
    @Test("a key without issuer and audience stops the start, unless any audience is allowed")
    func issuerAndAudience() throws {
        var settings = AuthSettings()
        #expect(settings.problems == [])
        #expect(!settings.isConfigured)
        #expect(settings.warnings == ["No key for tokens is configured, so every token is refused."])
        settings.secret = Secret(sharedSecret)
        #expect(settings.problems.count == 1)
        #expect(settings.problems[0].contains("SUPABASE_AUTH_ISSUER and SUPABASE_AUTH_AUDIENCE"))
        settings.issuer = issuer
        #expect(settings.problems[0].contains("without SUPABASE_AUTH_AUDIENCE."))
        settings.audiences = ["authenticated"]
        #expect(settings.problems == [])
        #expect(settings.warnings == [])
        settings.issuer = nil
        settings.audiences = []
        settings.allowsAnyAudience = true
        #expect(settings.problems == [])
        #expect(settings.warnings == ["Tokens are taken whatever their audience."])
    }

    @Test("values that cannot work are named")
    func broken() {
        var settings = AuthSettings()
        settings.keySetURL = "http://keys.test/jwks"
        settings.domain = "not a host"
        settings.secret = Secret(TestKeys.rsaPublic)
        settings.issuer = issuer
        settings.audiences = ["a"]
        let problems = settings.problems
        #expect(problems.count == 3)
        for name in ["SUPABASE_JWKS_URL", "SUPABASE_AUTH_DOMAIN", "SUPABASE_JWT_SECRET"] {
            #expect(problems.contains { $0.contains(name) })
        }
    }

    @Test("a short secret works, with a warning")
    func shortSecret() {
        var settings = AuthSettings()
        settings.secret = Secret("short")
        #expect(settings.warnings.count == 1 && settings.warnings[0].contains("5 bytes"))
    }

    @Test("roles that are allowed are taken off the list of refused ones")
    func roles() {
        var settings = AuthSettings()
        #expect(settings.policy.refusedRoles == ["anon", "service_role"])
        settings.allowedRoles = ["service_role"]
        #expect(settings.policy.refusedRoles == ["anon"])
        #expect(settings.problems == [])
    }

    @Test("a role that is not refused by default cannot be allowed: a slip would change nothing")
    func unknownRole() {
        var settings = AuthSettings()
        settings.allowedRoles = ["anon", "service-role", "Anon"]
        #expect(
            settings.problems == [
                "AUTH_ALLOW_ROLES may name anon and service_role, not \"service-role\".",
                "AUTH_ALLOW_ROLES may name anon and service_role, not \"Anon\".",
            ])
    }

    @Test("settings make a gate that works, with a secret alone")
    func assembled() throws {
        var settings = AuthSettings()
        settings.secret = Secret(sharedSecret)
        settings.issuer = "gateway-dev"
        settings.audiences = ["gateway-dev"]
        #expect(settings.problems == [])
        settings.clockSkew = 0
        let authenticator = settings.authenticator()
        let store = try settings.keyStore(for: authenticator, saved: nil, world: FakeIssuer().world)
        #expect(store.nextRefresh(at: now) == nil)
        let token = try TokenMint(secret: Secret(sharedSecret)).mint(
            subject: "dev", issuer: settings.issuer, audience: settings.audiences, now: now, lifetime: 60)
        #expect(authenticator.authenticate(Array(token.utf8), now: now).failure == nil)
        #expect(authenticator.authenticate(Array(signed().utf8), now: now).failure?.check == .issuer)
    }
}
