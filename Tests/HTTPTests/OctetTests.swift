import Testing

@testable import GatewayHTTP

@Suite("Byte classes")
struct OctetTests {
    private static let letters = Set(UInt8(ascii: "a")...UInt8(ascii: "z")).union(
        UInt8(ascii: "A")...UInt8(ascii: "Z"))
    private static let digits = Set(UInt8(ascii: "0")...UInt8(ascii: "9"))
    private static let alphanumeric = letters.union(digits)
    private static let unreserved = alphanumeric.union("-._~".utf8)
    private static let token = alphanumeric.union("!#$%&'*+-.^_`|~".utf8)
    private static let path = unreserved.union("!$&'()*+,;=:@[]|^".utf8)

    private static let grammar: [(set: UInt8, members: Set<UInt8>)] = [
        (Octet.token, token),
        (Octet.fieldName, token.subtracting("_".utf8)),
        (Octet.path, path),
        (Octet.query, path.union("/?%`{}\\".utf8)),
        (Octet.value, Set(0x20...0x7E).union(0x80...0xFF).union([0x09])),
        (Octet.unreserved, unreserved),
        (Octet.hexadecimal, digits.union("abcdefABCDEF".utf8)),
        (Octet.method, digits.union(UInt8(ascii: "A")...UInt8(ascii: "Z")).union("-_".utf8)),
    ]

    @Test("the table says what the grammar says", arguments: 0...7)
    func table(_ bit: Int) {
        let (set, members) = Self.grammar[bit]
        #expect(set == 1 << UInt8(bit))
        for octet in UInt8.min...UInt8.max { #expect(Octet.isA(octet, set) == members.contains(octet), "\(octet)") }
    }

    @Test("a field value ends at the first control byte, wherever it stands among the words")
    func endOfValue() {
        for length in 0...40 {
            for place in 0...length {
                for octet in [0x00, 0x08, 0x0A, 0x0D, 0x1F, 0x7F] as [UInt8] {
                    var bytes = (0..<length).map { UInt8([0x20, 0x7E, 0x80, 0xFF, 0x09, 0x41][$0 % 6]) }
                    bytes.insert(octet, at: place)
                    let found = unsafe bytes.withUnsafeBytes {
                        unsafe Input($0).endOfValue(from: 0, to: bytes.count)
                    }
                    #expect(found == place)
                }
            }
        }
    }

    @Test("no byte that a value may hold ends it")
    func wholeValue() {
        let bytes = (UInt8.min...UInt8.max).filter { Octet.isA($0, Octet.value) }
        let found = unsafe bytes.withUnsafeBytes { unsafe Input($0).endOfValue(from: 0, to: bytes.count) }
        #expect(found == bytes.count)
    }

    @Test("hexadecimal digits have their value")
    func hexadecimal() {
        for (value, digit) in "0123456789abcdef".utf8.enumerated() { #expect(Octet.hexValue(digit) == value) }
        for (value, digit) in "ABCDEF".utf8.enumerated() { #expect(Octet.hexValue(digit) == value + 10) }
    }
}
