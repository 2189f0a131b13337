import GatewayRuntime
import Glibc
import PluginKit
import Testing

@testable import GatewayServer

@Suite("Keys from an issuer, end to end")
struct IssuerTests {
    private static let discovery = "/.well-known/openid-configuration"

    private func gateway(for issuer: Issuer, _ settings: [String: String?] = [:]) throws -> TestGateway {
        let own: [String: String?] = [
            "SUPABASE_JWT_SECRET": nil, "SUPABASE_AUTH_ISSUER": issuer.url, "JWKS_COOLDOWN": "1",
            "LOOPS": "2", "BRUTE_FORCE_THRESHOLD": "0",
        ]
        return try TestGateway(own.merging(settings) { $1 }) { gateway in
            gateway.get("/who", access: .signedIn) { request in .text(request.principal?.subject ?? "nobody") }
        }
    }

    private func ask(_ gateway: TestGateway, _ token: String) throws -> Answer {
        try gateway.ask(get("/who", "Authorization: Bearer \(token)", "Connection: close"))
    }

    @Test(
        "keys are discovered, a rotated key is fetched once for all who bring it, an unknown one is not asked for twice"
    )
    func rotation() throws {
        let issuer = try Issuer(keys: [IssuerKeys.first])
        let gateway = try gateway(for: issuer)
        let first = try issuer.token("one", IssuerKeys.firstPrivate)
        // However many come before the first fetch has ended, all wait for it.
        #expect(try ask(gateway, first).text == "somebody")
        #expect(issuer.asked(Self.discovery) == 1)
        #expect(issuer.asked("/keys") == 1)

        issuer.publish([IssuerKeys.first, IssuerKeys.second])
        let second = try issuer.token("two", IssuerKeys.secondPrivate, subject: "other")
        #expect(eventually { (try? ask(gateway, second).text) == "other" })
        #expect(issuer.asked("/keys") == 2)
        #expect(try ask(gateway, first).text == "somebody")

        let unknown = try issuer.token("three", IssuerKeys.firstPrivate)
        #expect(eventually { (try? ask(gateway, unknown).code) == "token_key_unknown" && issuer.asked("/keys") == 3 })
        for _ in 0..<10 { #expect(try ask(gateway, unknown).code == "token_key_unknown") }
        #expect(issuer.asked("/keys") == 3)
        // A key's name proves nothing.
        let forged = try issuer.token("two", IssuerKeys.firstPrivate)
        #expect(try ask(gateway, forged).code == "token_signature_invalid")
    }

    @Test("while the issuer is down the last good keys are used, also those that an earlier run saved")
    func outage() throws {
        let folder = "/tmp/gateway-tests-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        _ = unsafe mkdir(folder, 0o700)
        defer {
            _ = unsafe unlink("\(folder)/jwks.json")
            _ = unsafe rmdir(folder)
        }
        let issuer = try Issuer(keys: [IssuerKeys.first])
        let token = try issuer.token("one", IssuerKeys.firstPrivate)
        let gateway = try gateway(for: issuer, ["STATE_DIRECTORY": folder])
        #expect(try ask(gateway, token).status == 200)
        #expect(eventually { (try? SmallFile.bytes(of: "\(folder)/jwks.json")) != nil })
        issuer.goDown()
        #expect(try ask(gateway, token).status == 200)
        let unknown = try issuer.token("two", IssuerKeys.secondPrivate)
        #expect(try ask(gateway, unknown).status == 401)
        gateway.stop()

        let restarted = try self.gateway(for: issuer, ["STATE_DIRECTORY": folder])
        #expect(try ask(restarted, token).text == "somebody")
        // Saved under other settings, the same file counts for nothing.
        let other = try self.gateway(
            for: issuer, ["STATE_DIRECTORY": folder, "SUPABASE_JWKS_URL": "\(issuer.url)/elsewhere"])
        #expect(try ask(other, token).status == 503)
    }

    @Test("without any keys yet, tokens are refused with 503 and a time to try again, and nobody is throttled for it")
    func noKeys() throws {
        let issuer = try Issuer(keys: [])
        issuer.goDown()
        let gateway = try gateway(for: issuer, ["BRUTE_FORCE_THRESHOLD": "2"])
        let token = try issuer.token("one", IssuerKeys.firstPrivate)
        for _ in 0..<4 {
            let answer = try ask(gateway, token)
            #expect(answer.status == 503)
            #expect(answer.code == "auth_keys_unavailable")
            #expect(answer["retry-after"] != nil)
        }
        #expect(eventually { gateway.log.contains("issuer keys not fetched") })
    }
}
