import GatewayBytes
import GatewayHTTP
import Testing

private enum Outcome: Equatable {
    case body([UInt8], trailers: String, rest: Int)
    case incomplete([UInt8])
    case refused(ChunkError)
}

private func decode(_ bytes: [UInt8], cutAt cuts: [Int], limits: ChunkLimits = ChunkLimits()) -> Outcome {
    var decoder = ChunkedDecoder(limits: limits)
    var body: [UInt8] = []
    var start = 0
    do throws(ChunkError) {
        for cut in cuts + [bytes.count] {
            let piece = Array(bytes[start..<cut])
            var offset = 0
            steps: while true {
                switch try decoder.next(piece.span, from: &offset) {
                case .data(let range): body += piece[range]
                case .needMore: break steps
                case .end:
                    return .body(body, trailers: decoder.trailers.description, rest: bytes.count - start - offset)
                }
            }
            #expect(offset == piece.count)
            start = cut
        }
        return .incomplete(body)
    } catch {
        return .refused(error)
    }
}

/// The outcome, which must be the same in one piece, in two wherever cut, and byte by byte.
private func decode(_ text: String, limits: ChunkLimits = ChunkLimits()) -> Outcome {
    let bytes = Sample(text).bytes
    let whole = decode(bytes, cutAt: [], limits: limits)
    for cut in 0...bytes.count where decode(bytes, cutAt: [cut], limits: limits) != whole {
        // At the very end of a body the cut decides whether the rest was seen.
        guard case .body(let body, let trailers, _) = whole,
            case .body(body, trailers, _) = decode(bytes, cutAt: [cut], limits: limits)
        else {
            Issue.record("another outcome when cut at \(cut)")
            continue
        }
    }
    if case .body = whole { return whole }
    #expect(decode(bytes, cutAt: Array(0...bytes.count), limits: limits) == whole)
    return whole
}

@Suite("Chunked coding (RFC 9112 §7.1)")
struct ChunkedTests {
    static let bodies: [(String, String, String, Int)] = [
        ("0\r\n\r\n", "", "", 0),
        ("000\r\n\r\n", "", "", 0),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", "", 0),
        ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /", "hello world", "", 5),
        ("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", "", 0),
        ("0005\r\n\r\n\r\n\r\r\n0\r\n\r\n", "\r\n\r\n\r", "", 0),
        ("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello", "", 0),
        ("5;a=\"b \\\" ; c\";d=e\r\nhello\r\n0;x=\"\"\r\n\r\n", "hello", "", 0),
        ("1\r\na\r\n0\r\nX-Sum: 1\r\nETag: \t\"x\"\r\n\r\nrest", "a", "X-Sum: 1\r\nETag: \"x\"\r\n", 4),
        ("0\r\nX: \r\n\r\n", "", "X: \r\n", 0),
        ("0\r\nSet-Cookie: a=b\r\nX: y\r\nContent-Type: z\r\nContent-Foo: z\r\n\r\n", "", "X: y\r\n", 0),
        ("0\r\nAuthorization: a\r\nCache-Control: b\r\nContent-Digest: c\r\n\r\n", "", "Content-Digest: c\r\n", 0),
    ]

    @Test("a body comes out whole wherever it is cut", arguments: bodies)
    func wholeBody(_ source: String, _ body: String, _ trailers: String, _ rest: Int) {
        #expect(decode(source) == .body(Array(body.utf8), trailers: trailers, rest: rest))
    }

