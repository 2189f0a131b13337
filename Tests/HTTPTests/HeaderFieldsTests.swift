import GatewayBytes
import GatewayHTTP
import Testing

@Suite("Fields to be sent")
struct HeaderFieldsTests {
    private let room = HeaderName("X-Room") ?? .host

    @Test("fields keep their order and stand as they are sent")
    func order() throws {
        var fields = HeaderFields(reserving: 64)
        fields.append(.contentType, "text/plain")
        try fields.append(room, checking: "a")
        fields.append(.setCookie, "a=1")
        fields.append(.setCookie, "b=2")
        fields.append(.age, decimal: 90)
        #expect(fields.count == 5)
        #expect(
            fields.description
                == "Content-Type: text/plain\r\nX-Room: a\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nAge: 90\r\n")
        #expect(fields.byteCount == fields.description.utf8.count)
        #expect(fields.first(.setCookie) == "a=1")
        #expect(fields.all(.setCookie) == ["a=1", "b=2"])
        #expect(fields.contains(.age) && !fields.contains(.host))
        #expect(fields.first(HeaderName("x-ROOM") ?? .host) == "a")
        #expect(fields.first(HeaderName("x-other") ?? .host) == nil)
        #expect(fields.first(.eTag) == nil && fields.all(.eTag) == [])
    }

    @Test("a value that is put together in place is checked like any other; a refused one leaves no trace")
    func writing() throws {
        var fields = HeaderFields()
        try fields.append(.via, room: 5) { $0.append("1.1 a") }
        #expect(throws: FieldValueError.controlCharacter(10)) {
            try fields.append(room, room: 8) { $0.append("b\nX: c") }
        }
        try fields.append(room, room: 8) { $0.append("d") }
        #expect(fields.description == "Via: 1.1 a\r\nX-Room: d\r\n")
        #expect(fields.count == 2 && fields.first(.via) == "1.1 a" && fields.first(room) == "d")
    }

    @Test("setting replaces all fields of that name, removing forgets them")
    func replacing() throws {
        var fields = HeaderFields()
        fields.append(.setCookie, "a=1")
        fields.append(.vary, "Origin")
        fields.append(.setCookie, "b=2")
        fields.set(.setCookie, "c=3")
        #expect(fields.description == "Vary: Origin\r\nSet-Cookie: c=3\r\n")
        try fields.set(.vary, checking: "Accept")
        #expect(fields.first(.vary) == "Accept" && fields.count == 2)
        fields.remove(.vary)
        fields.remove(.vary)
        #expect(!fields.contains(.vary) && fields.count == 1)
        try fields.append(room, checking: "1")
        fields.remove(HeaderName("x-room") ?? .host)
        #expect(!fields.contains(room) && fields.count == 1)
        fields.remove(.setCookie)
        #expect(fields.isEmpty && fields.byteCount == 0 && fields.description.isEmpty)
    }

    @Test(
        "a value with a control character is refused and changes nothing",
        arguments: [
            "\r", "\n", "a\r\nX: y", "\u{0}", "\u{1}", "\u{1F}", "a\u{7F}", "\u{B}",
            String(repeating: "a", count: 20) + "\n",
        ])
    func injection(_ value: String) {
        var fields = HeaderFields()
        fields.append(.vary, "Origin")
        let before = fields
        #expect(throws: FieldValueError.self) { try fields.append(.location, checking: value) }
        #expect(throws: FieldValueError.self) { try fields.set(.vary, checking: value) }
        let bytes = Array(value.utf8)
        #expect(throws: FieldValueError.self) {
            try unsafe bytes.withUnsafeBytes { raw in try unsafe fields.append(.location, checking: raw) }
        }
        #expect(fields == before)
        #expect(FieldValueError.controlCharacter(0).message.contains("0x00"))
    }

    @Test("tabs and text beyond ASCII may be sent")
    func unusualValues() throws {
        var fields = HeaderFields()
        try fields.append(.xRequestID, checking: "a\tb é")
        #expect(fields.first(.xRequestID) == "a\tb é")
    }

    @Test("a field of a parsed head is taken over as it was spelt")
    func parsed() throws {
        let (head, bytes) = try #require(readHead("GET / HTTP/1.1\r\nHost: a\r\nx-ROOM:  b \r\nAGE: 1\r\n\r\n"))
        var fields = HeaderFields()
        unsafe bytes.withUnsafeBytes { raw in
            for field in head.fields { unsafe fields.append(field, from: raw) }
        }
        #expect(fields.description == "Host: a\r\nx-ROOM: b\r\nAGE: 1\r\n")
        #expect(fields.contains(.age) && fields.first(room) == "b")
        var others = HeaderFields()
        others.append(contentsOf: fields)
        others.append(contentsOf: fields)
        #expect(others.count == 6 && others.all(.age) == ["1", "1"])
        var names: [HeaderName] = []
        others.forEach { name, _ in names.append(name) }
        #expect(names == [.host, room, .age, .host, room, .age])
    }

    @Test("fields that end at a connection are removed together with those it names")
    func hopByHop() throws {
        var fields = HeaderFields()
        fields.append(.connection, "close , x-room")
        fields.append(.vary, "Origin")
        try fields.append(room, checking: "1")
        fields.append(.keepAlive, "timeout=5")
        fields.append(.transferEncoding, "chunked")
        fields.removeHopByHop()
        #expect(fields.description == "Vary: Origin\r\n")
    }

    @Test("each field that one of many options names is removed, however often it occurs")
    func manyOptions() throws {
        var fields = HeaderFields()
        let options = (0..<500).map { "a\($0)" } + ["X-ROOM", "Vary", "x-room"]
        try fields.append(.connection, checking: options.joined(separator: ","))
        for name in ["x-Room", "A7", "A500", "VARY", "X-Room", "ETag"] {
            try fields.append(try #require(HeaderName(name)), checking: "1")
        }
        fields.removeHopByHop()
        #expect(fields.description == "A500: 1\r\nETag: 1\r\n")
    }
}
