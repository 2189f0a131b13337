import GatewayBytes
import GatewayCompression
import GatewayTestSupport
import GatewayWebSocket
import Testing

/// Both ends of one connection that negotiated compression with each other.
final class Pair {
    let server: Peer
    let client: Peer
    let serverDeflate: DeflateContext?
    let clientDeflate: DeflateContext?

    init(
        server serverSettings: DeflateSettings, client clientSettings: DeflateSettings,
        limits: MessageLimits = MessageLimits(), compression: ByteCount = .mebibytes(64)
    ) throws {
        let serverCodecs = makeCodecs(serverSettings, compression: compression)
        let clientCodecs = makeCodecs(clientSettings)
        let offer = clientCodecs.clientOffer
        let offers = try ExtensionOffer.parse(offer.map { [$0] } ?? [])
        serverDeflate = serverCodecs.negotiate(offers)
        let answer = try ExtensionOffer.parse(serverDeflate.map { [$0.parameters.answer] } ?? [])
        clientDeflate = try clientCodecs.accept(answer: answer, to: offer)
        server = Peer(role: .server, limits: limits, codecs: serverCodecs, deflate: serverDeflate)
        client = Peer(role: .client, limits: limits, codecs: clientCodecs, deflate: clientDeflate)
    }

    func fromServer(_ kind: MessageKind, _ message: [UInt8]) -> [UInt8] {
        var output = OutputBuffer()
        MessageWriter.append(kind, message, deflate: serverDeflate, using: server.codecs, to: &output)
        return output.array
    }

    func fromClient(_ kind: MessageKind, _ message: [UInt8]) -> [UInt8] {
        var output = OutputBuffer()
        MessageWriter.append(
            kind, message, deflate: clientDeflate, using: client.codecs, mask: 0x5A5A_1234, to: &output)
        return output.array
    }
}

func deflateSettings(
    own: Bool = false, peer: Bool = false, bits: Int = 15, level: Int = 6, threshold: Int = 0, memory: Int = 8
) -> DeflateSettings {
    var settings = DeflateSettings()
    settings.keepsOwnWindow = own
    settings.keepsPeerWindow = peer
    settings.windowBits = bits
    settings.level = level
    settings.threshold = threshold
    settings.memoryLevel = memory
    return settings
}

/// Cuts the one frame in `frame`, masked with a fixed key, into fragments of at most `size` payload bytes.
func fragmented(_ payload: [UInt8], opcode: UInt8 = 1, size: Int, interrupt: [UInt8] = []) -> [UInt8] {
    var stream: [UInt8] = []
    var start = 0
    repeat {
        let end = min(start + size, payload.count)
        let isFirst = start == 0
        stream +=
            Frame(
                isFirst ? opcode : 0, Array(payload[start..<end]), fin: end == payload.count,
                reserved: isFirst ? 0x40 : 0
            ).bytes
        if end < payload.count { stream += interrupt }
        start = end
    } while start < payload.count
    return stream
}

@Suite("permessage-deflate, both ends (RFC 7692)")
struct DeflateMessageTests {
    static let messages: [[UInt8]] = [
        [], [0x61], Array("Hello".utf8), prose(1000), prose(1000), prose(20_000, seed: 3), prose(1000),
        prose(100_000, seed: 5), Array("κόσμε 😀".utf8), prose(300),
    ]

    @Test("messages go both ways under every window and takeover", arguments: 9...15, 0..<16)
    func combinations(bits: Int, choice: Int) throws {
        let pair = try Pair(
            server: deflateSettings(own: choice & 1 != 0, peer: choice & 2 != 0, bits: bits),
            client: deflateSettings(own: choice & 4 != 0, peer: choice & 8 != 0, bits: 24 - bits))
        let agreed = try #require(pair.serverDeflate?.parameters)
        #expect(agreed.serverKeepsWindow == (choice & 1 != 0 && choice & 8 != 0))
        #expect(agreed.clientKeepsWindow == (choice & 2 != 0 && choice & 4 != 0))
        #expect(agreed.serverWindowBits == UInt8(min(bits, 24 - bits)))
        for message in Self.messages {
            #expect(pair.client.receive(pair.fromServer(.text, message)) == [.message(.text, message)])
            #expect(pair.server.receive(pair.fromClient(.text, message)) == [.message(.text, message)])
            let piece = max(1, message.count / 7)
            let seen = pair.server.receive(pair.fromClient(.binary, message), inPiecesOf: piece)
            #expect(seen == [.message(.binary, message)])
        }
    }

