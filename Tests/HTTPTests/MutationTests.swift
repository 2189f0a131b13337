import GatewayBytes
import GatewayHTTP
import Testing

/// A generator that always gives the same numbers, so that a failure can be had again.
private struct Dice: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}

private func mutated(_ source: [UInt8], with dice: inout Dice) -> [UInt8] {
    let pieces = [
        "\r\n", "\n", "\r", " ", "\t", "\u{0}", ":", ",", ";", "0", "\u{FF}", "\r\n\r\n", "_", "%", "/", "\u{B}",
    ]
    var bytes = source
    for _ in 0..<Int.random(in: 1...3, using: &dice) {
        let place = Int.random(in: 0..<bytes.count, using: &dice)
        switch Int.random(in: 0..<4, using: &dice) {
        case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &dice)
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(contentsOf: Sample(pieces.randomElement(using: &dice) ?? "").bytes, at: place)
        default:
            let end = Int.random(in: place..<min(bytes.count, place + 40), using: &dice)
            bytes.insert(contentsOf: Array(bytes[place...end]), at: place)
        }
    }
    return bytes
}

@Suite("Damaged messages")
struct MutationTests {
    @Test("a damaged request is read the same whole and in pieces, and what is accepted is clean", arguments: 1...8)
    func requests(_ seed: UInt64) {
        var dice = Dice(state: seed)
        let sources = SmugglingCorpusTests.harmless.map { Sample($0).bytes }
        for _ in 0..<400 {
            let source = sources.randomElement(using: &dice) ?? []
            // Why an end: a piece without one may be refused later than the whole, when its line ends.
            let bytes = mutated(source, with: &dice) + Sample("\r\n\r\n").bytes
            let whole = parse(bytes)
            #expect(parse(bytes, upTo: 0...bytes.count) == whole)
            let place = Int.random(in: 0...bytes.count, using: &dice)
            #expect(parse(bytes, upTo: [place, bytes.count]) == whole)
            if case .head = whole { checkHead(bytes) }
        }
    }

    /// What must hold for every accepted head, checked from its bytes alone.
    private func checkHead(_ bytes: [UInt8]) {
        var parser = RequestParser()
        var head = RequestHead()
        guard (try? parser.parse(bytes.span, into: &head)) == true else {
            Issue.record("accepted once and then not again")
            return
        }
        let text = Array(bytes[..<head.length])
        #expect(text.suffix(4) == Sample("\r\n\r\n").bytes[...])
        for (index, octet) in text.enumerated() where octet < 0x20 || octet == 0x7F {
            let isLineEnd =
                octet == 0x0D ? text[index + 1] == 0x0A : octet == 0x0A && index > 0 && text[index - 1] == 0x0D
            #expect(isLineEnd || octet == 0x09)
        }
        let lengths = head.fields.filter { name($0, bytes) == "content-length" }
        let codings = head.fields.filter { name($0, bytes) == "transfer-encoding" }
        let hosts = head.fields.filter { name($0, bytes) == "host" }
        #expect(lengths.count + codings.count <= 1)
        #expect(hosts.count == 1 || (hosts.isEmpty && head.minorVersion == 0))
        switch head.framing {
        case .none: #expect(lengths.isEmpty && codings.isEmpty)
        case .chunked: #expect(codings.count == 1 && head.minorVersion == 1)
        case .length(let count): #expect(lengths.map { value($0, bytes) } == [String(count)])
        }
    }

    private func name(_ field: FieldRange, _ bytes: [UInt8]) -> String { text(field.name, bytes).lowercased() }
    private func value(_ field: FieldRange, _ bytes: [UInt8]) -> String { text(field.value, bytes) }

    @Test("a damaged chunked body is read the same whole and byte by byte", arguments: 1...8)
    func chunks(_ seed: UInt64) {
        var dice = Dice(state: seed)
        let sources = ChunkedTests.bodies.map { Sample($0.0).bytes }
        for _ in 0..<400 {
            let bytes = mutated(sources.randomElement(using: &dice) ?? [0x30], with: &dice)
            #expect(decode(bytes, inPiecesOf: bytes.count + 1) == decode(bytes, inPiecesOf: 1))
        }
    }

    private func decode(_ bytes: [UInt8], inPiecesOf size: Int) -> String {
        var decoder = ChunkedDecoder()
        var body: [UInt8] = []
        var start = 0
        do throws(ChunkError) {
            while start < bytes.count {
                let piece = Array(bytes[start..<min(start + size, bytes.count)])
                var offset = 0
                steps: while true {
                    switch try decoder.next(piece.span, from: &offset) {
                    case .data(let range): body += piece[range]
                    case .needMore: break steps
                    case .end: return "\(body) \(decoder.trailers) ends at \(start + offset)"
                    }
                }
                start += piece.count
            }
            return "\(body) goes on"
        } catch {
            return "\(error)"
        }
    }
}
