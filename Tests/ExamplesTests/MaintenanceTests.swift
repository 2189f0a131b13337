import HelloPlugin
import MaintenancePlugin
import PluginKit
import PluginTesting
import Testing

@Suite("The maintenance plugin")
struct MaintenanceTests {
    private let admin: String

    init() throws { admin = try GatewayUnderTest.token(isAdmin: true) }

    // docs: test
    @Test("an admin closes the gateway on every loop and opens it again; probes pass all the while")
    func switching() throws {
        let gateway = try GatewayUnderTest([Maintenance.self, Hello.self], loops: 2)
        #expect(try gateway.get("/hello").status == 200)

        #expect(try gateway.ask("PUT", "/maintenance", token: admin).status == 204)
        for _ in 0..<8 {
            let refusal = try gateway.get("/hello")
            #expect(refusal.status == 503)
            #expect(refusal["retry-after"] == "120")
            #expect(refusal.text.contains(#""code":"maintenance""#))
        }
        #expect(try gateway.get("/livez").status == 200)
        #expect(try gateway.get("/readyz").status == 200)
        #expect(try gateway.get("/readyz", at: .operations).text.contains("closed for maintenance"))
        #expect(try gateway.metric("gateway_maintenance_refused_total") == 8)

        #expect(try gateway.ask("DELETE", "/maintenance", token: admin).status == 204)
        #expect(try gateway.get("/hello").status == 200)
    }
    // docs: end

    @Test("it starts closed where the settings say so, and says when to come back")
    func startsClosed() throws {
        let gateway = try GatewayUnderTest(
            [Maintenance.self, Hello.self], settings: ["MAINTENANCE_CLOSED": "true", "MAINTENANCE_RETRY_AFTER": "5m"])
        let refusal = try gateway.get("/hello")
        #expect(refusal.status == 503)
        #expect(refusal["retry-after"] == "300")
    }

    @Test("nobody but an admin may close it", arguments: [(nil, 401), ("somebody", 403)])
    func others(_ subject: String?, _ status: Int) throws {
        let gateway = try GatewayUnderTest([Maintenance.self])
        let token = try subject.map { try GatewayUnderTest.token(for: $0) }
        #expect(try gateway.ask("PUT", "/maintenance", token: token).status == status)
        #expect(try gateway.get("/nowhere").status == 404)
    }
}
