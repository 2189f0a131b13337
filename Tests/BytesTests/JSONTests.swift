import GatewayBytes
import Testing

@Suite("JSON (RFC 8259)")
struct JSONTests {
    @Test(
        "every kind of value is read",
        arguments: [
            ("null", .null), ("true", .bool(true)), ("false", .bool(false)), (" \t\r\n[ ]\n", .array([])),
            ("{}", .object([:])), ("\"\"", .string("")), ("0", .number(JSONNumber(0))),
            (#"["a",-1,{"b":null}]"#, .array([.string("a"), .number(JSONNumber(-1)), .object(["b": .null])])),
            (#""\"\\\/\b\f\n\r\t\u0041\u00e9\uD83D\ude00""#, .string("\"\\/\u{8}\u{C}\n\r\tAé😀")),
            (#"{"a":{"b":[1]}}"#, .object(["a": .object(["b": .array([.number(JSONNumber(1))])])])),
        ] as [(String, JSON)])
    func reads(_ text: String, _ value: JSON) throws {
        #expect(try JSON.parse(text) == value)
    }

    @Test("members are found by name and elements by place")
    func access() throws {
        let json = try JSON.parse(#"{"a":[1,"x",true],"n":1.5,"list":["p","q"]}"#)
        #expect(json["a"]?[0]?.number?.int == 1)
        #expect(json["a"]?[1]?.string == "x")
        #expect(json["a"]?[2]?.bool == true)
        #expect(json["a"]?[3] == nil)
        #expect(json["b"] == nil)
        #expect(json["n"]?["x"] == nil)
        #expect(json["a"]?.strings == nil)
        #expect(json["list"]?.strings == ["p", "q"])
        #expect(json.object?.members.map(\.name) == ["a", "n", "list"])
    }

    @Test(
        "what the grammar forbids is refused with its place",
        arguments: [
            ("", .unexpectedEnd), (" ", .unexpectedEnd), ("[", .unexpectedEnd), ("[1", .unexpectedEnd),
            ("[1,", .unexpectedEnd), ("{", .unexpectedEnd), (#"{"a""#, .unexpectedEnd), (#"{"a":"#, .unexpectedEnd),
            (#"{"a":1"#, .unexpectedEnd), ("\"a", .unexpectedEnd), (#""\"#, .unexpectedEnd), ("tru", .unexpectedEnd),
            ("[1,]", .unexpectedByte(0x5D, at: 3)), ("[,1]", .unexpectedByte(0x2C, at: 1)),
            (#"{"a":1,}"#, .unexpectedByte(0x7D, at: 7)), (#"{a:1}"#, .unexpectedByte(0x61, at: 1)),
            ("{1:1}", .unexpectedByte(0x31, at: 1)), (#"{"a" 1}"#, .unexpectedByte(0x31, at: 5)),
            (#"{"a":1 "b":2}"#, .unexpectedByte(0x22, at: 7)), ("[1 2]", .unexpectedByte(0x32, at: 3)),
            ("True", .unexpectedByte(0x54, at: 0)), ("nulL", .unexpectedByte(0x4C, at: 3)),
            ("NaN", .unexpectedByte(0x4E, at: 0)), ("Infinity", .unexpectedByte(0x49, at: 0)),
            ("'a'", .unexpectedByte(0x27, at: 0)), ("+1", .unexpectedByte(0x2B, at: 0)),
            (".5", .unexpectedByte(0x2E, at: 0)), ("\u{FEFF}1", .unexpectedByte(0xEF, at: 0)),
            ("\u{A0}1", .unexpectedByte(0xC2, at: 0)), ("//x", .unexpectedByte(0x2F, at: 0)),
            ("1 1", .trailingBytes(at: 2)), ("{}x", .trailingBytes(at: 2)), ("1\0", .trailingBytes(at: 1)),
            ("01", .malformedNumber(at: 0)), ("-", .malformedNumber(at: 0)), ("-01", .malformedNumber(at: 0)),
            ("1.", .malformedNumber(at: 0)), ("1.e1", .malformedNumber(at: 0)), ("[1e]", .malformedNumber(at: 1)),
            ("[1e+]", .malformedNumber(at: 1)), ("1e", .unexpectedEnd), ("0x10", .trailingBytes(at: 1)),
            (#""\x""#, .malformedEscape(at: 1)), (#""\u12g4""#, .malformedEscape(at: 1)),
            (#""\U0041""#, .malformedEscape(at: 1)), (#""\u12"#, .unexpectedEnd),
            (#""\ud800""#, .loneSurrogate(at: 1)), (#""\udc00""#, .loneSurrogate(at: 1)),
            (#""\ud800\ud800""#, .loneSurrogate(at: 1)), (#""\ud800x""#, .loneSurrogate(at: 1)),
            (#""\ud800\n""#, .loneSurrogate(at: 1)), ("\"\u{0}\"", .controlCharacter(at: 1)),
            ("\"a\nb\"", .controlCharacter(at: 2)), ("\"\u{1F}\"", .controlCharacter(at: 1)),
        ] as [(String, JSONError)])
    func refused(_ text: String, _ error: JSONError) {
        #expect(throws: error) { try JSON.parse(text) }
    }

    @Test(
        "strings must be strict UTF-8",
        arguments: [
            [0xFF], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
            [0x80],
            [0xC3], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0xF8, 0x88, 0x80, 0x80, 0x80],
        ] as [[UInt8]])
    func strictUTF8(_ bytes: [UInt8]) {
        #expect(throws: JSONError.malformedUTF8(at: 0)) { try JSON.parse([0x22] + bytes + [0x22]) }
        #expect(throws: JSONError.malformedUTF8(at: 1)) { try JSON.parse([0x7B, 0x22] + bytes + Array("\":1}".utf8)) }
    }

    @Test(
        "a name that comes twice is refused, however it is spelled",
        arguments: [#"{"a":1,"a":1}"#, #"{"a":1,"b":2,"\u0061":3}"#, #"[{"x":{"a":1,"a":2}}]"#])
    func duplicates(_ text: String) {
        #expect(throws: JSONError.duplicateName("a")) { try JSON.parse(text) }
    }

    @Test("a duplicate among many names is found too")
    func manyNames() throws {
        let names = (0..<500).map { "\"n\($0)\":\($0)" }
        #expect(try JSON.parse("{\(names.joined(separator: ","))}").object?.count == 500)
        let repeated = names + [#""n3":0"#]
        #expect(throws: JSONError.duplicateName("n3")) { try JSON.parse("{\(repeated.joined(separator: ","))}") }
    }

    @Test("names compare by bytes, so the Kelvin sign is not a K")
    func canonicalEquivalents() throws {
        let json = try JSON.parse("{\"K\":1,\"\u{212A}\":2}")
        #expect(json["K"]?.number?.int == 1)
        #expect(json["\u{212A}"]?.number?.int == 2)
        #expect(JSON.string("K") != JSON.string("\u{212A}"))
        #expect(!"K".isExactly("\u{212A}"))
        #expect("K".isExactly("K"))
    }

    @Test("depth, size and number of values are limited")
    func limits() throws {
        let deep = JSONLimits(depth: 3)
        #expect(try JSON.parse("[[[]]]", limits: deep) == .array([.array([.array([])])]))
        #expect(throws: JSONError.tooDeep(limit: 3, at: 3)) { try JSON.parse("[[[[]]]]", limits: deep) }
        #expect(throws: JSONError.tooDeep(limit: 3, at: 7)) { try JSON.parse(#"[{"a":[{"#, limits: deep) }
        #expect(try JSON.parse("[[],[],[[]]]", limits: deep)[2] == .array([.array([])]))

        let small = JSONLimits(size: .bytes(4))
        #expect(try JSON.parse("1234", limits: small).number?.int == 1234)
        #expect(throws: JSONError.tooLarge(limit: .bytes(4))) { try JSON.parse("12345", limits: small) }

        let few = JSONLimits(values: 3)
        #expect(try JSON.parse("[1,2]", limits: few).array?.count == 2)
        #expect(throws: JSONError.tooManyValues(limit: 3)) { try JSON.parse("[1,2,3]", limits: few) }
    }

    @Test("deep nesting ends at the limit, not at the end of the stack")
    func bomb() {
        let bytes = [UInt8](repeating: UInt8(ascii: "["), count: 500_000)
        #expect(throws: JSONError.tooDeep(limit: 32, at: 32)) { try JSON.parse(bytes) }
    }

    @Test("no prefix of a text is accepted and none traps")
    func everySplit() {
        let text = Array(#"{"a":[1.5e+3,true,null,"\ud83d\ude00é"],"b":{"c":-0}}"#.utf8)
        for length in 0..<text.count {
            #expect(throws: JSONError.self) { try JSON.parse(Array(text[..<length])) }
        }
    }

    @Test(
        "numbers give exact integers and finite doubles or nothing",
        arguments: [
            ("0", 0, 0), ("-0", 0, -0.0), ("12", 12, 12), ("12.0", 12, 12), ("12.50", nil, 12.5), ("1e3", nil, 1000),
            ("1E-2", nil, 0.01), ("9223372036854775807", .max, 9.223372036854775807e18),
            ("-9223372036854775808", .min, -9.223372036854775808e18),
            ("9223372036854775808", nil, 9.223372036854775808e18), ("1e400", nil, nil), ("-1e400", nil, nil),
            ("1760000000.25", nil, 1_760_000_000.25),
        ] as [(String, Int64?, Double?)])
    func numbers(_ text: String, _ integer: Int64?, _ double: Double?) throws {
        let number = try #require(try JSON.parse(text).number)
        #expect(number.text == text)
        #expect(number.int64 == integer)
        #expect(number.double == double)
    }
}

@Suite("JSON writer")
struct JSONWriterTests {
    @Test("members and elements are separated, nested ones too")
    func structure() {
        var json = JSONWriter()
        json.object {
            $0.member("a", 1)
            $0.member("b", "x")
            $0.key("c")
            $0.array {
                $0.value(true)
                $0.null()
                $0.object { _ in }
                $0.object { $0.member("d", 1.5) }
                $0.value(-7 as Int8)
            }
            $0.member("e", false)
            $0.member("f", JSON.array([.null, .string("y"), .object(["z": .number(JSONNumber(3))])]))
            $0.member("g", Double.nan)
        }
        #expect(
            json.text
                == #"{"a":1,"b":"x","c":[true,null,{},{"d":1.5},-7],"e":false,"f":[null,"y",{"z":3}],"g":null}"#)
    }

    @Test("every character comes back as it was")
    func roundTrip() throws {
        let text = String(String.UnicodeScalarView((0..<0x3000).compactMap { Unicode.Scalar($0 as UInt32) })) + "😀"
        var json = JSONWriter()
        json.value(text)
        #expect(try JSON.parse(json.bytes) == .string(text))
        #expect(!json.bytes.contains { $0 < 0x20 })

        var buffer = OutputBuffer()
        buffer.append(jsonString: text)
        let written = contents(buffer)
        #expect(written == json.bytes)
    }

    @Test("quotes, backslashes and controls are escaped")
    func escapes() {
        var bytes: [UInt8] = []
        bytes.append(jsonString: "a\"b\\c\u{8}\t\n\u{C}\r\u{0}\u{1F}\u{7F}")
        #expect(String(decoding: bytes, as: UTF8.self) == "\"a\\\"b\\\\c\\b\\t\\n\\f\\r\\u0000\\u001f\u{7F}\"")
    }

    @Test("foreign bytes that are no UTF-8 are repaired")
    func repair() {
        var buffer = OutputBuffer()
        buffer.append(jsonString: [0x61, 0xFF, 0x22].span)
        let written = contents(buffer)
        #expect(String(decoding: written, as: UTF8.self) == "\"a\u{FFFD}\\\"\"")
    }

    @Test("a writer goes on behind what is there, and into an output buffer")
    func appending() {
        var json = JSONWriter(appendingTo: Array("data: ".utf8))
        json.array { $0.value("é") }
        var buffer = OutputBuffer()
        buffer.append(json)
        let written = contents(buffer)
        #expect(String(decoding: written, as: UTF8.self) == #"data: ["é"]"#)
    }
}

/// What is in the buffer, copied.
func contents(_ buffer: borrowing OutputBuffer) -> [UInt8] {
    var bytes: [UInt8] = []
    unsafe buffer.withUnsafeBytes { raw in unsafe bytes.append(contentsOf: raw) }
    return bytes
}
