/// The challenge of the opening handshake (RFC 6455 §4.2.2): proof that the server has read this very request.
enum HandshakeKey {
    private static let guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Whether `text` is the base64 form of sixteen bytes: 22 letters and two signs of padding.
    static func isValid(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 24, bytes[22] == UInt8(ascii: "="), bytes[23] == UInt8(ascii: "=") else { return false }
        return bytes[..<22].allSatisfy { alphabet.contains($0) }
    }

    /// `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`.
    static func accept(for key: String) -> String { base64(SHA1.digest(Array((key + guid).utf8))) }

    /// Base64 with padding (RFC 4648 §4).
    static func base64(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for place in 0..<4 {
                let isPadding = place > group.count
                let letter = alphabet[Int(bits >> UInt32(18 - 6 * place) & 63)]
                text.append(isPadding ? UInt8(ascii: "=") : letter)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
