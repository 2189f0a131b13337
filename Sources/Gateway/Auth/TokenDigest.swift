import COpenSSL

/// SHA-256 of a token: what caches are keyed by, so that memory holds no credentials.
package struct TokenDigest: Hashable, Sendable {
    private let words: (UInt64, UInt64, UInt64, UInt64)

    package init(of token: Span<UInt8>) {
        var digest = [UInt8](repeating: 0, count: 32)
        let done = unsafe token.withUnsafeBufferPointer { token in
            unsafe EVP_Digest(token.baseAddress, token.count, &digest, nil, SHA256.shared.algorithm, nil)
        }
        precondition(done == 1, "OpenSSL must have SHA-256")
        func word(_ place: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 << 8 | UInt64(digest[place * 8 + $1]) }
        }
        words = (word(0), word(1), word(2), word(3))
    }

    /// Half of it, for where 128 bits are enough.
    package var firstWords: (UInt64, UInt64) { (words.0, words.1) }

    /// The 32 bytes of the digest, for what keeps it.
    package var bytes: [UInt8] {
        [words.0, words.1, words.2, words.3].flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64($0))) }
        }
    }

    package static func == (left: TokenDigest, right: TokenDigest) -> Bool { left.words == right.words }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }
}

/// The algorithm, looked up once: OpenSSL 3 otherwise searches its providers on every call.
@safe private final class SHA256: Sendable {
    static let shared = SHA256()
    // Safe: fetched once, never changed or freed, and OpenSSL shares algorithms between threads.
    nonisolated(unsafe) let algorithm: OpaquePointer?

    private init() {
        unsafe algorithm = EVP_MD_fetch(nil, "SHA256", nil)
        precondition(unsafe algorithm != nil, "OpenSSL must have SHA-256")
    }
}
