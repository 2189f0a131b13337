import GatewayBytes
import GatewayCompression
import GatewayTestSupport
import GatewayWebSocket
import Testing

@Suite("Messages out of bytes (RFC 6455 §5)")
struct MessageReaderTests {
    static let sizes = [0, 1, 7, 125, 126, 127, 128, 65_535, 65_536, 65_537]

    @Test("a message of every length form arrives as it was sent", arguments: sizes, [MessageKind.text, .binary])
    func framing(_ size: Int, _ kind: MessageKind) {
        let payload = kind == .text ? [UInt8](repeating: 0x2A, count: size) : noise(size)
        let stream = Frame(kind.rawValue, payload).bytes
        #expect(Peer().receive(stream) == [.message(kind, payload)])
        for piece in [997, 1] where piece > 1 || size < 1000 {
            #expect(Peer().receive(stream, inPiecesOf: piece) == [.message(kind, payload)])
        }
    }

    @Test("pings and pongs arrive with their payload, empty, binary and as long as allowed")
    func controlFrames() {
        let long = noise(125)
        let stream = Frame.ping() + Frame.ping(Array("Hello".utf8)) + Frame.ping([0, 0xFF, 0xFE]) + Frame.pong(long)
        let expected: [Seen] = [.ping([]), .ping(Array("Hello".utf8)), .ping([0, 0xFF, 0xFE]), .pong(long)]
        #expect(Peer().receive(stream) == expected)
        #expect(Peer().receive(stream, inPiecesOf: 1) == expected)
    }

    /// Streams that touch every state, with what they mean.
    static let samples: [([UInt8], [Seen])] = [
        (
            Frame.text("Hello") + Frame.binary([1, 2, 3]) + Frame.text(""),
            [.message(.text, Array("Hello".utf8)), .message(.binary, [1, 2, 3]), .message(.text, [])]
        ),
        (
            Frame.text("frag", fin: false) + Frame.ping([1]) + Frame.more([], fin: false) + Frame.pong([2, 3])
                + Frame.more(Array("ment €".utf8)) + Frame.ping([9]),
            [.ping([1]), .pong([2, 3]), .message(.text, Array("fragment €".utf8)), .ping([9])]
        ),
        (
            Frame.binary([], fin: false) + Frame.more([], fin: false) + Frame.more([]) + Frame.binary([7], fin: false)
                + Frame.more([8]),
            [.message(.binary, []), .message(.binary, [7, 8])]
        ),
        (
            // A character cut by fragments, with a ping in the middle of it
            Frame.text([0xE2], fin: false) + Frame.ping() + Frame.more([0x82], fin: false) + Frame.more([0xAC]),
            [.ping([]), .message(.text, Array("€".utf8))]
        ),
        (
            Frame.binary(noise(300)) + Frame.close(1000, Array("bye µ".utf8)) + Frame.text("too late") + [0xFF, 0xFF],
            [.message(.binary, noise(300)), .close(.normal, Array("bye µ".utf8))]
        ),
        (Frame.text("half", fin: false) + Frame.close(), [.close(nil, [])]),
        (
            Frame.text("one", fin: false) + Frame.text("two"),
            [.violation(.interruptedMessage)]
        ),
        (
            Frame.binary([1]) + Frame.more([2]) + Frame.ping(),
            [.message(.binary, [1]), .violation(.unexpectedContinuation)]
        ),
        (Frame.ping([5]) + Frame(1, [0x61], reserved: 0x20).bytes, [.ping([5]), .violation(.reservedBits(0x20))]),
    ]

