/// Which rule a fact belongs to. Equal in every process that names it equally, so that replicas can share what they count.
package struct BackplaneSpace: Hashable, Sendable {
    /// What stands for the name: its 64-bit FNV-1a hash. Names are the program's own, so nobody can make two collide.
    package let id: UInt64

    /// - Parameter name: Such as `rate.tunnel.requests.user`.
    package init(_ name: String) {
        id = name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}

/// Of whom something is remembered: 128 bits that whoever asks has made of an address or a digest, within one space.
///
/// Holds no name and no token, so neither memory nor a shared store does.
package struct BackplaneKey: Hashable, Sendable {
    package let space: UInt64
    package let high: UInt64
    package let low: UInt64

    package init(_ space: BackplaneSpace, _ high: UInt64, _ low: UInt64) {
        self.space = space.id
        self.high = high
        self.low = low
    }
}

/// Names one lease among those of all replicas: no other process gives out the same.
package struct LeaseID: Hashable, Sendable {
    package let value: UInt64

    package init(_ value: UInt64) { self.value = value }
}
