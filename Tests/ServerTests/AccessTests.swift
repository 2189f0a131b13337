import GatewayAuth
import GatewayBytes
import GatewayRuntime
import PluginKit
import Testing

@testable import GatewayServer

/// Sends every message back.
private final class Parrot: WebSocketHandler {
    func received(_ message: WebSocketMessage, on socket: any WebSocket) { socket.send(message) }
}

@Suite("Tokens at the door and in band")
struct AccessTests {
    private func gateway(_ settings: [String: String?] = [:], over carriage: Carriage = .plain) throws -> TestGateway {
        try TestGateway(settings, over: carriage) { gateway in
            gateway.webSocket("/socket") { _ in Parrot() }
            var options = WebSocketOptions()
            options.subprotocols = ["chat"]
            gateway.webSocket("/chat", options: options) { _ in Parrot() }
            gateway.get("/who", access: .signedIn) { request in .text(request.principal?.subject ?? "nobody") }
            gateway.post("/who", access: .signedIn) { request in .text(request.principal?.subject ?? "nobody") }
            gateway.get("/admin", access: .admin) { _ in .text("welcome") }
        }
    }

    // MARK: Before the upgrade

    @Test("a socket without a token is refused with 401, a reason, and a challenge")
    func missing() throws {
        let answer = try SocketClient(gateway()).answer
        #expect(answer.status == 401)
        #expect(answer.code == "token_missing")
        #expect(answer["www-authenticate"]?.hasPrefix("Bearer") == true)
        #expect(answer["content-type"] == "application/json")
    }

    @Test("a bad token is refused with the check that failed")
    func refusals() throws {
        let gateway = try gateway()
        let forged = try TestGateway.token(secret: "another secret of at least thirty-two bytes")
        let expired = try TestGateway.token(lifetime: -10)
        let anonymous = try TestGateway.token(more: ["role": .string("anon")])
        for (token, status, code) in [
            (forged, 401, "token_signature_invalid"), (expired, 401, "token_expired"),
            (anonymous, 403, "token_role_refused"), ("rubbish", 401, "token_malformed"),
        ] {
            let answer = try SocketClient(gateway, "/socket?token=\(token)").answer
            #expect(answer.status == status)
            #expect(answer.code == code)
        }
    }

    @Test("a genuine user without the permission is refused with 403")
    func admin() throws {
        let gateway = try gateway()
        let user = try TestGateway.token()
        let admin = try TestGateway.token(more: ["permissions": .array([.string("admin")])])
        let refused = try gateway.ask(get("/admin", "Authorization: Bearer \(user)"))
        #expect(refused.status == 403)
        #expect(refused.code == "admin_required")
        #expect(try gateway.ask(get("/admin", "Authorization: Bearer \(admin)")).text == "welcome")
    }

    @Test("two tokens that differ are refused with 400, the same one twice is not")
    func conflict() throws {
        let gateway = try gateway()
        let one = try TestGateway.token(subject: "one")
        let two = try TestGateway.token(subject: "two")
        let answer = try SocketClient(gateway, "/socket?token=\(one)", fields: ["Authorization: Bearer \(two)"]).answer
        #expect(answer.status == 400)
        #expect(answer.code == "credentials_conflict")
        let same = try SocketClient(gateway, "/socket?token=\(one)", fields: ["Authorization: Bearer \(one)"]).answer
        #expect(same.status == 101)
    }

