import PluginKit
import Testing

@testable import ProxyPlugin

@Suite("Sending a request again")
struct RetryRuleTests {
    static let beforeTheRequest: [UpstreamError] = [
        .nameNotFound("h"), .nameLookupFailed(""), .connectFailed(""), .connectTimedOut, .cipher(""), .tooManyWaiting,
        .tooManyConnections,
    ]
    static let afterIt: [UpstreamError] = [
        .firstByteTimedOut, .idleTimedOut, .malformed(""), .bodyIncomplete, .bodyTooLarge(limit: 1), .unsendable(""),
        .upgradeFailed(""),
    ]

    @Test("any request is, when nothing of it was sent", arguments: beforeTheRequest, [Method.get, .post, .patch])
    func unsent(_ error: UpstreamError, _ method: Method) {
        #expect(Forwarding.mayRepeat(method, hasBody: true, after: error))
    }

    @Test("none is, once its answer has begun or its time is up", arguments: afterIt)
    func sent(_ error: UpstreamError) {
        #expect(!Forwarding.mayRepeat(.get, hasBody: false, after: error))
    }

    @Test("one that may have arrived is, if that changes nothing and its body is not gone")
    func hungUp() {
        for method in [Method.get, .head, .options, .put, .delete] {
            #expect(Forwarding.mayRepeat(method, hasBody: false, after: .closedBeforeAnswer))
            #expect(!Forwarding.mayRepeat(method, hasBody: true, after: .closedBeforeAnswer))
        }
        for method in [Method.post, .patch] {
            #expect(!Forwarding.mayRepeat(method, hasBody: false, after: .closedBeforeAnswer))
        }
    }

    @Test("what a request or the gateway itself is to blame for does not count against the upstream")
    func blame() {
        let blameless: [UpstreamError] = [
            .tooManyWaiting, .tooManyConnections, .unsendable(""), .bodyTooLarge(limit: 1),
        ]
        #expect(blameless.allSatisfy { !Forwarding.isUpstreamsFault($0) })
        #expect([.connectTimedOut, .closedBeforeAnswer, .firstByteTimedOut].allSatisfy(Forwarding.isUpstreamsFault))
    }

    @Test("methods that mean something to a proxy itself, or nothing to anybody, are not forwarded")
    func methods() {
        #expect(Method.allCases.filter { !Forwarding.isForwarded($0) } == [.connect, .trace, .other])
    }
}

@Suite("A WebSocket's two sides")
struct SocketSidesTests {
    @Test(
        "codes pass through; a broken connection becomes the code that says whose it was",
        arguments: [
            (1000, 1000, 1000), (1001, 1001, 1001), (1008, 1008, 1008), (4999, 4999, 4999), (1005, nil, 1005),
            (1006, 1001, 1014),
        ] as [(UInt16, UInt16?, UInt16)])
    func codes(_ code: UInt16, _ upstream: UInt16?, _ client: UInt16) {
        let code = CloseCode(rawValue: code)
        #expect(SocketBridge.codeForUpstream(code)?.rawValue == upstream)
        #expect(SocketBridge.codeForClient(code).rawValue == client)
    }

    @Test("subprotocols are offered to the upstream in order, without the gateway's own token")
    func subprotocols() {
        let lines = ["chat, bearer,a.b.c", " v2 ,,"]
        #expect(SubprotocolOffer.forwarded(lines, withoutToken: false) == ["chat", "bearer", "a.b.c", "v2"])
        #expect(SubprotocolOffer.forwarded(lines, withoutToken: true) == ["chat", "v2"])
        #expect(SubprotocolOffer.forwarded(["bearer"], withoutToken: true) == [])
        #expect(SubprotocolOffer.forwarded([], withoutToken: true) == [])
    }
}
