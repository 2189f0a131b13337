/// Why a path cannot be routed.
package enum PathError: Error, Equatable, Sendable {
    /// `.` or `..` as a segment, in any encoding: the two ends of a proxy would resolve it differently.
    case dotSegment
    case invalidPercentEncoding
    /// An encoded control character, NUL included.
    case encodedControl

    package var message: String {
        switch self {
        case .dotSegment: "the path holds a dot segment; send the resolved path"
        case .invalidPercentEncoding: "a percent sign in the path is not followed by two hexadecimal digits"
        case .encodedControl: "the path holds an encoded control character"
        }
    }
}

/// Brings paths into the one form a router may compare byte by byte.
///
/// Most paths are in that form already (``RequestHead/pathIsPlain``) and never come here.
package enum PathNormaliser {
    /// Decodes what never needed encoding (RFC 3986 §6.2.2.2) and writes the other triplets in capitals.
    ///
    /// Encoded slashes stay encoded and empty segments stay where they are: neither equals what it resembles. Refused
    /// are dot segments, also when hidden by encoding, by parameters (`..;x`), or between encoded slashes or
    /// backslashes.
    ///
    /// - Parameter path: As the parser found it.
    package static func normalise(_ path: UnsafeRawBufferPointer) throws(PathError) -> [UInt8] {
        let input = unsafe Input(path)
        var normal: [UInt8] = []
        normal.reserveCapacity(input.count)
        var segmentStart = 0
        var index = 0
        while index < input.count {
            let octet = input[index]
            if octet == 0x25 {
                let decoded = try decode(input, at: index)
                index += 3
                if isSeparator(decoded) {
                    try checkSegment(normal, from: segmentStart)
                    segmentStart = normal.count + 3
                }
                append(decoded, to: &normal)
            } else {
                index += 1
                if isSeparator(octet) {
                    try checkSegment(normal, from: segmentStart)
                    segmentStart = normal.count + 1
                }
                normal.append(octet)
            }
        }
        try checkSegment(normal, from: segmentStart)
        return normal
    }

    private static func isSeparator(_ octet: UInt8) -> Bool { octet == 0x2F || octet == 0x5C }

    private static func decode(_ input: Input, at index: Int) throws(PathError) -> UInt8 {
        guard index + 2 < input.count, Octet.isA(input[index + 1], Octet.hexadecimal),
            Octet.isA(input[index + 2], Octet.hexadecimal)
        else { throw .invalidPercentEncoding }
        let decoded = Octet.hexValue(input[index + 1]) << 4 | Octet.hexValue(input[index + 2])
        guard decoded >= 0x20, decoded != 0x7F else { throw .encodedControl }
        return decoded
    }

    private static func append(_ decoded: UInt8, to normal: inout [UInt8]) {
        if Octet.isA(decoded, Octet.unreserved) {
            normal.append(decoded)
        } else {
            normal.append(0x25)
            normal.append(digit(decoded >> 4))
            normal.append(digit(decoded & 0x0F))
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }

    /// Refuses `.` and `..`, with or without parameters behind them (a semicolon, bare or encoded).
    private static func checkSegment(_ normal: [UInt8], from start: Int) throws(PathError) {
        var index = start
        while index < normal.count, normal[index] == 0x2E { index += 1 }
        guard index - start == 1 || index - start == 2 else { return }
        let rest = normal[index...]
        if rest.isEmpty || rest.first == 0x3B || rest.starts(with: [0x25, 0x33, 0x42]) { throw .dotSegment }
    }
}
