/// Which paths may go to an agent. The agent decides again.
enum TunnelPath {
    /// - Parameter path: Normalised: dot segments are refused before.
    /// - Returns: `false` for what could be read in more than one way: an empty segment, a backslash, a slash,
    ///   backslash or zero behind a percent sign, and what is not visible ASCII.
    static func isForwardable(_ path: some Collection<UInt8>) -> Bool {
        guard path.first == UInt8(ascii: "/") else { return false }
        var (secondLast, last): (UInt8, UInt8) = (0, 0)
        for byte in path {
            guard (0x21...0x7E).contains(byte), byte != UInt8(ascii: "\\") else { return false }
            if last == UInt8(ascii: "/"), byte == last { return false }
            if secondLast == UInt8(ascii: "%"), hides(last, byte) { return false }
            (secondLast, last) = (last, byte)
        }
        return true
    }

    /// Whether two hexadecimal digits stand for a slash, a backslash, or a zero.
    private static func hides(_ high: UInt8, _ low: UInt8) -> Bool {
        switch (high, low) {
        case (UInt8(ascii: "2"), UInt8(ascii: "f")), (UInt8(ascii: "2"), UInt8(ascii: "F")): true
        case (UInt8(ascii: "5"), UInt8(ascii: "c")), (UInt8(ascii: "5"), UInt8(ascii: "C")): true
        case (UInt8(ascii: "0"), UInt8(ascii: "0")): true
        default: false
        }
    }
}
