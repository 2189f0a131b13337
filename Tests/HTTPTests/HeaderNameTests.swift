import Testing

@testable import GatewayHTTP

@Suite("Header names")
struct HeaderNameTests {
    @Test("every known name is found in any case, and only as a whole", arguments: KnownName.allCases)
    func known(_ name: KnownName) throws {
        let wire = name.wireName.description
        for spelling in [wire, wire.lowercased(), wire.uppercased()] {
            let header = try #require(HeaderName(spelling))
            #expect(header == HeaderName(name))
            #expect(header.hashValue == HeaderName(name).hashValue)
            #expect(header.wireName == wire)
        }
        for other in [wire + "x", "x" + wire, String(wire.dropLast()), wire.replacing("-", with: "_") + "_"] {
            #expect(HeaderName(other) != HeaderName(name))
        }
    }

    @Test("changing any one letter of a known name makes it another name", arguments: KnownName.allCases)
    func oneLetter(_ name: KnownName) {
        let wire = Array(name.wireName.description.utf8)
        for place in wire.indices {
            var other = wire
            other[place] = other[place] == UInt8(ascii: "!") ? UInt8(ascii: "'") : UInt8(ascii: "!")
            #expect(HeaderName(String(decoding: other, as: UTF8.self)) != HeaderName(name))
        }
    }

    @Test("known names are in the order of their numbers, the steering ones first")
    func order() {
        #expect(KnownName.allCases.map(\.rawValue) == Array(1...UInt8(KnownName.allCases.count)))
        let steering: [KnownName] = [.host, .contentLength, .transferEncoding, .connection, .upgrade, .expect]
        #expect(steering.allSatisfy { $0.rawValue <= KnownName.lastSteering })
        #expect(steering.count == Int(KnownName.lastSteering))
    }

    @Test("an unknown name keeps its spelling and ignores case")
    func unknown() throws {
        let name = try #require(HeaderName("X-Room_1"))
        #expect(name.wireName == "X-Room_1")
        #expect(name == HeaderName("x-room_1"))
        #expect(name.hashValue == HeaderName("x-ROOM_1")?.hashValue)
        #expect(name != HeaderName("x-room_2"))
        #expect(name != .host)
        #expect(name.description == "X-Room_1")
        #expect(HeaderName(literal: "x-room_1") == name)
        #expect(HeaderName(literal: "COOKIE") == .cookie)
    }

    @Test("what is not a token is no name", arguments: ["", " ", "a b", "a:", "a\r\n", "é", "a\u{0}", "\"a\"", "a/b"])
    func notAToken(_ text: String) { #expect(HeaderName(text) == nil) }

    @Test("fields of one connection are known as such")
    func hopByHop() {
        #expect(HeaderName.connection.isHopByHop)
        #expect(HeaderName.transferEncoding.isHopByHop)
        #expect(!HeaderName.contentLength.isHopByHop)
        #expect(!HeaderName.authorization.isHopByHop)
    }

    @Test("what Connection may name ends at a connection anyway", arguments: KnownName.allCases)
    func options(_ name: KnownName) {
        if name.mayBeConnectionOption { #expect(HeaderName(name).isHopByHop) }
        if name.mustNotHaveLookalikeInResponse { #expect(name.mustNotHaveLookalike) }
    }
}
