import GatewayWebSocket
import Testing

@Suite("Text in messages fails at the first impossible byte (RFC 6455 §8.1)")
struct TextTests {
    static let valid = UTF8ValidatorTests.valid
    static let invalid = UTF8ValidatorTests.invalid

    @Test("valid text passes whole, in fragments cut anywhere, and fed byte by byte", arguments: valid)
    func validText(_ text: [UInt8]) {
        #expect(Peer().receive(Frame.text(text)) == [.message(.text, text)])
        #expect(Peer().receive(Frame.text(text), inPiecesOf: 1) == [.message(.text, text)])
        for cut in 0...text.count {
            let stream = Frame.text(Array(text[..<cut]), fin: false) + Frame.more(Array(text[cut...]))
            #expect(Peer().receive(stream) == [.message(.text, text)])
            #expect(Peer().receive(stream, inPiecesOf: 1) == [.message(.text, text)])
        }
    }

    @Test("invalid text is refused whole, in fragments cut anywhere, and fed byte by byte", arguments: invalid)
    func invalidText(_ text: [UInt8], _ possible: Int) {
        #expect(Peer().receive(Frame.text(text)) == [.violation(.invalidText)])
        for cut in 0...text.count {
            let stream = Frame.text(Array(text[..<cut]), fin: false) + Frame.more(Array(text[cut...]))
            #expect(Peer().receive(stream) == [.violation(.invalidText)])
            #expect(Peer().receive(stream, inPiecesOf: 1) == [.violation(.invalidText)])
        }
    }

    @Test("the violation comes with the impossible byte, not with the end of frame or message", arguments: invalid)
    func failsFast(_ text: [UInt8], _ possible: Int) {
        // As one unfinished fragment, and as a frame that claims more than ever comes.
        let fragment = Frame.text(Array(text[...possible]), fin: false)
        #expect(Peer().receive(fragment) == [.violation(.invalidText)])
        let claimed = Array(Frame.text(text + [UInt8](repeating: 0x61, count: 50)))
        let head = 6
        let peer = Peer()
        #expect(peer.receive(Array(claimed[..<(head + possible)])) == [])
        #expect(peer.receive([claimed[head + possible]]) == [.violation(.invalidText)])
    }

    @Test("every character as a fragment of its own is fine")
    func characterByCharacter() {
        let text = Array("Hello-µ@ßöäüàá-UTF-8!!".utf8)
        var stream = Frame.text([], fin: false)
        for byte in text { stream += Frame.more([byte], fin: false) }
        stream += Frame.more([])
        #expect(Peer().receive(stream) == [.message(.text, text)])
    }

    @Test("binary messages may hold anything")
    func binary() {
        for (bytes, _) in Self.invalid {
            #expect(Peer().receive(Frame.binary(bytes)) == [.message(.binary, bytes)])
            #expect(Peer().receive(Frame.binary(bytes), inPiecesOf: 1) == [.message(.binary, bytes)])
        }
    }
}
