import LimitedPlugin
import PluginKit
import PluginTesting
import Testing

@Suite("The example of limits")
struct LimitedTests {
    @Test("requests and messages of a user share one allowance, on both loops; health has none")
    func allowance() throws {
        let gateway = try GatewayUnderTest(
            [Limited.self], settings: ["RATE_LIMIT_REQUESTS_PER_MINUTE": "4"], loops: 2)
        let token = try GatewayUnderTest.token()
        let socket = try gateway.socket("/limited", token: token)
        #expect(socket.reply.status == 101)
        for _ in 0..<2 {
            try socket.send("work")
            #expect(try socket.next() == .text("done"))
        }
        #expect(try gateway.get("/limited/work", token: token).text == "done")
        let refusal = try gateway.get("/limited/work", token: token)
        #expect(refusal.status == 429)
        #expect((14...15).contains(Int(refusal["retry-after"] ?? "") ?? 0))
        try socket.send("work")
        guard case .text(let error) = try socket.next() else {
            Issue.record("no error")
            return
        }
        #expect(error.contains(#""error":"Rate limit exceeded""#))
        #expect(try gateway.get("/limited/work", token: GatewayUnderTest.token(for: "another")).status == 200)
        #expect(try gateway.get("/limited/health").status == 200)
    }
}