    @Test("every level is understood at the other end", arguments: 1...9, [true, false])
    func levels(level: Int, own: Bool) throws {
        let pair = try Pair(
            server: deflateSettings(own: own, level: level, memory: level), client: deflateSettings(peer: own))
        for message in Self.messages + [noise(5000)] {
            #expect(pair.client.receive(pair.fromServer(.binary, message)) == [.message(.binary, message)])
        }
    }

    @Test("takeover makes repeated messages short")
    func takeoverPays() throws {
        let pair = try Pair(server: deflateSettings(own: true), client: deflateSettings(peer: true))
        let first = pair.fromServer(.text, prose(2000)).count
        let second = pair.fromServer(.text, prose(2000)).count
        #expect(second < first / 5)
    }

    @Test("what gains nothing goes out as it is without takeover, and compressed with it")
    func incompressible() throws {
        let alone = try Pair(server: deflateSettings(), client: deflateSettings())
        #expect(alone.fromServer(.binary, noise(3000))[0] == 0x82)
        let kept = try Pair(server: deflateSettings(own: true), client: deflateSettings(peer: true))
        let message = noise(3000)
        let first = kept.fromServer(.binary, message)
        #expect(first[0] == 0xC2)
        let second = kept.fromServer(.binary, message)
        #expect(second.count < 200)
        #expect(kept.client.receive(first + second) == [.message(.binary, message), .message(.binary, message)])
    }

    @Test("messages under the threshold go out as they are, in between compressed ones")
    func threshold() throws {
        let pair = try Pair(
            server: deflateSettings(own: true, threshold: 1024), client: deflateSettings(peer: true))
        for (size, first) in [(1023, 0x81), (1024, 0xC1), (10, 0x81), (2000, 0xC1)] as [(Int, UInt8)] {
            let frame = pair.fromServer(.text, prose(size))
            #expect(frame[0] == first)
            #expect(pair.client.receive(frame) == [.message(.text, prose(size))])
        }
    }

    @Test(
        "a compressed message in fragments of any size, with pings between, is one message",
        arguments: [1, 2, 3, 7, 64, 1000], [true, false])
    func fragments(size: Int, keeps: Bool) throws {
        let pair = try Pair(server: deflateSettings(peer: keeps), client: deflateSettings(own: keeps))
        var deflater = try Deflater.make(level: 6)
        for message in [prose(500), prose(500), [], Array("Hello".utf8)] {
            for piece in [100_000, 1, 5] {
                if !keeps { deflater.reset() }
                var output = OutputBuffer()
                try unsafe message.withUnsafeBytes { try unsafe deflater.compressMessage($0, into: &output) }
                let stream = fragmented(output.array, size: size, interrupt: Frame.ping([1]))
                let seen = pair.server.receive(stream, inPiecesOf: piece).filter { $0 != .ping([1]) }
                #expect(seen == [.message(.text, message)])
            }
        }
    }

