import GatewayBytes
import GatewayCompression
import GatewayWebSocket
import Testing

@Suite("Sec-WebSocket-Extensions (RFC 6455 §9.1)")
struct ExtensionHeaderTests {
    @Test("offers, parameters, quotes, spaces, empty elements and several lines are read")
    func reads() throws {
        let offers = try ExtensionOffer.parse([
            "permessage-deflate; client_max_window_bits; server_max_window_bits=\"10\" , x-other;a = b;c=\"\\d\"", "",
            " , ,permessage-deflate\t",
        ])
        #expect(
            offers == [
                ExtensionOffer(
                    name: "permessage-deflate",
                    parameters: [
                        .init(name: "client_max_window_bits", value: nil),
                        .init(name: "server_max_window_bits", value: "10"),
                    ]),
                ExtensionOffer(
                    name: "x-other", parameters: [.init(name: "a", value: "b"), .init(name: "c", value: "d")]),
                ExtensionOffer(name: "permessage-deflate"),
            ])
    }

    @Test(
        "what does not follow the grammar is refused",
        arguments: [
            "permessage-deflate;", "permessage-deflate; =1", "permessage-deflate; a=", "; a", "a b", "a; b c",
            "a; b=c d",
            "a; b=\"c", "a; b=\"\"", "a; b=\"c d\"", "a; b=\"c\\", "a=b", "a; b=c=d", "a;;b", "a, b;", "\u{0}",
            "a\u{7F}", "é",
        ])
    func refuses(_ text: String) {
        #expect(throws: ExtensionOffer.Malformed()) { try ExtensionOffer.parse([text]) }
    }

    @Test("a list that is too long is refused")
    func bounded() throws {
        let sixteen = Array(repeating: "a", count: 16)
        #expect(try ExtensionOffer.parse(sixteen).count == 16)
        #expect(throws: ExtensionOffer.Malformed()) { try ExtensionOffer.parse(sixteen + ["a"]) }
        #expect(throws: ExtensionOffer.Malformed()) {
            try ExtensionOffer.parse(["a" + String(repeating: "; b", count: 17)])
        }
    }
}

