/// The head of an HTTP/1.1 reply, as far as a load generator has to understand it.
struct ReplyHead {
    let status: Int
    /// `nil` when the reply does not say.
    let contentLength: Int?
    /// Bytes up to and including the empty line.
    let byteCount: Int

    /// - Returns: `nil` when the head has not ended yet.
    /// - Throws: When it is not HTTP/1.1, or its body is framed by anything but one Content-Length.
    static func parse(_ input: Span<UInt8>) throws(Fault) -> ReplyHead? {
        guard var end = lineEnd(in: input, from: 0) else { return nil }
        let status = try parseStatus(input.extracting(0..<end))
        var contentLength: Int?
        while true {
            let start = end + 2
            guard let next = lineEnd(in: input, from: start) else { return nil }
            if next == start { return ReplyHead(status: status, contentLength: contentLength, byteCount: next + 2) }
            let line = input.extracting(start..<next)
            if line[0] | 0x20 == UInt8(ascii: "c"), hasPrefix(line, contentLengthName) {
                guard contentLength == nil else { throw Fault("a reply has two Content-Length fields") }
                contentLength = try parseLength(line.extracting(contentLengthName.count..<line.count))
            } else if line[0] | 0x20 == UInt8(ascii: "t"), hasPrefix(line, transferEncodingName) {
                throw Fault("a reply has Transfer-Encoding where Content-Length was expected")
            }
            end = next
        }
    }

    private static let contentLengthName = Array("content-length:".utf8)
    private static let transferEncodingName = Array("transfer-encoding:".utf8)

    private static func parseStatus(_ line: Span<UInt8>) throws(Fault) -> Int {
        guard line.count >= 12, hasPrefix(line, Array("http/1.1 ".utf8)) else {
            throw Fault("a reply does not start with HTTP/1.1 and a status")
        }
        return try number(line.extracting(9..<12), called: "status")
    }

    private static func parseLength(_ value: Span<UInt8>) throws(Fault) -> Int {
        var start = 0
        while start < value.count, value[start] == UInt8(ascii: " ") { start += 1 }
        return try number(value.extracting(start..<value.count), called: "Content-Length")
    }

    private static func number(_ digits: Span<UInt8>, called name: String) throws(Fault) -> Int {
        var result = 0
        guard (1...18).contains(digits.count) else { throw Fault("a reply has no number as its \(name)") }
        for index in digits.indices {
            let digit = digits[index] &- UInt8(ascii: "0")
            guard digit < 10 else { throw Fault("a reply has no number as its \(name)") }
            result = result * 10 + Int(digit)
        }
        return result
    }

    /// Where the CR of the next CR LF stands.
    @inline(__always)
    private static func lineEnd(in input: Span<UInt8>, from start: Int) -> Int? {
        var index = start
        while index + 1 < input.count {
            if input[index] == 0x0D, input[index + 1] == 0x0A { return index }
            index += 1
        }
        return nil
    }

    /// - Parameter name: In small letters; a byte of `line` may be either case.
    @inline(__always)
    private static func hasPrefix(_ line: Span<UInt8>, _ name: [UInt8]) -> Bool {
        guard line.count >= name.count else { return false }
        for index in name.indices {
            let byte = line[index]
            let isCapital = byte &- UInt8(ascii: "A") < 26
            guard (isCapital ? byte | 0x20 : byte) == name[index] else { return false }
        }
        return true
    }
}