    @Test(
        "a sample stream of compressed messages, split at every byte, gives the same events", arguments: [true, false])
    func splits(keeps: Bool) throws {
        let settings = (deflateSettings(peer: keeps), deflateSettings(own: keeps))
        let writer = try Pair(server: settings.0, client: settings.1)
        let messages = [prose(150), Array("€uro".utf8), prose(150)]
        let stream = messages.flatMap { writer.fromClient(.text, $0) } + Frame.text("plain") + Frame.close(1000)
        let expected =
            messages.map { Seen.message(.text, $0) } + [.message(.text, Array("plain".utf8)), .close(.normal, [])]
        for cut in 0...stream.count {
            let pair = try Pair(server: settings.0, client: settings.1)
            let seen = pair.server.receive(Array(stream[..<cut])) + pair.server.receive(Array(stream[cut...]))
            #expect(seen == expected, "cut at \(cut)")
        }
        let pair = try Pair(server: settings.0, client: settings.1)
        #expect(pair.server.receive(stream, inPiecesOf: 1) == expected)
    }

    @Test("the examples of RFC 7692 §7.2.3 are read")
    func rfcExamples() throws {
        let pair = try Pair(server: deflateSettings(peer: true), client: deflateSettings(own: true))
        let hello = Seen.message(.text, Array("Hello".utf8))
        let samples: [[UInt8]] = [
            [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], [0xF2, 0x00, 0x11, 0x00, 0x00],
            [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00],
            [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00],
            [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00],
        ]
        for sample in samples {
            #expect(pair.server.receive(Frame(1, sample, reserved: 0x40).bytes) == [hello])
        }
        // An empty message, as it should be spelled and as some do.
        for sample in [[0], []] as [[UInt8]] {
            #expect(pair.server.receive(Frame(1, sample, reserved: 0x40).bytes) == [.message(.text, [])])
        }
        let fragments =
            Frame(1, [0xF2, 0x48, 0xCD], fin: false, reserved: 0x40).bytes + Frame.more([0xC9, 0xC9, 0x07, 0x00])
        #expect(pair.server.receive(fragments) == [hello])
    }

    @Test("a compressed message of no bytes at all is empty, whole or in fragments", arguments: [true, false])
    func nothing(keeps: Bool) throws {
        let pair = try Pair(server: deflateSettings(peer: keeps), client: deflateSettings(own: keeps))
        let nothing = Frame(1, [], fin: false, reserved: 0x40).bytes + Frame.more([], fin: false) + Frame.more([])
        let hello = Frame(1, [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], reserved: 0x40).bytes
        let expected = [Seen.message(.text, []), .message(.text, Array("Hello".utf8))]
        #expect(pair.server.receive(nothing + hello) == expected)
        #expect(pair.server.receive(nothing + hello, inPiecesOf: 1) == expected)
    }

    @Test("RSV1 on a continuation is refused, and on any frame when nothing was negotiated")
    func compressionBit() throws {
        let pair = try Pair(server: deflateSettings(), client: deflateSettings())
        let stream = Frame(1, [0xF2], fin: false, reserved: 0x40).bytes + Frame(0, [0x48], reserved: 0x40).bytes
        #expect(pair.server.receive(stream) == [.violation(.reservedBits(0x40))])
        #expect(Peer().receive(Frame(1, [0xF2], reserved: 0x40).bytes) == [.violation(.reservedBits(0x40))])
    }

    @Test("an inflation bomb stops at the message limit", arguments: [true, false], [1 << 20, 1000])
    func bomb(keeps: Bool, piece: Int) throws {
        let bomb = try compressed([UInt8](repeating: 0x30, count: 16 << 20))
        let stream = Frame(1, bomb, reserved: 0x40).bytes
        let limits = MessageLimits(message: .kibibytes(64))
        let pair = try Pair(server: deflateSettings(peer: keeps), client: deflateSettings(own: keeps), limits: limits)
        #expect(pair.server.receive(stream, inPiecesOf: piece) == [.violation(.messageTooBig(limit: 64 << 10))])
        #expect(pair.server.codecs.assemblyBudget.inUse == .zero)
        let fragments = try Pair(
            server: deflateSettings(peer: keeps), client: deflateSettings(own: keeps), limits: limits)
        let seen = fragments.server.receive(fragmented(bomb, size: 100), inPiecesOf: piece)
        #expect(seen == [.violation(.messageTooBig(limit: 64 << 10))])
    }

