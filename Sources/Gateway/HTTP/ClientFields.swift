// Fields in which somebody on the way says who the client is. Anybody can write them, so nobody behind this gateway
// gets to see what it did not write itself.
extension KnownName {
    /// Whether the field claims to know the client's address, its certificate, its scheme, the host it asked for, or the
    /// request's id.
    var tellsIdentity: Bool {
        switch self {
        case .xRequestID, .xForwardedProto, .xForwardedScheme, .xForwardedSSL, .xScheme, .cfVisitor, .frontEndHTTPS,
            .xForwardedHost, .xForwardedPort, .xForwardedPrefix, .xForwardedServer, .xOriginalHost, .xHost,
            .clientCert, .clientCertChain:
            true
        default: tellsAddress
        }
    }

    /// Whether it claims to know the client's address.
    var tellsAddress: Bool {
        switch self {
        case .forwarded, .forwardedFor, .xForwarded, .xForwardedFor, .xOriginalForwardedFor, .xRealIP, .xClientIP,
            .clientIP, .trueClientIP, .xClusterClientIP, .xEnvoyExternalAddress, .fastlyClientIP, .cfConnectingIP,
            .cfConnectingIPv6, .cfPseudoIPv4:
            true
        default: false
        }
    }

    /// The fields of W3C Trace Context, which are kept as long as they are valid.
    var tellsTrace: Bool { self == .traceparent || self == .tracestate }
}

/// A set of known names, one bit each.
struct KnownNameSet: Sendable {
    private(set) var low: UInt64 = 0
    private(set) var high: UInt64 = 0

    init(where isMember: (KnownName) -> Bool) {
        for name in KnownName.allCases where isMember(name) { insert(name.rawValue) }
    }

    init() {}

    /// Zero stands for all names that are not known.
    @inline(__always)
    mutating func insert(_ id: UInt8) {
        if id < 64 { low |= 1 << UInt64(id) } else { high |= 1 << UInt64(id & 63) }
    }

    @inline(__always)
    func contains(_ id: UInt8) -> Bool { (id < 64 ? low >> UInt64(id) : high >> UInt64(id & 63)) & 1 != 0 }

    @inline(__always)
    func meets(low: UInt64, high: UInt64) -> Bool { self.low & low | self.high & high != 0 }

    /// What a parsed head is asked before anything else, so that one without such fields pays for two additions. The
    /// unknown names are in it because of `X-Forwarded-`, whatever follows that, and its like.
    static let worthALook: KnownNameSet = {
        var names = KnownNameSet { $0.tellsIdentity || $0.tellsTrace }
        names.insert(0)
        return names
    }()

    static let identity = KnownNameSet { $0.tellsIdentity }
    static let address = KnownNameSet { $0.tellsAddress }
    static let trace = KnownNameSet { $0.tellsTrace }
}

extension RequestHead {
    /// Removes every field that says who the client is or what the request's id is, also `X-Forwarded-` followed by
    /// anything and what proxies call a client's certificate, and a trace context that is not valid.
    package mutating func removeIdentity(in bytes: UnsafeRawBufferPointer) { unsafe fields.removeIdentity(in: bytes) }
}

extension FieldTable {
    /// `false` if ``RequestHead/removeIdentity(in:)`` has nothing to do, which is known without looking at any field.
    @inline(__always)
    package var mayTellIdentity: Bool { KnownNameSet.worthALook.meets(low: seenLow, high: seenHigh) }

    /// Whether a field claims to know the client's address.
    package var tellsAddress: Bool { KnownNameSet.address.meets(low: seenLow, high: seenHigh) }

    mutating func removeIdentity(in bytes: UnsafeRawBufferPointer) {
        let keepsTrace = unsafe TraceContext.isValid(self, in: bytes)
        removeAll { field in
            guard field.id != 0 else { return Self.isIdentityVariant(unsafe Input(bytes)[field.name]) }
            return KnownNameSet.identity.contains(field.id) || !keepsTrace && KnownNameSet.trace.contains(field.id)
        }
    }

    /// Whether every field that claims to know the client's address says that it is on this machine. `Forwarded` is not
    /// looked into: it counts as a claim that it is not.
    ///
    /// - Parameter believed: A field that was read already.
    package func addressesAreLoopback(in bytes: UnsafeRawBufferPointer, except believed: HeaderName? = nil) -> Bool {
        guard tellsAddress else { return true }
        for field in self {
            guard let known = KnownName(rawValue: field.id), known.tellsAddress, HeaderName(known) != believed else {
                continue
            }
            guard known != .forwarded, known != .xForwarded else { return false }
            guard Self.namesLoopback(unsafe Input(bytes)[field.value]) else { return false }
        }
        return true
    }

    /// Whether all elements are loopback addresses; an empty one is none.
    private static func namesLoopback(_ value: Input) -> Bool {
        var start = 0
        for index in 0...value.count where index == value.count || value[index] == 0x2C {
            guard ForwardedHop.address(value[start..<index].trimmed())?.kind == .loopback else { return false }
            start = index + 1
        }
        return true
    }

    /// `X-Forwarded-User`, what nginx and its like call a client's certificate, and spellings with underscores, which many
    /// servers take for the same.
    private static func isIdentityVariant(_ name: Input) -> Bool {
        switch name.isEmpty ? 0 : Octet.lowercased(name[0]) {
        case UInt8(ascii: "x"):
            starts(name, with: "x-forwarded-") || starts(name, with: "x-client-cert")
                || starts(name, with: "x-ssl-client-")
        case UInt8(ascii: "c"): starts(name, with: "client-cert")
        case UInt8(ascii: "s"): starts(name, with: "ssl-client-")
        default: false
        }
    }

    private static func starts(_ name: Input, with text: StaticString) -> Bool {
        let prefix = Input(text)
        guard name.count >= prefix.count else { return false }
        for index in 0..<prefix.count {
            let octet = name[index] == 0x5F ? 0x2D : Octet.lowercased(name[index])
            guard octet == prefix[index] else { return false }
        }
        return true
    }
}