    static let refusals: [(String, ChunkError)] = [
        ("\r\n5\r\nhello\r\n", .missingSize),
        (" 5\r\nhello\r\n", .missingSize),
        ("\t5\r\n", .missingSize),
        ("-5\r\n", .missingSize),
        ("+5\r\n", .missingSize),
        (";a\r\n", .missingSize),
        ("\n", .bareLineFeed),
        ("g\r\n", .missingSize),
        ("0x5\r\nhello\r\n", .invalidSize(0x78)),
        ("5 \r\nhello\r\n", .invalidSize(0x20)),
        ("5\t\r\nhello\r\n", .invalidSize(0x09)),
        ("5 ;a\r\nhello\r\n", .invalidSize(0x20)),
        ("5,\r\nhello\r\n", .invalidSize(0x2C)),
        ("5\u{0}\r\nhello\r\n", .invalidSize(0)),
        ("5_0\r\n", .invalidSize(0x5F)),
        ("5h\r\nhello\r\n", .invalidSize(0x68)),
        ("5\nhello\r\n", .bareLineFeed),
        ("5\rhello\r\n", .bareCarriageReturn),
        ("5\r\rhello\r\n", .bareCarriageReturn),
        ("5\r\nhello0\r\n\r\n", .missingDataEnd),
        ("5\r\nhello\n0\r\n\r\n", .bareLineFeed),
        ("5\r\nhello\r0\r\n\r\n", .bareCarriageReturn),
        ("5\r\nhello\r\n\r\n", .missingSize),
        ("4\r\nhello\r\n0\r\n\r\n", .missingDataEnd),
        ("6\r\nhello\r\n0\r\n\r\n", .bareLineFeed),
        ("7\r\nhello\r\n0\r\n\r\n", .missingDataEnd),
        ("8000000000000000\r\n", .sizeTooLarge),
        ("ffffffffffffffff\r\n", .sizeTooLarge),
        ("10000000000000005\r\n", .sizeTooLarge),
        ("00000000000000005\r\n", .sizeTooLarge),
        ("5;\r\n", .malformedExtension),
        ("5;;a\r\n", .malformedExtension),
        ("5; a\r\n", .malformedExtension),
        ("5;a =b\r\n", .malformedExtension),
        ("5;a= b\r\n", .malformedExtension),
        ("5;a=\r\n", .malformedExtension),
        ("5;=b\r\n", .malformedExtension),
        ("5;a=b=c\r\n", .malformedExtension),
        ("5;a=\"b\r\n", .malformedExtension),
        ("5;a=\"b\\\r\n", .malformedExtension),
        ("5;a=\"b\"c\r\n", .malformedExtension),
        ("5;a=\"b\u{0}\"\r\n", .malformedExtension),
        ("5;a\nhello\r\n", .bareLineFeed),
        ("5;a=b\nhello\r\n", .bareLineFeed),
        ("5;a=\"\n\"\r\n", .bareLineFeed),
        ("5;\nhello\r\n", .bareLineFeed),
        ("5;a\rb\r\n", .bareCarriageReturn),
        ("5;a=b\u{7F}\r\n", .malformedExtension),
        ("0\r\nX\r\n\r\n", .trailer(.missingColon)),
        ("0\r\nX : y\r\n\r\n", .trailer(.whitespaceBeforeColon)),
        ("0\r\n X: y\r\n\r\n", .trailer(.leadingWhitespace)),
        ("0\r\nX: y\r\n z\r\n\r\n", .trailer(.foldedLine)),
        ("0\r\nX: y\nZ: a\r\n\r\n", .trailer(.bareLineFeed)),
        ("0\r\nX: y\rZ: a\r\n\r\n", .trailer(.bareCarriageReturn)),
        ("0\r\nX: \u{0}\r\n\r\n", .trailer(.invalidFieldValue(0))),
        ("0\r\n\n", .trailer(.bareLineFeed)),
        ("0\r\n\rX\r\n", .trailer(.bareCarriageReturn)),
        ("0\r\nTransfer_Encoding: chunked\r\n\r\n", .trailer(.lookalikeFieldName)),
        ("0\r\nContent-Length: 5\r\n\r\n", .forbiddenTrailer),
        ("0\r\nTransfer-Encoding: chunked\r\n\r\n", .forbiddenTrailer),
        ("0\r\nhost: b\r\n\r\n", .forbiddenTrailer),
        ("0\r\nConnection: close\r\n\r\n", .forbiddenTrailer),
        ("0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n", .forbiddenTrailer),
    ]