    @Test("a message of exactly the limit passes, one byte more does not", arguments: [true, false])
    func exactLimit(keeps: Bool) throws {
        for (extra, fits) in [(0, true), (1, false)] {
            let message = [UInt8](repeating: 0x61, count: 5000 + extra)
            let pair = try Pair(
                server: deflateSettings(peer: keeps), client: deflateSettings(own: keeps),
                limits: MessageLimits(message: .bytes(5000)))
            let stream = Frame(1, try compressed(message), reserved: 0x40).bytes
            let expected: Seen = fits ? .message(.text, message) : .violation(.messageTooBig(limit: 5000))
            #expect(pair.server.receive(stream) == [expected])
            let again = try Pair(
                server: deflateSettings(peer: keeps), client: deflateSettings(own: keeps),
                limits: MessageLimits(message: .bytes(5000)))
            #expect(again.server.receive(stream, inPiecesOf: 4) == [expected])
        }
    }

    @Test("broken compressed data is refused with 1007", arguments: [true, false])
    func broken(keeps: Bool) throws {
        let good = try compressed(prose(500))
        for bytes in [[0xFF, 0xFF, 0xFF], Array(good.dropLast(20)), [0x07, 0x00]] as [[UInt8]] {
            for piece in [1, 10_000] {
                let pair = try Pair(server: deflateSettings(peer: keeps), client: deflateSettings(own: keeps))
                let seen = pair.server.receive(Frame(2, bytes, reserved: 0x40).bytes, inPiecesOf: piece)
                #expect(seen == [.violation(.invalidCompression)])
            }
        }
        #expect(ProtocolViolation.invalidCompression.closeCode == .invalidPayload)
    }

    @Test("compressed text fails as it inflates, before the message is there", arguments: [true, false])
    func textFailsFast(keeps: Bool) throws {
        let text = Array("ok ".utf8) + [0xED, 0xA0, 0x80] + noise(4000)
        let bytes = try compressed(text)
        let pair = try Pair(server: deflateSettings(peer: keeps), client: deflateSettings(own: keeps))
        let start = Frame(1, Array(bytes[..<(bytes.count / 2)]), fin: false, reserved: 0x40).bytes
        #expect(pair.server.receive(start) == [.violation(.invalidText)])
        let whole = try Pair(server: deflateSettings(peer: keeps), client: deflateSettings(own: keeps))
        #expect(whole.server.receive(Frame(1, bytes, reserved: 0x40).bytes) == [.violation(.invalidText)])
        let cut = try Pair(server: deflateSettings(peer: keeps), client: deflateSettings(own: keeps))
        let open = try compressed(Array("abc".utf8) + [0xE2, 0x82])
        #expect(cut.server.receive(Frame(1, open, reserved: 0x40).bytes) == [.violation(.invalidText)])
    }

    @Test("under memory pressure a partial message waits compressed, and is checked the same way")
    func deferredInflation() throws {
        // Room when negotiated, none when the message comes.
        let codecs = makeCodecs(deflateSettings(), compression: .kibibytes(40))
        let context = codecs.negotiate([ExtensionOffer(name: "permessage-deflate")])
        #expect(context != nil)
        #expect(codecs.compressionBudget.reserve(20 << 10))
        let limits = MessageLimits(message: .kibibytes(64))
        let message = prose(30_000)
        let peer = Peer(limits: limits, codecs: codecs, deflate: context)
        let stream = fragmented(try compressed(message), size: 500, interrupt: Frame.ping())
        let seen = peer.receive(stream, inPiecesOf: 700).filter { $0 != .ping([]) }
        #expect(seen == [.message(.text, message)])
        #expect(
            peer.receive(Frame(2, try compressed([1, 2]), reserved: 0x40).bytes, inPiecesOf: 1) == [
                .message(.binary, [1, 2])
            ])

