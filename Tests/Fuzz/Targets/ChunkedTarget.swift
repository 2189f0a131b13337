import GatewayBytes
import GatewayHTTP

/// A chunked body, in pieces and as a whole, under the usual and under tight limits.
enum ChunkedTarget {
    private enum Outcome: Equatable {
        case end(body: [UInt8], trailers: HeaderFields, at: Int)
        case goesOn(body: [UInt8])
        /// What was passed on before the error, too: a reader of pieces must not have been given more.
        case refused(ChunkError, body: [UInt8])
    }

    private static let small = ChunkLimits(sizeDigits: 4, extensionBytes: 16, trailerBytes: 48, trailerFields: 2)

    static func run(_ bytes: [UInt8]) {
        for limits in [ChunkLimits(), small] {
            let whole = decode(bytes, upTo: [bytes.count], limits: limits)
            for ends in Pieces.ways(to: bytes) {
                let pieces = decode(bytes, upTo: ends, limits: limits)
                require(pieces == whole, "in pieces up to \(ends): \(pieces), as a whole: \(whole)")
            }
            guard case .end(let body, let trailers, let end) = whole else { continue }
            require(end <= bytes.count && body.count < end, "more body than bytes")
            require(trailers.count <= limits.trailerFields, "\(trailers.count) trailers")
            trailers.forEach { _, value in
                require(value.utf8.allSatisfy { $0 >= 0x20 || $0 == 0x09 }, "a control byte in a trailer")
            }
            checkWriting(body)
        }
    }

    private static func decode(_ bytes: [UInt8], upTo ends: [Int], limits: ChunkLimits) -> Outcome {
        var decoder = ChunkedDecoder(limits: limits)
        var body: [UInt8] = []
        var start = 0
        do throws(ChunkError) {
            for end in ends {
                let piece = Array(bytes[start..<end])
                var offset = 0
                steps: while true {
                    switch try decoder.next(piece.span, from: &offset) {
                    case .data(let range): body += piece[range]
                    case .needMore: break steps
                    case .end: return .end(body: body, trailers: decoder.trailers, at: start + offset)
                    }
                }
                require(offset == piece.count, "input left behind")
                start = end
            }
            return .goesOn(body: body)
        } catch {
            return .refused(error, body: body)
        }
    }

    /// What our own writer makes of a body is read as that body.
    private static func checkWriting(_ body: [UInt8]) {
        guard !body.isEmpty else { return }
        var output = OutputBuffer()
        output.appendChunk(body.span)
        output.appendLastChunk()
        let written = unsafe output.withUnsafeBytes { unsafe [UInt8]($0) }
        let read = decode(written, upTo: [written.count], limits: ChunkLimits())
        require(read == .end(body: body, trailers: HeaderFields(), at: written.count), "written and not read: \(read)")
    }
}