    @Test("a stream cut in two anywhere, and fed byte by byte, gives the same events", arguments: samples)
    func split(_ stream: [UInt8], _ expected: [Seen]) {
        #expect(Peer().receive(stream) == expected)
        for cut in 0...stream.count {
            let peer = Peer()
            let seen = peer.receive(Array(stream[..<cut])) + peer.receive(Array(stream[cut...]))
            #expect(seen == expected, "cut at \(cut)")
        }
        for size in 1...9 { #expect(Peer().receive(stream, inPiecesOf: size) == expected, "pieces of \(size)") }
    }

    @Test("a client reads the same events from bare frames", arguments: samples.prefix(6))
    func clientRole(_ stream: [UInt8], _ expected: [Seen]) {
        // The same frames without masks.
        let bare = unmasked(stream)
        for size in [1, 2, 5, bare.count] {
            #expect(Peer(role: .client).receive(bare, inPiecesOf: size) == expected, "pieces of \(size)")
        }
    }

    @Test("after a message that arrived in pieces nothing is kept")
    func idleAgain() {
        let peer = Peer()
        for stream in [Frame.binary(noise(5000)), Frame.text("a", fin: false) + Frame.more([0x62]), Frame.ping([1])] {
            _ = peer.receive(stream, inPiecesOf: 3)
            #expect(!peer.isMidMessage)
            #expect(peer.codecs.assemblyBudget.inUse == .zero)
        }
        _ = peer.receive([0x81])
        #expect(peer.isMidMessage)
    }

    @Test("a mask is applied from the right phase after every cut", arguments: [1, 2, 3, 5, 31, 33])
    func maskPhase(_ piece: Int) {
        let payload = noise(1000)
        let stream = Frame(2, payload, mask: [0xDE, 0xAD, 0xBE, 0xEF]).bytes
        #expect(Peer().receive(stream, inPiecesOf: piece) == [.message(.binary, payload)])
    }

    /// Takes the masks of valid frames off; stops at the first byte that is not one.
    private func unmasked(_ stream: [UInt8]) -> [UInt8] {
        var bare: [UInt8] = []
        var place = 0
        while place + 6 <= stream.count {
            let short = Int(stream[place + 1] & 0x7F)
            let wide = short == 126 ? 2 : 0
            let length = short == 126 ? Int(stream[place + 2]) << 8 | Int(stream[place + 3]) : short
            let key = Array(stream[(place + 2 + wide)..<(place + 6 + wide)])
            let start = place + 6 + wide
            guard start + length <= stream.count else { break }
            bare += [stream[place], stream[place + 1] & 0x7F] + stream[(place + 2)..<(place + 2 + wide)]
            bare += (0..<length).map { stream[start + $0] ^ key[$0 % 4] }
            place = start + length
            if stream[place - length - 6 - wide] == 0x88 { break }
        }
        return bare
    }
}

@Suite("What a peer must not do, and the close code it gets")
struct ViolationTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var name: String
        var stream: [UInt8]
        var violation: ProtocolViolation
        var code: CloseCode
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(
            name: "reserved bits", stream: Frame(1, [0x61], reserved: 0x40).bytes, violation: .reservedBits(0x40),
            code: .protocolError),
        Case(
            name: "reserved bits on a ping", stream: Frame(9, [], reserved: 0x70).bytes, violation: .reservedBits(0x70),
            code: .protocolError),
        Case(name: "unknown data opcode", stream: Frame(5).bytes, violation: .unknownOpcode(5), code: .protocolError),
        Case(
            name: "unknown control opcode", stream: Frame(11).bytes, violation: .unknownOpcode(11), code: .protocolError
        ),
        Case(
            name: "fragmented ping", stream: Frame(9, [], fin: false).bytes, violation: .fragmentedControlFrame(.ping),
            code: .protocolError),
        Case(
            name: "fragmented pong", stream: Frame(10, [], fin: false).bytes, violation: .fragmentedControlFrame(.pong),
            code: .protocolError),
        Case(
            name: "ping of 126 bytes", stream: Frame(9, noise(126)).bytes, violation: .oversizedControlFrame(.ping),
            code: .protocolError),
        Case(
            name: "close of 126 bytes", stream: Frame(8, noise(126)).bytes, violation: .oversizedControlFrame(.close),
            code: .protocolError),
        Case(
            name: "bare client frame", stream: Frame(1, [0x61], mask: nil).bytes, violation: .unmaskedFrame,
            code: .protocolError),
        Case(
            name: "long form of a short length", stream: Frame(2, [1], length: [126, 0, 1]).bytes,
            violation: .lengthNotMinimal, code: .protocolError),
        Case(
            name: "longest form of a middling length",
            stream: Frame(2, noise(300), length: [127, 0, 0, 0, 0, 0, 0, 1, 44]).bytes,
            violation: .lengthNotMinimal, code: .protocolError),
        Case(
            name: "negative length", stream: Frame(2, [], length: [127, 0x80, 0, 0, 0, 0, 0, 0, 0]).bytes,
            violation: .lengthOutOfRange, code: .protocolError),
        Case(
            name: "continuation of nothing", stream: Frame.more([1]), violation: .unexpectedContinuation,
            code: .protocolError),
        Case(
            name: "unfinished continuation of nothing", stream: Frame.more([1], fin: false),
            violation: .unexpectedContinuation, code: .protocolError),
        Case(
            name: "text in the middle of a message",
            stream: Frame.binary([1], fin: false) + Frame.text("x", fin: false),
            violation: .interruptedMessage, code: .protocolError),
        Case(
            name: "text that is not UTF-8", stream: Frame.text([0xC0, 0x80]), violation: .invalidText,
            code: .invalidPayload),
        Case(
            name: "text cut inside a character", stream: Frame.text([0x61, 0xE2, 0x82]), violation: .invalidText,
            code: .invalidPayload),
        Case(
            name: "fragmented text cut inside a character",
            stream: Frame.text([0x61], fin: false) + Frame.more([0xE2, 0x82]),
            violation: .invalidText, code: .invalidPayload),
        Case(
            name: "close of one byte", stream: Frame(8, [3]).bytes, violation: .closePayloadOfOneByte,
            code: .protocolError),
        Case(
            name: "close reason that is not UTF-8", stream: Frame.close(1000, [0xCE, 0xBA, 0xED, 0xA0, 0x80]),
            violation: .closeReasonNotText, code: .invalidPayload),
        Case(
            name: "close reason cut inside a character", stream: Frame.close(1000, [0xCE]),
            violation: .closeReasonNotText,
            code: .invalidPayload),
    ]

    @Test("it is refused with its code, in one piece and byte by byte, and nothing after it is read", arguments: cases)
    func refused(_ sample: Case) {
        #expect(sample.violation.closeCode == sample.code)
        #expect(sample.violation.reason.utf8CodeUnitCount <= 123)
        for size in [sample.stream.count + 100, 1, 3] {
            let peer = Peer()
            #expect(
                peer.receive(sample.stream + Frame.text("later"), inPiecesOf: size) == [.violation(sample.violation)])
            #expect(peer.receive(Frame.ping()) == [])
            #expect(!peer.isMidMessage)
        }
    }

    @Test("a masked frame is refused by a client")
    func maskedByServer() {
        #expect(Peer(role: .client).receive(Frame.text("x")) == [.violation(.maskedFrame)])
    }

    @Test("the remaining violations have their codes")
    func otherCodes() {
        #expect(ProtocolViolation.frameTooBig(limit: 1).closeCode == .messageTooBig)
        #expect(ProtocolViolation.messageTooBig(limit: 1).closeCode == .messageTooBig)
        #expect(ProtocolViolation.tooManyFragments(limit: 1).closeCode == .policyViolation)
        #expect(ProtocolViolation.assemblyBudgetExhausted.closeCode == .tryAgainLater)
        #expect(ProtocolViolation.invalidCompression.closeCode == .invalidPayload)
        #expect(ProtocolViolation.outOfMemory.closeCode == .internalError)
    }

    @Test(
        "close codes that may stand in a frame are taken",
        arguments: [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4401, 4999,
        ] as [UInt16])
    func goodCloseCode(_ code: UInt16) {
        #expect(Peer().receive(Frame.close(code)) == [.close(CloseCode(rawValue: code), [])])
        let reason = [UInt8](repeating: 0x62, count: 123)
        #expect(Peer().receive(Frame.close(code, reason), inPiecesOf: 1) == [.close(CloseCode(rawValue: code), reason)])
    }

    @Test(
        "close codes that may not are refused",
        arguments: [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] as [UInt16])
    func badCloseCode(_ code: UInt16) {
        #expect(Peer().receive(Frame.close(code)) == [.violation(.invalidCloseCode(code))])
        #expect(ProtocolViolation.invalidCloseCode(code).closeCode == .protocolError)
    }

    @Test("after a close frame pings, text, rubbish and a second close are ignored")
    func afterClose() {
        for rest in [Frame.ping(), Frame.text("x"), Frame.close(1000), [0xFF, 0x00, 0x7F]] {
            let peer = Peer()
            #expect(peer.receive(Frame.close(1000) + rest) == [.close(.normal, [])])
            #expect(peer.receive(rest) == [])
        }
    }
}