    @Test("a path that is a WebSocket only is 426 to others, and a handshake without a version is told the right one")
    func upgradeRequired() throws {
        let gateway = try gateway()
        #expect(try gateway.ask(get("/socket")).status == 426)
        let token = try TestGateway.token()
        let client = try gateway.connect()
        try client.send(
            get(
                "/socket?token=\(token)", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 8",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
        let answer = try client.answer()
        #expect(answer.status == 426)
        #expect(answer["sec-websocket-version"] == "13")
        #expect(answer.code == "websocket_refused")
    }

    @Test("a handshake with a body is refused")
    func upgradeWithBody() throws {
        let gateway = try gateway()
        let token = try TestGateway.token()
        let client = try gateway.connect()
        try client.send(
            get("/socket?token=\(token)", "Content-Length: 3").replacingEnd(with: webSocketFields) + "abc" + get("/who")
        )
        #expect(try client.answer().status == 426)
        #expect(try client.answer().status == 401)
    }

    // MARK: Carriers

    @Test("every carrier brings a token", arguments: Carriage.allCases)
    func carriers(_ carriage: Carriage) throws {
        let gateway = try gateway(["AUTH_COOKIE": "session"], over: carriage)
        let token = try TestGateway.token()
        let scheme = carriage == .tls ? "https" : "http"
        for (path, fields) in [
            ("/socket?token=\(token)", []), ("/socket", ["Authorization: Bearer \(token)"]),
            ("/socket", ["Sec-WebSocket-Protocol: bearer, \(token)"]),
            ("/socket", ["Cookie: a=b; session=\(token)", "Origin: \(scheme)://x"]),
        ] {
            let client = try SocketClient(gateway, path, fields: fields)
            #expect(client.answer.status == 101, "\(fields)")
            try client.send("hello")
            #expect(try client.next() == .text("hello"))
        }
    }

    @Test("an application subprotocol is preferred to bearer, which is the answer when it is all there is")
    func subprotocols() throws {
        let gateway = try gateway()
        let token = try TestGateway.token()
        let chat = try SocketClient(gateway, "/chat", fields: ["Sec-WebSocket-Protocol: chat, bearer, \(token)"])
        #expect(chat.answer.values(of: "sec-websocket-protocol") == ["chat"])
        let bearer = try SocketClient(gateway, "/chat", fields: ["Sec-WebSocket-Protocol: bearer, \(token)"])
        #expect(bearer.answer.values(of: "sec-websocket-protocol") == ["bearer"])
    }

    @Test("a cookie opens a socket or changes anything only from an allowed origin")
    func cookieOrigins() throws {
        let gateway = try gateway(["AUTH_COOKIE": "session", "ALLOWED_ORIGINS": "https://app.example"])
        let cookie = "Cookie: session=\(try TestGateway.token())"
        #expect(try SocketClient(gateway, fields: [cookie]).answer.code == "origin_missing")
        #expect(
            try SocketClient(gateway, fields: [cookie, "Origin: https://evil.example"]).answer.code == "origin_refused")
        #expect(try SocketClient(gateway, fields: [cookie, "Origin: https://app.example"]).answer.status == 101)
        #expect(try gateway.ask(get("/who", cookie)).text == "somebody")
        #expect(try gateway.ask("POST /who HTTP/1.1\r\nHost: x\r\n\(cookie)\r\n\r\n").status == 403)
        let own = "POST /who HTTP/1.1\r\nHost: x\r\n\(cookie)\r\nOrigin: http://x\r\nContent-Length: 0\r\n\r\n"
        #expect(try gateway.ask(own).text == "somebody")
    }

    @Test("with ALLOWED_ORIGINS a page from elsewhere opens no socket, whatever its token")
    func origins() throws {
        let gateway = try gateway(["ALLOWED_ORIGINS": "https://app.example"])
        let token = try TestGateway.token()
        let answer = try SocketClient(
            gateway, "/socket?token=\(token)", fields: ["Origin: https://evil.example"]
        ).answer
        #expect(answer.status == 403)
        #expect(answer.code == "websocket_refused")
    }

    // MARK: The life of a token

    @Test("a socket is warned, and closes with 4401 when its token expires", arguments: Carriage.allCases)
    func expiry(_ carriage: Carriage) throws {
        let gateway = try gateway(["AUTH_WARN_BEFORE": "1"], over: carriage)
        let client = try SocketClient(gateway, "/socket?token=\(TestGateway.token(lifetime: 2))")
        guard case .text(let warning) = try client.next() else { Issue.record("no warning"); return }
        #expect(warning.contains("\"type\":\"auth_expiring\""))
        #expect(try client.next() == .close(4401, "token expired"))
        try client.send(SocketClient.close(4401))
        #expect(try client.next() == .end)
    }

    @Test("a new token for the same user keeps the socket open beyond the old one's end")
    func renewal() throws {
        let gateway = try gateway(["AUTH_WARN_BEFORE": "0"])
        let client = try SocketClient(gateway, "/socket?token=\(TestGateway.token(lifetime: 2))")
        try client.send("{\"type\":\"auth\",\"token\":\"\(TestGateway.token(lifetime: 600))\"}")
        guard case .text(let renewed) = try client.next() else { Issue.record("no answer"); return }
        #expect(renewed.contains("\"type\":\"auth_renewed\""))
        // The next one is short again, so the end tells that it was not the first one's.
        try client.send("{ \"token\": \"\(TestGateway.token(lifetime: 3))\", \"type\": \"auth\" }")
        _ = try client.next()
        try client.send("still open")
        #expect(try client.next() == .text("still open"))
        #expect(try client.next() == .close(4401, "token expired"))
    }

    @Test("another user, more rights and rubbish are refused in band, and the socket stays as it was")
    func refusedRenewals() throws {
        let gateway = try gateway(["AUTH_WARN_BEFORE": "0"])
        let client = try SocketClient(gateway, "/socket?token=\(TestGateway.token(lifetime: 60))")
        for (token, code) in [
            (try TestGateway.token(subject: "other"), "renewal_other_identity"),
            (try TestGateway.token(more: ["permissions": .array([.string("admin")])]), "renewal_more_rights"),
            ("rubbish", "token_malformed"), (try TestGateway.token(lifetime: -5), "token_expired"),
        ] {
            try client.send("{\"type\":\"auth\",\"token\":\"\(token)\"}")
            guard case .text(let refusal) = try client.next() else { Issue.record("no answer"); return }
            #expect(refusal.contains("\"type\":\"auth_refused\""))
            #expect(refusal.contains("\"code\":\"\(code)\""))
        }
        try client.send("still open")
        #expect(try client.next() == .text("still open"))
        try client.send("{\"type\":\"auth\",\"token\":\"rubbish\"}")
        #expect(try client.closeCode() == 1008)
    }

    @Test(
        "messages that only look like a renewal are the plugin's",
        arguments: [
            "{\"type\":\"author\",\"token\":\"x\"}", "{\"type\":\"auth\"}", "{\"type\":\"auth\",\"token\":5}",
            "{\"type\":\"ping\",\"auth\":1}", "{\"type\":\"auth\",\"token\":\"x\"", "{\"type\"", "{\"token\":\"abc\"}",
        ])
    func notRenewals(_ message: String) throws {
        let gateway = try gateway()
        let client = try SocketClient(gateway, "/socket?token=\(TestGateway.token())")
        try client.send(message)
        #expect(try client.next() == .text(message))
    }

    @Test("a socket of a route for anyone has no token to renew")
    func anonymous() throws {
        let gateway = try TestGateway { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Parrot() }
        }
        let client = try SocketClient(gateway)
        let message = "{\"type\":\"auth\",\"token\":\"x\"}"
        try client.send(message)
        #expect(try client.next() == .text(message))
    }
}
