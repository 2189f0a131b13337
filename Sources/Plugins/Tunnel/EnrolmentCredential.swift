import PluginKit

/// What an enrolled agent shows: `gwe_<id>_<secret>`. The id finds the enrolment, the secret proves it.
struct EnrolmentCredential: Sendable {
    let id: String
    /// 32 random bytes as Base64URL.
    let secret: Secret

    private static let prefix = "gwe_"
    private static let secretLength = 43
    private static let idLength = 16

    /// A new one.
    init() {
        id = RandomID.make()
        secret = Secret(RandomID.text(ofBytes: 32))
    }

    /// - Returns: `nil` for anything that is not of this form.
    init?(_ text: String) {
        let bytes = Array(text.utf8)
        let start = Self.prefix.utf8.count
        let end = start + Self.idLength
        guard text.hasPrefix(Self.prefix), bytes.count == end + 1 + Self.secretLength,
            bytes[end] == UInt8(ascii: "_"), RandomID.isOne(bytes[start..<end])
        else { return nil }
        id = String(decoding: bytes[start..<end], as: UTF8.self)
        secret = Secret(Array(bytes[(end + 1)...]))
    }

    /// For the one answer that shows it.
    var text: String {
        let secret = unsafe secret.withBytes { unsafe String(decoding: $0, as: UTF8.self) }
        return "\(Self.prefix)\(id)_\(secret)"
    }

    /// What is kept of the secret.
    var digest: [UInt8] {
        let secret = unsafe secret.withBytes { unsafe Array($0) }
        return TokenDigest(of: secret.span).bytes
    }

    /// Whether it is the credential of `enrolment`; takes the same time wherever they differ.
    func proves(_ enrolment: Enrolment) -> Bool { Secret(enrolment.digest).equals(digest) }
}

/// Names of what is kept, and secrets: from the system's generator.
enum RandomID {
    /// 16 hexadecimal digits: no two alike in the lifetime of a database.
    static func make() -> String {
        var system = SystemRandomNumberGenerator()
        let digits = String(UInt64.random(in: .min ... .max, using: &system), radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    static func text(ofBytes count: Int) -> String {
        var system = SystemRandomNumberGenerator()
        return Base64URL.encode((0..<count).map { _ in UInt8.random(in: .min ... .max, using: &system) })
    }

    static func isOne(_ bytes: some Collection<UInt8>) -> Bool {
        bytes.count == 16
            && bytes.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}
