import GatewayTestSupport
import GatewayTunnel
import PluginKit
import Testing

@testable import TunnelPlugin

@Suite("The tunnel's words")
struct VocabularyTests {
    @Test("only paths that can be read in one way go to agents")
    func paths() {
        for path in ["/", "/api/tags", "/a/../b", "/a%20b", "/%41", "/a/", "/%", "/%2", "/%/f", "/~", "/!"] {
            #expect(TunnelPath.isForwardable(path.utf8), "\(path)")
        }
        for path in [
            "", "a", "//", "/a//b", "/a//", "/a\\b", "/%2Fa", "/%2fa", "/%5C", "/a%00", "/%%2f", "/%252f%2f", "/a b",
            "/é", "/\u{7F}", "/\u{0}", "/\r\n",
        ] {
            #expect(!TunnelPath.isForwardable(path.utf8), "\(path)")
        }
    }

    @Test("of all that a percent sign can stand before, three things hide what a path says")
    func escapes() {
        let visible = (0x21...0x7E as ClosedRange<UInt8>).filter { !"/\\".utf8.contains($0) }
        let refused = visible.flatMap { high in
            visible.map { low in String(decoding: [high, low], as: UTF8.self) }
                .filter { !TunnelPath.isForwardable("/%\($0)".utf8) }
        }
        #expect(Set(refused) == ["2f", "2F", "5c", "5C", "00"])
    }

    @Test("a stream that breaks off is told so in the words of its kind")
    func notices() throws {
        func notice(_ type: String?) -> String? {
            AnswerKind(type).notice(of: .idleTimeout).map { String(decoding: $0, as: UTF8.self) }
        }
        let lines = try #require(notice("application/x-ndjson; charset=utf-8"))
        #expect(lines.hasPrefix("\n{\"error\":{") && lines.hasSuffix("}\n"))
        let events = try #require(notice("TEXT/Event-Stream"))
        #expect(events.hasPrefix("\n\nevent: error\ndata: {") && events.hasSuffix("}\n\n"))
        #expect(events.contains("TUNNEL_007"))
        #expect(notice("application/json") == nil && notice(nil) == nil)
    }

    @Test("each failure has the guide's status, code and number")
    func failures() {
        let expected: [(TunnelFailure, Int, String, String, Int?)] = [
            (.noAgent, 503, "DESKTOP_CLIENT_DISCONNECTED", "TUNNEL_004", 5),
            (.reconnecting, 503, "AGENT_RECONNECTING", "TUNNEL_001", 2),
            (.reset(.lost, ""), 503, "AGENT_RECONNECTING", "TUNNEL_001", 2),
            (.channelLimit(3), 503, "CHANNEL_LIMIT", "TUNNEL_006", 1),
            (.reset(.overloaded, ""), 503, "CHANNEL_LIMIT", "TUNNEL_006", 1),
            (.circuitOpen(retryAfter: 8), 503, "CIRCUIT_OPEN", "TUNNEL_004", 8),
            (.firstByteTimeout, 504, "LLM_REQUEST_TIMEOUT", "TUNNEL_007", nil),
            (.idleTimeout, 504, "LLM_REQUEST_TIMEOUT", "TUNNEL_007", nil),
            (.callerTimeout, 504, "LLM_REQUEST_TIMEOUT", "TUNNEL_007", nil),
            (.reset(.timeout, ""), 504, "LLM_REQUEST_TIMEOUT", "TUNNEL_007", nil),
            (.reset(.unreachable, ""), 502, "LLM_UNREACHABLE", "TUNNEL_004", nil),
            (.reset(.broken, ""), 502, "LLM_ANSWER_BROKEN", "TUNNEL_001", nil),
            (.reset(.refused, "no"), 403, "AGENT_REFUSED", "TUNNEL_010", nil),
            (.tooLarge(limit: 1), 413, "REQUEST_TOO_LARGE", "TUNNEL_010", nil),
            (.headTooLarge, 431, "REQUEST_HEAD_TOO_LARGE", "TUNNEL_010", nil),
            (.invalidPath, 400, "INVALID_PATH", "TUNNEL_010", nil),
            (.answerTooLarge(limit: 1), 502, "ANSWER_TOO_LARGE", "TUNNEL_009", nil),
            (.shareForbids, 403, "SHARE_FORBIDS", "TUNNEL_010", nil),
            (.shareEnded, 403, "SHARE_ENDED", "TUNNEL_010", nil),
            (.storeSilent, 503, "SHARES_UNAVAILABLE", "TUNNEL_004", 2),
        ]
        for (failure, status, code, number, retry) in expected {
            let report = failure.report
            #expect(report.status.code == status && report.code == code, "\(failure)")
            #expect(report.tunnelCode == number && report.retryAfter == retry, "\(failure)")
            #expect(failure.fault.fields.first(.retryAfter) == retry.map(String.init))
        }
    }

