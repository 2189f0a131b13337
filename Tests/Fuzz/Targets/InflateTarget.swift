import GatewayBytes
import GatewayCompression
import GatewayWebSocket

/// The payload of a compressed message, put into frames here, so that the fuzzer gets at zlib without first having to
/// learn how frames are made.
enum InflateTarget {
    private static let limits = MessageLimits(
        frame: .kibibytes(64), message: .bytes(4096), frameWarning: .kibibytes(64))

    fileprivate enum Outcome: Equatable {
        case message([UInt8])
        case refused
    }

    static func run(_ payload: [UInt8]) {
        guard payload.count <= 32768 else { return }
        let direct = inflate(payload)
        for isText in [false, true] {
            let expected = isText ? direct.asText : direct
            for keepsWindow in [false, true] {
                check(payload, isText: isText, keepsWindow: keepsWindow, gives: expected)
            }
            checkDeferred(payload, isText: isText, gives: expected)
        }
        checkRoundTrip(payload)
    }

    private static func check(_ payload: [UInt8], isText: Bool, keepsWindow: Bool, gives expected: Outcome) {
        let whole = frame(payload, opcode: isText ? 1 : 2, isFirst: true, isFinal: true)
        for ends in [[whole.count]] + Pieces.ways(to: whole, everyByteUpTo: 64) {
            var reader = makeReader(keepsWindow: keepsWindow)
            reader.receive(whole, upTo: ends)
            require(outcome(reader.events) == expected, "\(ends): \(reader.events), directly: \(expected)")
        }
        var reader = makeReader(keepsWindow: keepsWindow)
        reader.receive(fragments(payload, isText: isText))
        require(outcome(reader.events) == expected, "fragmented: \(reader.events), directly: \(expected)")
    }

    /// Without memory for another inflater a message in pieces is kept as it is and inflated at its end.
    private static func checkDeferred(_ payload: [UInt8], isText: Bool, gives expected: Outcome) {
        // What is longer than that is refused before it is inflated.
        guard payload.count <= limits.message else { return }
        var reader = makeReader(keepsWindow: false)
        reader.exhaustCompressionBudget()
        reader.receive(fragments(payload, isText: isText))
        require(outcome(reader.events) == expected, "deferred: \(reader.events), directly: \(expected)")
    }

    private static func makeReader(keepsWindow: Bool) -> SocketReader {
        SocketReader(limits: limits, settings: .keepingWindows(keepsWindow), offer: "permessage-deflate")
    }

    private static func outcome(_ events: [SocketReader.Seen]) -> Outcome {
        require(events.count == 1, "\(events.count) events for one message")
        switch events.first {
        case .message(_, let bytes): return .message(bytes)
        case .violation(let violation):
            switch violation {
            case .invalidText, .invalidCompression, .messageTooBig: return .refused
            default: fatalError("\(violation)")
            }
        default: fatalError("\(events)")
        }
    }

    /// RFC 7692 §7.2.2 in the fewest words.
    private static func inflate(_ payload: [UInt8]) -> Outcome {
        guard !payload.isEmpty else { return .message([]) }
        var output = OutputBuffer()
        do throws(CompressionError) {
            var inflater = try Inflater.make()
            let bytes = payload + [0, 0, 0xFF, 0xFF]
            let progress = try unsafe bytes.span.withUnsafeBytes { raw throws(CompressionError) in
                var input = unsafe raw
                return try unsafe inflater.messageStep(&input, into: &output, atMost: limits.message + 1)
            }
            guard progress == .needsInput, output.count <= limits.message, inflater.isAtBlockBoundary else {
                return .refused
            }
        } catch {
            return .refused
        }
        return .message(unsafe output.withUnsafeBytes { unsafe [UInt8]($0) })
    }

    // MARK: Frames

    private static func fragments(_ payload: [UInt8], isText: Bool) -> [UInt8] {
        var pieces = Pieces(of: payload)
        let cut = pieces.roll(payload.count + 1)
        return frame(Array(payload[..<cut]), opcode: isText ? 1 : 2, isFirst: true, isFinal: false)
            + frame(Array(payload[cut...]), opcode: 0, isFirst: false, isFinal: true)
    }

    /// A masked frame, spelled by hand.
    private static func frame(_ payload: [UInt8], opcode: UInt8, isFirst: Bool, isFinal: Bool) -> [UInt8] {
        let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
        var bytes = [opcode | (isFirst ? 0x40 : 0) | (isFinal ? 0x80 : 0)]
        if payload.count < 126 {
            bytes.append(0x80 | UInt8(payload.count))
        } else {
            bytes += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        }
        return bytes + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
    }

    // MARK: The other way

    /// What a server compresses, twice over, a client reads back.
    private static func checkRoundTrip(_ message: [UInt8]) {
        guard message.count <= limits.message else { return }
        for keepsWindow in [false, true] {
            let server = makeReader(keepsWindow: keepsWindow)
            guard let answer = server.deflate?.parameters.answer else { fatalError("no compression") }
            var client = SocketReader(
                role: .client, limits: limits, settings: .keepingWindows(keepsWindow), offer: answer)
            for _ in 0..<2 {
                var output = OutputBuffer()
                MessageWriter.append(.binary, message, deflate: server.deflate, using: server.codecs, to: &output)
                client.receive(unsafe output.withUnsafeBytes { unsafe [UInt8]($0) })
            }
            let expected = SocketReader.Seen.message(.binary, message)
            require(client.events == [expected, expected], "sent and not read: \(client.events)")
        }
    }
}

extension InflateTarget.Outcome {
    /// The same for a text message.
    fileprivate var asText: Self {
        guard case .message(let bytes) = self, String(validating: bytes, as: UTF8.self) == nil else { return self }
        return .refused
    }
}
