/// Why the start of a connection is not a PROXY protocol header. The connection is of no use then: nobody can say where
/// what follows begins.
package enum ProxyProtocolError: Error, Hashable, Sendable {
    /// The first bytes are those of neither version: the sender does not speak the protocol.
    case noSignature
    /// Version 1 without its line end within 107 bytes.
    case lineTooLong
    /// Version 1, and not as the specification writes it.
    case malformedLine
    /// A version other than 2 behind the binary signature.
    case unknownVersion(UInt8)
    case unknownCommand(UInt8)
    case unknownFamily(UInt8)
    /// A transport that is no stream, though this connection is one.
    case unknownTransport(UInt8)
    /// The addresses of the family do not fit into the declared length.
    case addressesCutShort
    /// Longer than the reader takes.
    case tooLong(Int)

    package var message: String {
        switch self {
        case .noSignature: "the connection does not begin with a PROXY protocol header"
        case .lineTooLong: "the PROXY line does not end"
        case .malformedLine: "the PROXY line is malformed"
        case .unknownVersion(let version): "the PROXY header has version \(version)"
        case .unknownCommand(let command): "the PROXY header has the command \(command)"
        case .unknownFamily(let family): "the PROXY header has the address family \(family)"
        case .unknownTransport(let transport): "the PROXY header has the transport \(transport)"
        case .addressesCutShort: "the PROXY header is too short for its addresses"
        case .tooLong(let length): "the PROXY header is \(length) bytes long"
        }
    }
}

/// What a proxy says before the first byte of a client (the PROXY protocol, versions 1 and 2).
package struct ProxyProtocolHeader: Hashable, Sendable {
    package enum Client: Hashable, Sendable {
        /// An address of the client's own.
        case address(IPAddress, port: UInt16)
        /// The proxy speaks for itself: a health check.
        case proxyItself
        /// The proxy speaks for somebody whom it does not name, or who has no Internet address.
        case unknown
    }

    package let client: Client
    /// Bytes of the header; the client's own begin behind them.
    package let length: Int

    /// Longest header of version 1, with its line end.
    static let longestLine = 107

    /// Reads the header at the start of `input`.
    ///
    /// Extensions of version 2 (TLV) are skipped without a look.
    ///
    /// - Parameter limit: Longest header of version 2. Few have more than 100 bytes; certificates in extensions may.
    /// - Returns: `nil` when `input` is too short and all of it belongs to the header: call again with the same bytes
    ///   and more.
    package static func parse(
        _ input: Span<UInt8>, limit: Int = 4096
    ) throws(ProxyProtocolError) -> ProxyProtocolHeader? {
        guard !input.isEmpty else { return nil }
        if input[0] == lineStart[0] { return try parseLine(input) }
        return try parseBinary(input, limit: limit)
    }
}

// MARK: Version 2

extension ProxyProtocolHeader {
    private static let signature: InlineArray<12, UInt8> = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    private static func parseBinary(
        _ input: Span<UInt8>, limit: Int
    ) throws(ProxyProtocolError) -> ProxyProtocolHeader? {
        for index in 0..<min(input.count, signature.count) where input[index] != signature[index] { throw .noSignature }
        guard input.count >= 16 else { return nil }
        guard input[12] >> 4 == 2 else { throw .unknownVersion(input[12] >> 4) }
        let command = input[12] & 0x0F
        guard command <= 1 else { throw .unknownCommand(command) }
        let length = 16 + (Int(input[14]) << 8 | Int(input[15]))
        guard length <= limit else { throw .tooLong(length) }
        // A health check has no addresses that mean anything: family and all are ignored (specification §2.2, LOCAL).
        guard command == 1 else {
            return input.count < length ? nil : ProxyProtocolHeader(client: .proxyItself, length: length)
        }
        let (family, transport) = (input[13] >> 4, input[13] & 0x0F)
        guard family <= 3 else { throw .unknownFamily(family) }
        guard transport <= 1 else { throw .unknownTransport(transport) }
        guard length >= 16 + addressBytes(of: family) else { throw .addressesCutShort }
        guard input.count >= length else { return nil }
        guard transport == 1 else { return ProxyProtocolHeader(client: .unknown, length: length) }
        return ProxyProtocolHeader(client: binaryClient(input, family), length: length)
    }

    /// Both addresses and both ports; UNIX sockets have paths of 108 bytes.
    private static func addressBytes(of family: UInt8) -> Int {
        switch family {
        case 1: 12
        case 2: 36
        case 3: 216
        default: 0
        }
    }

    private static func binaryClient(_ input: Span<UInt8>, _ family: UInt8) -> Client {
        let (width, port) = family == 1 ? (4, 24) : (16, 48)
        guard family == 1 || family == 2,
            let address = IPAddress(networkBytes: input.extracting(16..<16 + width))
        else { return .unknown }
        return .address(address.unmapped, port: UInt16(input[port]) << 8 | UInt16(input[port + 1]))
    }
}

// MARK: Version 1

extension ProxyProtocolHeader {
    private static let lineStart: InlineArray<6, UInt8> = [0x50, 0x52, 0x4F, 0x58, 0x59, 0x20]

    private static func parseLine(_ input: Span<UInt8>) throws(ProxyProtocolError) -> ProxyProtocolHeader? {
        for index in 0..<min(input.count, lineStart.count) where input[index] != lineStart[index] { throw .noSignature }
        for index in 0..<min(input.count, longestLine) where input[index] == 0x0A {
            guard index >= 1, input[index - 1] == 0x0D else { throw .malformedLine }
            return ProxyProtocolHeader(
                client: try lineClient(input.extracting(lineStart.count..<index - 1)), length: index + 1)
        }
        guard input.count < longestLine else { throw .lineTooLong }
        return nil
    }

    /// `TCP4 source destination port port`, or `UNKNOWN` and anything. One space between words, no leading zeros.
    private static func lineClient(_ line: Span<UInt8>) throws(ProxyProtocolError) -> Client {
        let words = words(of: line)
        guard let first = words.first else { throw .malformedLine }
        if equals(line.extracting(first), "UNKNOWN") { return .unknown }
        let width = equals(line.extracting(first), "TCP4") ? 32 : equals(line.extracting(first), "TCP6") ? 128 : 0
        guard width > 0, words.count == 5,
            let source = IPAddress(text: line.extracting(words[1])), source.bitWidth == width,
            let destination = IPAddress(text: line.extracting(words[2])), destination.bitWidth == width,
            let sourcePort = port(line.extracting(words[3])), port(line.extracting(words[4])) != nil
        else { throw .malformedLine }
        return .address(source.unmapped, port: sourcePort)
    }

    /// What stands between single spaces.
    private static func words(of line: Span<UInt8>) -> [Range<Int>] {
        var words: [Range<Int>] = []
        var start = 0
        for index in 0..<line.count where line[index] == 0x20 {
            words.append(start..<index)
            start = index + 1
        }
        return words + [start..<line.count]
    }

    private static func equals(_ word: Span<UInt8>, _ literal: StaticString) -> Bool {
        let expected = Input(literal)
        guard word.count == expected.count else { return false }
        for index in 0..<word.count where word[index] != expected[index] { return false }
        return true
    }

    private static func port(_ word: Span<UInt8>) -> UInt16? {
        guard word.count >= 1, word.count <= 5, word[0] != 0x30 || word.count == 1 else { return nil }
        var value = 0
        for index in 0..<word.count {
            guard word[index] &- 0x30 < 10 else { return nil }
            value = value * 10 + Int(word[index] - 0x30)
        }
        return UInt16(exactly: value)
    }
}