@Suite("Negotiating permessage-deflate (RFC 7692 §7.1)")
struct NegotiationTests {
    /// Offer, what the server allows (own window, peer's window, bits), and the answer.
    static let answers: [(String, (Bool, Bool, Int), String?)] = [
        ("permessage-deflate", (true, true, 15), "permessage-deflate"),
        (
            "permessage-deflate", (false, false, 15),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        ),
        ("permessage-deflate", (true, false, 15), "permessage-deflate; client_no_context_takeover"),
        (
            "permessage-deflate; server_no_context_takeover", (true, true, 15),
            "permessage-deflate; server_no_context_takeover"
        ),
        (
            "permessage-deflate; client_no_context_takeover", (true, true, 15),
            "permessage-deflate; client_no_context_takeover"
        ),
        ("permessage-deflate; client_max_window_bits", (true, true, 15), "permessage-deflate"),
        (
            "permessage-deflate; client_max_window_bits", (true, true, 11),
            "permessage-deflate; server_max_window_bits=11; client_max_window_bits=11"
        ),
        ("permessage-deflate", (true, true, 11), "permessage-deflate; server_max_window_bits=11"),
        (
            "permessage-deflate; client_max_window_bits=10", (true, true, 15),
            "permessage-deflate; client_max_window_bits=10"
        ),
        (
            "permessage-deflate; client_max_window_bits=8", (true, true, 15),
            "permessage-deflate; client_max_window_bits=8"
        ),
        (
            "permessage-deflate; client_max_window_bits=\"12\"", (true, true, 9),
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9"
        ),
        (
            "permessage-deflate; server_max_window_bits=15", (true, true, 15),
            "permessage-deflate; server_max_window_bits=15"
        ),
        (
            "permessage-deflate; server_max_window_bits=9", (true, true, 15),
            "permessage-deflate; server_max_window_bits=9"
        ),
        (
            "permessage-deflate; server_max_window_bits=12", (true, true, 10),
            "permessage-deflate; server_max_window_bits=10"
        ),
        // Declined
        ("permessage-deflate; server_max_window_bits=8", (true, true, 15), nil),
        ("permessage-deflate; server_max_window_bits", (true, true, 15), nil),
        ("permessage-deflate; server_max_window_bits=16", (true, true, 15), nil),
        ("permessage-deflate; server_max_window_bits=7", (true, true, 15), nil),
        ("permessage-deflate; server_max_window_bits=010", (true, true, 15), nil),
        ("permessage-deflate; server_max_window_bits=+9", (true, true, 15), nil),
        ("permessage-deflate; client_max_window_bits=16", (true, true, 15), nil),
        ("permessage-deflate; client_max_window_bits=a", (true, true, 15), nil),
        ("permessage-deflate; server_no_context_takeover=1", (true, true, 15), nil),
        ("permessage-deflate; client_no_context_takeover=x", (true, true, 15), nil),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits=10", (true, true, 15), nil),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", (true, true, 15), nil),
        ("permessage-deflate; x_unknown", (true, true, 15), nil),
        ("x-webkit-deflate-frame", (true, true, 15), nil),
        ("", (true, true, 15), nil),
        // The first acceptable offer wins
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10",
            (true, true, 15), "permessage-deflate; server_max_window_bits=10"
        ),
        ("x-other, permessage-deflate; x, permessage-deflate", (true, true, 15), "permessage-deflate"),
        (
            "permessage-deflate; server_max_window_bits=9, permessage-deflate", (true, true, 15),
            "permessage-deflate; server_max_window_bits=9"
        ),
    ]

    @Test("an offer is answered or declined", arguments: answers)
    func answered(_ offer: String, _ allowed: (Bool, Bool, Int), _ answer: String?) throws {
        let codecs = makeCodecs(deflateSettings(own: allowed.0, peer: allowed.1, bits: allowed.2))
        let context = codecs.negotiate(try ExtensionOffer.parse([offer]))
        #expect(context?.parameters.answer == answer)
    }

    @Test("with compression off every offer is declined")
    func disabled() throws {
        var settings = deflateSettings()
        settings.isEnabled = false
        let codecs = makeCodecs(settings)
        #expect(codecs.negotiate([ExtensionOffer(name: "permessage-deflate")]) == nil)
        #expect(codecs.clientOffer == nil)
    }

    @Test("under budget pressure sockets fall back to no takeover, then to no compression")
    func budget() {
        let one = Deflater.memoryEstimate(windowBits: 15) + Inflater.memoryEstimate(windowBits: 15)
        let inflater = Inflater.memoryEstimate(windowBits: 15)
        let codecs = makeCodecs(deflateSettings(own: true, peer: true), compression: .bytes(2 * one + inflater))
        let offer = [ExtensionOffer(name: "permessage-deflate")]
        var contexts = (0..<2).map { _ in codecs.negotiate(offer) }
        #expect(contexts.allSatisfy { $0?.parameters.answer == "permessage-deflate" })
        #expect(codecs.compressionBudget.inUse == .bytes(2 * one))

        let third = codecs.negotiate(offer)
        #expect(
            third?.parameters.answer == "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
        #expect(codecs.compressionBudget.inUse == .bytes(2 * one))

        #expect(codecs.compressionBudget.reserve(inflater))
        #expect(codecs.negotiate(offer) == nil)
        codecs.compressionBudget.release(inflater)

        contexts.removeLast()
        #expect(codecs.compressionBudget.inUse == .bytes(one))
        #expect(codecs.negotiate(offer)?.parameters.answer == "permessage-deflate")
    }

    @Test("sockets without takeover share one context")
    func shared() {
        let codecs = makeCodecs()
        let offer = [ExtensionOffer(name: "permessage-deflate")]
        #expect(codecs.negotiate(offer) === codecs.negotiate(offer))
        #expect(codecs.compressionBudget.inUse == .zero)
    }

    @Test("a client's offer says what it wants")
    func clientOffers() {
        #expect(
            makeCodecs().clientOffer
                == "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits")
        #expect(
            makeCodecs(deflateSettings(own: true, peer: true)).clientOffer
                == "permessage-deflate; client_max_window_bits")
        #expect(
            makeCodecs(deflateSettings(own: true, peer: true, bits: 10)).clientOffer
                == "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10")
        #expect(makeCodecs(compression: .zero).clientOffer == nil)
    }

    @Test(
        "a client refuses an answer that is not one to its offer",
        arguments: [
            "permessage-deflate", "permessage-deflate; server_no_context_takeover; client_max_window_bits", "x-other",
            "permessage-deflate; server_no_context_takeover; unknown",
            "permessage-deflate; server_no_context_takeover, permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=13",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=16",
            // Fifteen bits, where twelve were asked for
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
        ])
    func badAnswers(_ answer: String) throws {
        let codecs = makeCodecs(deflateSettings(bits: 12))
        let parsed = try ExtensionOffer.parse([answer])
        let offer = codecs.clientOffer
        #expect(throws: HandshakeError.unacceptableExtension) { _ = try codecs.accept(answer: parsed, to: offer) }
    }

    @Test("an answer to no offer is refused")
    func unasked() {
        let answer = [ExtensionOffer(name: "permessage-deflate")]
        let codecs = makeCodecs(deflateSettings(own: true, peer: true))
        #expect(throws: HandshakeError.unacceptableExtension) { _ = try codecs.accept(answer: answer, to: nil) }
    }

    @Test("a client takes what it offered, and works without compression when the server has none")
    func goodAnswers() throws {
        let codecs = makeCodecs(deflateSettings(own: true, peer: true))
        #expect(try codecs.accept(answer: [], to: codecs.clientOffer) == nil)
        let answer =
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=11; client_no_context_takeover"
        let agreed = try #require(
            try codecs.accept(answer: try ExtensionOffer.parse([answer]), to: codecs.clientOffer)?.parameters)
        #expect(agreed.serverWindowBits == 9 && agreed.clientWindowBits == 11)
        #expect(agreed.serverKeepsWindow && !agreed.clientKeepsWindow)
    }

    @Test("a client told to use 256 bytes of window sends its messages as they are")
    func windowOfEight() throws {
        let codecs = makeCodecs(deflateSettings())
        let answer = try ExtensionOffer.parse([
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=8"
        ])
        let context = try codecs.accept(answer: answer, to: codecs.clientOffer)
        var output = OutputBuffer()
        MessageWriter.append(.text, prose(3000), deflate: context, using: codecs, mask: 1, to: &output)
        #expect(output.array[0] == 0x81)
    }

    @Test("a client without memory for the windows the server keeps gives up")
    func clientMemory() throws {
        let codecs = makeCodecs(deflateSettings(peer: true), compression: .kibibytes(39))
        let answer = try ExtensionOffer.parse(["permessage-deflate"])
        let offer = codecs.clientOffer
        let first = try codecs.accept(answer: answer, to: offer)
        #expect(first != nil)
        let again = makeCodecs(deflateSettings(own: true, peer: true), compression: .kibibytes(39))
        #expect(try again.accept(answer: answer, to: offer)?.parameters.clientKeepsWindow == false)
        let tight = makeCodecs(deflateSettings(peer: true), compression: .kibibytes(39))
        #expect(tight.compressionBudget.reserve(1))
        #expect(throws: HandshakeError.noMemoryForExtension) { _ = try tight.accept(answer: answer, to: offer) }
        withExtendedLifetime(first) {}
    }
}
