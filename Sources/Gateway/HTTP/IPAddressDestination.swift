/// Who chose an address to connect to, and so what it may be.
///
/// The rule is applied to each resolved address, and the address checked is the one connected to: a name checked and
/// then resolved again could answer differently. A redirect is always `.foreign`, whoever chose the first URL.
package enum DestinationClass: Hashable, Sendable {
    /// Written in the settings: any address but link-local and metadata ones.
    case `operator`
    /// From a request, a playlist, a redirect, a catalogue: public unicast only, plus the listed networks
    /// (ALLOW_PRIVATE_NETWORKS). A list never opens link-local or metadata addresses, so `.foreign` is never wider
    /// than `.operator`.
    case foreign(allowing: [IPPrefix])

    /// Returns when a connection to `address` is allowed, else throws why it is not.
    package func check(_ address: IPAddress) throws(DestinationRefusal) {
        let kind = address.kind
        if kind == .metadata { throw DestinationRefusal(address: address, reason: .metadata) }
        if kind == .linkLocal { throw DestinationRefusal(address: address, reason: .linkLocal) }
        guard case .foreign(let networks) = self, let reason = DestinationRefusal.Reason(kind) else { return }
        // Both spellings: 10.0.0.0/8 opens 64:ff9b::10.0.0.1, and 64:ff9b:1::/48 opens a local NAT64 as such.
        let destination = address.destination
        guard networks.contains(where: { $0.contains(destination) || $0.contains(address) }) else {
            throw DestinationRefusal(address: address, reason: reason)
        }
    }

    package func allows(_ address: IPAddress) -> Bool {
        do throws(DestinationRefusal) {
            try check(address)
            return true
        } catch {
            return false
        }
    }
}

/// Why the gateway does not connect to an address.
package struct DestinationRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: String, Hashable, Sendable, CaseIterable {
        case unspecified
        case loopback
        case `private`
        case linkLocal
        case metadata
        case multicast
        case reserved
    }

    /// As it was asked for, before any decoding.
    package let address: IPAddress
    package let reason: Reason

    package init(address: IPAddress, reason: Reason) {
        self.address = address
        self.reason = reason
    }

    /// For a log line. What a caller far away is told is the edge's choice: the address maps somebody's network.
    package var description: String {
        switch reason {
        case .linkLocal: "\(address) is link-local, which is never connected to"
        case .metadata: "\(address) is a cloud's metadata service, which is never connected to"
        case .unspecified, .loopback, .private, .multicast, .reserved:
            "\(address) is not a public address (\(reason.rawValue)); ALLOW_PRIVATE_NETWORKS does not list it"
        }
    }
}

extension DestinationRefusal.Reason {
    /// `nil` for a public address.
    init?(_ kind: IPAddressKind) {
        switch kind {
        case .global: return nil
        case .unspecified: self = .unspecified
        case .loopback: self = .loopback
        case .private: self = .private
        case .linkLocal: self = .linkLocal
        case .metadata: self = .metadata
        case .multicast: self = .multicast
        case .reserved: self = .reserved
        }
    }
}
