package import GatewayBytes

/// How large a head may be. What is larger is refused before it is stored.
package struct HeadLimits: Equatable, Sendable {
    /// Method, target and version with their line end; 414 above it. Also bounds the status line of a response.
    package let requestLine: ByteCount
    /// Everything up to and with the empty line; 431 above it.
    package let head: ByteCount
    /// One field line with its line end; 431 above it.
    package let fieldLine: ByteCount
    /// Field lines; 431 above it.
    package let fieldCount: Int

    /// A line is cut down to what offsets can say (65,535 bytes), a head to 16 MiB, and no line is larger than the head.
    package init(
        requestLine: ByteCount = .kibibytes(8), head: ByteCount = .kibibytes(32), fieldLine: ByteCount = .kibibytes(16),
        fieldCount: Int = 100
    ) {
        self.head = min(max(head, .bytes(64)), .mebibytes(16))
        self.requestLine = min(max(requestLine, .bytes(16)), self.head)
        self.fieldLine = min(fieldLine, self.head, .bytes(65_535))
        self.fieldCount = max(1, fieldCount)
    }
}

/// The same as bare numbers, for the parsers.
struct HeadBounds: Sendable {
    let startLine: Int
    let head: Int
    let fieldLine: Int
    let fieldCount: Int

    init(_ limits: HeadLimits) {
        startLine = limits.requestLine.bytes
        head = limits.head.bytes
        fieldLine = limits.fieldLine.bytes
        fieldCount = limits.fieldCount
    }
}
