import GatewayHTTP
import GatewayTunnel
import Testing

@Suite("Tunnel protocol violations")
struct ViolationTests {
    private func data(_ stream: UInt32, at offset: UInt64, _ count: Int, ends: Bool = false) -> [UInt8] {
        var bytes = [UInt8](repeating: 7, count: DataFrame.size + count)
        unsafe bytes.withUnsafeMutableBytes {
            unsafe DataFrame(stream: stream, offset: offset, ends: ends).write(to: $0)
        }
        return bytes
    }

    private func feed(_ session: TunnelSession, _ bytes: [UInt8]) throws {
        unsafe try bytes.withUnsafeBytes { unsafe try session.receive(binary: $0) }
    }

    private func answered() throws -> (Link, StreamEnd) {
        let link = Link()
        let end = try #require(link.open())
        try link.settle()
        link.accepted[1]?.stream?.answer(StreamAnswer(status: .ok))
        try link.settle()
        return (link, end)
    }

    @Test("bytes before the head, behind the end, or for a stream never opened end the session")
    func order() throws {
        let link = Link()
        _ = try #require(link.open())
        #expect(throws: TunnelViolation.self) { try feed(link.gateway, data(1, at: 0, 1)) }
        let (second, _) = try answered()
        #expect(throws: TunnelViolation.self) { try feed(second.gateway, data(9, at: 0, 1)) }
        try feed(second.gateway, data(1, at: 0, 1, ends: true))
        #expect(throws: TunnelViolation.self) { try feed(second.gateway, data(1, at: 1, 1)) }
    }

    @Test("bytes at another offset break their stream, before they reach anybody")
    func offset() throws {
        for place: UInt64 in [1, .max] {
            let (link, end) = try answered()
            try feed(link.gateway, data(1, at: place, 1))
            #expect(end.endings == [.offset] && end.bytes.isEmpty)
        }
    }

    @Test("more than the stream's credit breaks the stream, more than the session's the session")
    func credit() throws {
        let (link, end) = try answered()
        end.consumes = false
        try feed(link.gateway, data(1, at: 0, link.gateway.terms.streamWindow + 1))
        #expect(end.endings == [.flow])

        var terms = TunnelTerms()
        terms.streamWindow = 100
        terms.sessionWindow = 150
        let small = Link(terms)
        for id: UInt32 in [1, 2] {
            let end = try #require(small.open())
            end.consumes = false
            try small.settle()
            small.accepted[id]?.stream?.answer(StreamAnswer(status: .ok))
        }
        try small.settle()
        try feed(small.gateway, data(1, at: 0, 100))
        #expect(throws: TunnelViolation.self) { try feed(small.gateway, data(2, at: 0, 51)) }
    }

    @Test("acknowledging what was never sent ends the session")
    func acknowledgement() throws {
        let (link, end) = try answered()
        end.write([1, 2, 3])
        for text in [
            #"{"type":"window","stream":1,"consumed":4}"#, #"{"type":"window","stream":1,"consumed":3,"end":true}"#,
            #"{"type":"window","stream":2,"consumed":0}"#, #"{"type":"reset","stream":2,"code":"cancelled"}"#,
        ] {
            #expect(throws: TunnelViolation.self) { try link.gateway.receive(text: Array(text.utf8)) }
        }
        _ = try link.gateway.receive(text: Array(#"{"type":"window","stream":1,"consumed":3}"#.utf8))
    }

    @Test("streams are opened by the gateway only, answered by the agent only, and both once")
    func roles() throws {
        let (link, _) = try answered()
        let open = #"{"type":"open","stream":1,"kind":"tcp","port":22}"#
        let head = #"{"type":"head","stream":1,"status":200,"headers":[]}"#
        #expect(throws: TunnelViolation.self) { try link.agent.receive(text: Array(open.utf8)) }
        #expect(throws: TunnelViolation.self) { try link.gateway.receive(text: Array(open.utf8)) }
        #expect(throws: TunnelViolation.self) { try link.agent.receive(text: Array(head.utf8)) }
        #expect(throws: TunnelViolation.self) { try link.gateway.receive(text: Array(head.utf8)) }
    }

    @Test(
        "messages that are not what they should be are refused",
        arguments: [
            "", "[]", "{", #"{"stream":1}"#, #"{"type":7}"#,
            #"{"type":"hello","version":2,"name":"desk"}"#, #"{"type":"hello","version":1,"name":"../x"}"#,
            #"{"type":"hello","version":1,"name":"desk","ports":[0]}"#,
            #"{"type":"hello","version":1,"name":"desk","ports":[70000]}"#,
            #"{"type":"hello","version":1,"name":"desk","resume":{"session":"a","secret":"b","newest":1}}"#,
            #"{"type":"welcome","version":1,"session":"a","secret":"b","streamWindow":0,"sessionWindow":9,"dataFrame":1,"streams":1,"resumeGrace":1}"#,
            #"{"type":"resumed"}"#, #"{"type":"window","stream":0,"consumed":1}"#,
            #"{"type":"window","stream":1,"consumed":-1}"#, #"{"type":"window","stream":1,"consumed":1.5}"#,
            #"{"type":"open","stream":1,"kind":"udp"}"#, #"{"type":"open","stream":1,"kind":"tcp","port":0}"#,
            #"{"type":"open","stream":1,"kind":"http","method":"GET","target":"api","headers":[]}"#,
            #"{"type":"open","stream":1,"kind":"http","method":"GET","target":"/a b","headers":[]}"#,
            #"{"type":"open","stream":1,"kind":"http","method":"GET\r\n","target":"/","headers":[]}"#,
            #"{"type":"open","stream":1,"kind":"http","method":"GET","target":"/","headers":{}}"#,
            #"{"type":"open","stream":1,"kind":"http","method":"GET","target":"/","headers":[["a"]]}"#,
            #"{"type":"open","stream":1,"kind":"http","method":"GET","target":"/","headers":[["a","x\r\ny: z"]]}"#,
            #"{"type":"open","stream":1,"kind":"http","method":"GET","target":"/","headers":[["a b","x"]]}"#,
            #"{"type":"open","stream":1,"kind":"http","method":"GET","target":"/","headers":[["connection","x"]]}"#,
            #"{"type":"head","stream":1,"status":99,"headers":[]}"#,
            #"{"type":"head","stream":1,"status":200,"headers":[],"length":-1}"#,
        ])
    func malformed(text: String) { #expect(throws: TunnelViolation.self) { try TunnelMessage(Array(text.utf8)) } }

    @Test("a binary message needs its prefix, a stream and no unknown flag")
    func prefix() {
        for bytes in [
            [UInt8](repeating: 0, count: 12), [2, 0, 0, 0, 1] + [UInt8](repeating: 0, count: 8),
            [UInt8](repeating: 0, count: 13),
        ] {
            #expect(throws: TunnelViolation.self) { unsafe try bytes.withUnsafeBytes { unsafe try DataFrame($0) } }
        }
    }
}