        let bomb = fragmented(try compressed([UInt8](repeating: 0x30, count: 1 << 20)), size: 500)
        let bombed = Peer(limits: limits, codecs: codecs, deflate: context)
        #expect(bombed.receive(bomb) == [.violation(.messageTooBig(limit: 64 << 10))])
        let long = Peer(limits: MessageLimits(message: .bytes(1000)), codecs: codecs, deflate: context)
        #expect(long.receive(fragmented(noise(1200), size: 300)) == [.violation(.messageTooBig(limit: 1000))])
        let wrong = Peer(limits: limits, codecs: codecs, deflate: context)
        #expect(wrong.receive(fragmented(try compressed([0x61, 0xFF]), size: 2)) == [.violation(.invalidText)])
    }

    @Test("an inflater lent to a partial message is paid for and comes back")
    func lentInflater() throws {
        let pair = try Pair(server: deflateSettings(), client: deflateSettings())
        let budget = pair.server.codecs.compressionBudget
        let stream = pair.fromClient(.text, prose(3000))
        for _ in 0..<3 {
            #expect(pair.server.receive(Array(stream[..<100])) == [])
            #expect(budget.inUse == .bytes(Inflater.memoryEstimate(windowBits: 15)))
            #expect(pair.server.receive(Array(stream[100...])) == [.message(.text, prose(3000))])
        }
    }

    private func compressed(_ message: [UInt8]) throws -> [UInt8] {
        var deflater = try Deflater.make(level: 9)
        var output = OutputBuffer()
        try unsafe message.withUnsafeBytes { try unsafe deflater.compressMessage($0, into: &output) }
        return output.array
    }
}

@Suite("A message prepared for many sockets")
struct PreparedMessageTests {
    @Test("each socket gets the form it agreed on, and each form is made once")
    func forms() throws {
        let message = PreparedMessage(.text, prose(5000))
        for bits in [9, 12, 15] {
            for keeps in [true, false] {
                let pair = try Pair(
                    server: deflateSettings(own: keeps, bits: bits), client: deflateSettings(peer: keeps))
                var first = OutputBuffer()
                var second = OutputBuffer()
                message.append(to: &first, deflate: pair.serverDeflate, using: pair.server.codecs)
                message.append(to: &second, deflate: pair.serverDeflate, using: pair.server.codecs)
                #expect(first.array == second.array)
                #expect(first.array[0] == 0xC1)
                #expect(pair.client.receive(first.array) == [.message(.text, prose(5000))])
            }
        }
        var bare = OutputBuffer()
        message.append(to: &bare, deflate: nil, using: makeCodecs())
        #expect(Peer(role: .client).receive(bare.array) == [.message(.text, prose(5000))])
    }

    @Test("a socket with takeover can go on with its own messages after a shared frame")
    func takeoverStaysInStep() throws {
        let pair = try Pair(server: deflateSettings(own: true), client: deflateSettings(peer: true))
        let shared = PreparedMessage(.text, prose(3000, seed: 11))
        for seed in 0..<4 {
            for _ in 0..<2 {
                let own = prose(1500, seed: UInt64(seed % 2 + 1))
                #expect(pair.client.receive(pair.fromServer(.text, own)) == [.message(.text, own)])
            }
            var output = OutputBuffer()
            shared.append(to: &output, deflate: pair.serverDeflate, using: pair.server.codecs)
            #expect(pair.client.receive(output.array) == [.message(.text, prose(3000, seed: 11))])
        }
    }

    @Test("what is short or gains nothing is shared as it is")
    func plain() throws {
        let pair = try Pair(server: deflateSettings(threshold: 1024), client: deflateSettings())
        for payload in [Array("short".utf8), noise(4000)] {
            var output = OutputBuffer()
            PreparedMessage(.binary, payload).append(
                to: &output, deflate: pair.serverDeflate, using: pair.server.codecs)
            #expect(output.array[0] == 0x82)
            #expect(pair.client.receive(output.array) == [.message(.binary, payload)])
        }
    }
}
