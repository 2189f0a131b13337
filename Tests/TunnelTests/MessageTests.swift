import GatewayBytes
import GatewayHTTP
import GatewayTunnel
import Testing

@Suite("Tunnel messages")
struct MessageTests {
    private func text(_ message: TunnelMessage) -> String { String(decoding: message.text, as: UTF8.self) }

    private func again(_ message: TunnelMessage) throws -> String { text(try TunnelMessage(message.text)) }

    @Test("every message is read as it was written")
    func roundTrip() throws {
        var fields = HeaderFields()
        try fields.append(.contentType, checking: "application/json")
        try fields.append(.accept, checking: "*/*")
        let positions = [StreamPosition(stream: 3, hasHead: true, received: 10, ended: false, consumed: 4)]
        let request = StreamHTTPRequest(method: "POST", target: "/api/chat?x=1", fields: fields, length: 7)
        var terms = TunnelTerms()
        terms.streams = 3
        let messages: [TunnelMessage] = [
            .hello(
                TunnelHello(
                    name: "desk", software: "gateway/1", offersHTTP: true, ports: [22, 5900],
                    resumption: .init(session: "s", secret: Secret("x"), newest: 4, positions: positions))),
            .welcome(TunnelWelcome(session: "s", secret: Secret("y"), terms: terms)), .resumed(positions),
            .open(1, .http(request), ends: true), .open(2, .tcp(port: 22), ends: false),
            .head(1, StreamAnswer(status: .ok, fields: fields, length: 12)), .window(9, consumed: 1 << 40, ended: true),
            .reset(3, .refused, "no"), .drain,
        ]
        for message in messages { #expect(try again(message) == text(message)) }
        #expect(text(messages[4]) == #"{"type":"open","stream":2,"kind":"tcp","port":22}"#)
    }

    @Test("a message of an unknown type is handed on, and an unknown reason still ends its stream")
    func unknown() throws {
        guard
            case .other("auth_expiring", let json) = try TunnelMessage(
                Array(#"{"type":"auth_expiring","expiresIn":60}"#.utf8))
        else { return #expect(Bool(false), "it was taken for another message") }
        #expect(json["expiresIn"]?.number?.int == 60)
        guard
            case .reset(1, .broken, "x") = try TunnelMessage(
                Array(#"{"type":"reset","stream":1,"code":"meteorite","message":"x"}"#.utf8))
        else { return #expect(Bool(false), "the reason was not replaced") }
    }

    @Test("names of agents are short words that can stand in a path")
    func names() {
        for name in ["desk", "Desk-2", "a.b_c", String(repeating: "x", count: 64)] {
            #expect(TunnelProtocol.isAgentName(name))
        }
        for name in ["", ".", "..", "a/b", "a b", "ä", String(repeating: "x", count: 65)] {
            #expect(!TunnelProtocol.isAgentName(name))
        }
    }

    @Test("what an agent tells people is cut short, also where one character is made of thousands")
    func notes() throws {
        let long = "a" + String(repeating: "\u{301}", count: 20_000)
        guard
            case .hello(let hello) = try TunnelMessage(
                TunnelMessage.hello(TunnelHello(name: "desk", software: long, offersHTTP: true, ports: [])).text),
            case .reset(_, .broken, let note) = try TunnelMessage(TunnelMessage.reset(1, .broken, long).text)
        else { return #expect(Bool(false), "read as something else") }
        #expect(hello.software.unicodeScalars.count == TunnelProtocol.noteLength && note == hello.software)
    }
}
