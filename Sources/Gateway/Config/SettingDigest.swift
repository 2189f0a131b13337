/// Stands for the value of a setting, so that two readings can be compared without keeping what may be a secret.
///
/// 128 bits under a key that this process drew at its start: means nothing in another process, and is never stored.
package struct SettingDigest: Hashable, Sendable {
    private let first: Int
    private let second: Int

    package init(of text: String) { self.init(of: Array(text.utf8)) }

    package init(of bytes: [UInt8]) {
        first = Self.hash(bytes, mark: 1)
        second = Self.hash(bytes, mark: 2)
    }

    private static func hash(_ bytes: [UInt8], mark: UInt8) -> Int {
        var hasher = Hasher()
        hasher.combine(mark)
        hasher.combine(bytes)
        return hasher.finalize()
    }
}