    @Test("bad chunks are refused for their reason wherever they are cut", arguments: refusals)
    func refused(_ source: String, _ error: ChunkError) {
        #expect(decode(source) == .refused(error))
        #expect(!error.message.isEmpty)
    }

    @Test(
        "an unfinished body is not an end",
        arguments: ["", "5", "5\r\n", "5\r\nhe", "5\r\nhello\r\n", "0", "0\r\n", "0\r\n\r", "0\r\nX: y\r\n", "5;a=\""])
    func incomplete(_ source: String) {
        guard case .incomplete = decode(source) else {
            Issue.record("not incomplete")
            return
        }
    }

    @Test("what is over a limit is refused, what is at it is not")
    func limits() {
        let limits = ChunkLimits(sizeDigits: 3, extensionBytes: 6, trailerBytes: 10, trailerFields: 1)
        #expect(decode("001\r\na\r\n0\r\n\r\n", limits: limits) == .body([0x61], trailers: "", rest: 0))
        #expect(decode("0001\r\na\r\n", limits: limits) == .refused(.sizeTooLarge))
        #expect(decode("1;ab\r\na\r\n0;ab\r\n\r\n", limits: limits) == .body([0x61], trailers: "", rest: 0))
        #expect(
            decode("1;ab\r\na\r\n0;abc\r\n\r\n", limits: limits) == .refused(.extensionsTooLong(limit: 6)))
        #expect(decode("0\r\nX: aaa\r\n\r\n", limits: limits) == .body([], trailers: "X: aaa\r\n", rest: 0))
        #expect(decode("0\r\nX: aaaaaa\r\n\r\n", limits: limits) == .refused(.trailersTooLarge(limit: 10)))
        #expect(
            decode("0\r\nA:\r\nB:\r\n\r\n", limits: limits) == .refused(.trailer(.tooManyFields(limit: 1))))
        #expect(
            decode("0\r\n\(String(repeating: "a", count: 11))", limits: limits)
                == .refused(.trailersTooLarge(limit: 10)))
    }

    @Test("a decoder serves body after body, and data may go another way")
    func reuse() throws {
        var decoder = ChunkedDecoder()
        let first = Sample("5\r\n").bytes
        var offset = 0
        #expect(try decoder.next(first.span, from: &offset) == .needMore)
        #expect(decoder.remainingInChunk == 5)
        decoder.skip(3)
        #expect(decoder.remainingInChunk == 2)
        decoder.skip(2)
        #expect(decoder.remainingInChunk == 0)
        let second = Sample("\r\n0\r\nX: y\r\n\r\n").bytes
        offset = 0
        #expect(try decoder.next(second.span, from: &offset) == .end)
        #expect(decoder.trailers.first(HeaderName("X") ?? .host) == "y")
        #expect(try decoder.next(second.span, from: &offset) == .end)
        decoder.reset()
        #expect(decoder.trailers.isEmpty)
        offset = 0
        #expect(try decoder.next(Sample("0\r\n\r\n").bytes.span, from: &offset) == .end)
    }

    @Test("what the encoder writes the decoder reads")
    func roundTrip() throws {
        var output = OutputBuffer()
        var trailers = HeaderFields()
        trailers.append(.serverTiming, "total;dur=1")
        trailers.append(.contentLength, "5")
        output.appendChunk([UInt8](repeating: 0x61, count: 300).span)
        output.appendChunk([UInt8]().span)
        output.appendChunkHead(count: 2)
        output.append("bc")
        output.appendChunkTail()
        output.appendLastChunk(trailers: trailers)
        let bytes = unsafe output.withUnsafeBytes { unsafe Array($0) }
        let expected = [UInt8](repeating: 0x61, count: 300) + Array("bc".utf8)
        #expect(
            decode(bytes, cutAt: []) == .body(expected, trailers: "Server-Timing: total;dur=1\r\n", rest: 0))
        #expect(String(decoding: bytes.prefix(5), as: UTF8.self) == "12c\r\n")
        #expect(String(decoding: bytes.suffix(34), as: UTF8.self).hasSuffix("total;dur=1\r\n\r\n"))
    }
}