    @Test("only what the model's server did counts against it")
    func blame() {
        for failure in [
            TunnelFailure.firstByteTimeout, .idleTimeout, .reset(.unreachable, ""), .reset(.timeout, ""),
            .reset(.broken, ""),
        ] { #expect(failure.isModelsFault) }
        for failure in [
            TunnelFailure.noAgent, .reconnecting, .callerTimeout, .reset(.lost, ""), .reset(.cancelled, ""),
            .reset(.refused, ""), .reset(.overloaded, ""), .invalidPath, .channelLimit(1),
        ] { #expect(!failure.isModelsFault) }
    }

    @Test("every fault of the gateway's has a number of the guide's")
    func numbers() {
        let expected: [(Int, String, String)] = [
            (401, "token_expired", "TUNNEL_003"), (401, "token_missing", "TUNNEL_002"),
            (403, "permission_required", "TUNNEL_002"), (403, "ACCESS_DENIED", "TUNNEL_010"),
            (429, "rate_limited", "TUNNEL_005"), (502, "x", "TUNNEL_001"), (503, "x", "TUNNEL_004"),
            (503, "CHANNEL_LIMIT", "TUNNEL_006"), (503, "AGENT_RECONNECTING", "TUNNEL_001"),
            (504, "x", "TUNNEL_007"), (500, "x", "TUNNEL_004"), (404, "x", "TUNNEL_010"),
        ]
        for (status, code, number) in expected {
            let fault = GatewayFault(Status(code: status) ?? .ok, code, "")
            #expect(TunnelFailure.tunnelCode(of: fault) == number, "\(status) \(code)")
        }
    }

    @Test("the directory keeps names for who took them, and counts within its bounds")
    func directory() throws {
        let address = try #require(IPAddress("127.0.0.1"))
        try LoopThread.with { loop in
            let directory = AgentDirectory(limit: 3, perUser: 2)
            let breakers = CircuitBreakers()
            func record(_ user: String, _ name: String, _ id: String? = nil) -> AgentRecord {
                AgentRecord(
                    user: user, credential: id.map { .enrolment(id: $0) } ?? .token, session: RandomID.text(ofBytes: 8),
                    secret: Secret("s"), hello: TunnelHello(name: name, software: "", offersHTTP: true, ports: []),
                    connectedAt: 0, address: address,
                    link: LoopBound(AgentLink(loop: loop, terms: TunnelTerms()) {}, on: loop),
                    breaker: breakers.breaker(of: "x"), grant: nil)
            }
            let first = record("ann", "desk")
            guard case .listed = directory.add(first) else { return #expect(Bool(false)) }
            guard case .nameTaken = directory.add(record("ann", "desk", "e1")) else { return #expect(Bool(false)) }
            let second = record("ann", "desk")
            guard case .replacing(let older) = directory.add(second), older === first else {
                return #expect(Bool(false))
            }
            #expect(directory.session(first.session) == nil && directory.session(second.session) === second)
            // One whose place was taken ends later, and takes nobody else's.
            #expect(!directory.remove(first) && directory.find("ann", "desk") === second)
            guard case .listed = directory.add(record("ann", "lap")) else { return #expect(Bool(false)) }
            guard case .tooMany = directory.add(record("ann", "third")) else { return #expect(Bool(false)) }
            guard case .listed = directory.add(record("bob", "desk")) else { return #expect(Bool(false)) }
            guard case .tooMany = directory.add(record("cid", "desk")) else { return #expect(Bool(false)) }
            #expect(directory.count == 3 && directory.agents(of: "cid").isEmpty)
            #expect(directory.remove(second) && !directory.remove(second))
            #expect(directory.agents(of: "ann").map(\.name) == ["lap"] && directory.count == 2)
        }
    }
}
