import GatewayTunnel
import PluginKit
import Testing

@testable import TunnelPlugin

@Suite("Envelopes")
struct EnvelopeTests {
    private func request(_ text: String) throws -> EnvelopeRequest {
        guard case .request(let request) = try Envelope(Array(text.utf8)) else { throw EnvelopeError.noEnvelope }
        return request
    }

    private func wrong(_ text: String) -> EnvelopeError? {
        do throws(EnvelopeError) {
            _ = try Envelope(Array(text.utf8))
            return nil
        } catch {
            return error
        }
    }

    @Test("the guide's form and the one before it say the same")
    func forms() throws {
        let newer = try request(
            #"{"type":"request","requestId":"7","payload":{"method":"post","path":"/api/ollama/api/chat","headers":"#
                + #"{"Accept":"*/*","Authorization":"secret","Host":"x"},"body":"{}","stream":true,"timeout":1500,"#
                + #""agent":"desk"}}"#)
        #expect(newer.id == "7" && !newer.isOlderForm && newer.streams && newer.agent == "desk")
        #expect(newer.head.method == "POST" && newer.head.target == "/api/chat" && newer.head.length == 2)
        #expect(newer.head.fields.first(.accept) == "*/*" && newer.head.fields.first(.authorization) == nil)
        #expect(newer.head.fields.first(.host) == nil && newer.timeout == .milliseconds(1500))
        let older = try request(#"{"type":"http_request","id":8,"path":"/api/tags?x=1","timestamp":"then"}"#)
        #expect(older.id == "8" && older.isOlderForm && older.timesAreText && !older.streams)
        #expect(older.head.method == "GET" && older.head.target == "/api/tags?x=1" && older.head.length == nil)
    }

    @Test("a body is text, base64 where that is said, or JSON written out")
    func bodies() throws {
        func body(_ members: String) throws -> [UInt8] {
            try request(#"{"type":"request","payload":{"path":"/x",\#(members)}}"#).body
        }
        #expect(try body(#""body":"é""#) == Array("é".utf8))
        #expect(try body(#""body":"AAE=","bodyEncoding":"base64""#) == [0, 1])
        #expect(try body(#""body":{"a":[1]}"#) == Array(#"{"a":[1]}"#.utf8))
        #expect(try body(#""body":null"#).isEmpty)
        #expect(wrong(#"{"type":"request","payload":{"path":"/x","body":"?","bodyEncoding":"base64"}}"#) != nil)
        #expect(wrong(#"{"type":"request","payload":{"path":"/x","body":"?","bodyEncoding":"rot13"}}"#) != nil)
    }

    @Test(
        "what cannot be served is told with its id",
        arguments: [
            #""payload":{}"#, #""payload":{"path":7}"#, #""payload":{"path":"/x","method":"CONNECT"}"#,
            #""payload":{"path":"x"}"#, #""payload":{"path":"/../x"}"#, #""payload":{"path":"/a//b"}"#,
            #""payload":{"path":"/a%2fb"}"#, #""payload":{"path":"/a?b c"}"#, #""payload":{"path":"/a b"}"#,
            #""payload":{"path":"/x","headers":[]}"#, #""payload":{"path":"/x","headers":{"a b":"c"}}"#,
            #""payload":{"path":"/x","headers":{"a":"b\r\nc: d"}}"#, #""payload":{"path":"/x","headers":{"a":[1]}}"#,
        ])
    func refused(members: String) {
        let error = wrong(#"{"type":"request","requestId":"9",\#(members)}"#)
        guard case .badRequest(id: "9", isOlderForm: false, _)? = error else {
            return #expect(Bool(false), "\(String(describing: error))")
        }
    }

    @Test("what is no envelope is one error, and types of others are passed over")
    func others() throws {
        for text in ["", "[]", "{", #"{"type":1}"#, #"{"type":"cancel"}"#, #"{"path":"/x"}"#] {
            #expect(wrong(text) == .noEnvelope)
        }
        guard case .cancel(id: "4") = try Envelope(Array(#"{"type":"cancel","requestId":"4"}"#.utf8)),
            case .close = try Envelope(Array(#"{"type":"close"}"#.utf8)),
            case .ignored = try Envelope(Array(#"{"type":"pong"}"#.utf8)),
            case .ping(let ping) = try Envelope(Array(#"{"type":"ping","id":"5","timestamp":1}"#.utf8))
        else { return #expect(Bool(false), "read as something else") }
        let pong = try JSON.parse(Array(EnvelopeWriter.pong(ping).utf8))
        #expect(pong["type"]?.string == "pong" && pong["id"]?.string == "5" && pong["timestamp"]?.number != nil)
    }

    @Test("an answer is written in the form it was asked in")
    func answers() throws {
        var fields = HeaderFields()
        try fields.append(.contentType, checking: "text/plain")
        try fields.append(HeaderName(literal: "X-A"), checking: "1")
        try fields.append(HeaderName(literal: "X-A"), checking: "2")
        let answer = StreamAnswer(status: .ok, fields: fields)
        func written(older: Bool, _ body: [UInt8]) throws -> JSON {
            let writer = EnvelopeWriter(id: "1", isOlderForm: older, timesAreText: older)
            return try JSON.parse(Array(writer.answer(answer, body: body, latency: 5).utf8))
        }
        let newer = try written(older: false, Array("hello".utf8))
        #expect(newer["type"]?.string == "response" && newer["requestId"]?.string == "1")
        #expect(newer["payload"]?["statusCode"]?.number?.int == 200 && newer["payload"]?["latency"]?.number?.int == 5)
        #expect(newer["payload"]?["headers"]?["x-a"]?.string == "1, 2" && newer["timestamp"]?.number != nil)
        let older = try written(older: true, [0xFF])
        #expect(older["type"]?.string == "http_response" && older["status"]?.number?.int == 200)
        #expect(older["body"]?.string == "/w==" && older["bodyEncoding"]?.string == "base64")
        #expect(older["requestId"] == nil && older["timestamp"]?.string != nil)
    }

    @Test("an error has the guide's parts in the newer form, and two words in the older")
    func failures() throws {
        let report = TunnelFailure.circuitOpen(retryAfter: 9).report
        let newer = try JSON.parse(
            Array(EnvelopeWriter(id: "1", isOlderForm: false, timesAreText: false).failure(report).utf8))
        #expect(newer["error"]?["code"]?.string == "TUNNEL_004" && newer["error"]?["retryAfter"]?.number?.int == 9)
        #expect(newer["error"]?["category"]?.string == "server" && newer["error"]?["suggestion"]?.string != nil)
        let older = try JSON.parse(
            Array(EnvelopeWriter(id: "1", isOlderForm: true, timesAreText: false).failure(report).utf8))
        #expect(older["code"]?.string == "CIRCUIT_OPEN" && older["error"]?.string == report.message)
    }

    @Test("text is cut between characters, wherever its bytes are cut")
    func pieces() {
        let text = Array("aé€😀z".utf8)
        for size in 1...text.count {
            var pieces = TextPieces()
            var all: [UInt8] = []
            for start in stride(from: 0, to: text.count, by: size) {
                let piece = pieces.add(Array(text[start..<min(start + size, text.count)]))
                #expect(String(validating: piece, as: UTF8.self) != nil)
                all += piece
            }
            #expect(pieces.finish().isEmpty && all == text)
        }
        var broken = TextPieces()
        #expect(broken.add([0x61, 0xF0, 0x9F]) == [0x61] && broken.finish() == [0xF0, 0x9F])
        #expect(broken.finish().isEmpty && broken.add([0x80, 0x80, 0x80, 0x80]) == [0x80, 0x80, 0x80, 0x80])
    }
}
