/// Where the client's address stands when a trusted proxy is in between: exactly one place, so that a proxy which does
/// not know another one cannot be talked past by a client that writes it.
package enum ClientAddressSource: String, CaseIterable, Sendable {
    case xForwardedFor = "x-forwarded-for"
    /// RFC 7239.
    case forwarded
    case cfConnectingIP = "cf-connecting-ip"
    case proxyProtocol = "proxy-protocol"
    /// The other end of the connection is the client, always.
    case none

    /// The one field that is read.
    package var field: HeaderName? {
        switch self {
        case .xForwardedFor: .xForwardedFor
        case .forwarded: .forwarded
        case .cfConnectingIP: .cfConnectingIP
        case .proxyProtocol, .none: nil
        }
    }
}

/// Why a trusted proxy's field was not believed after all.
package enum ClientAddressError: Error, Hashable, Sendable {
    /// Something where an address should be.
    case malformed
    /// More proxies than anybody has.
    case tooManyHops
    /// A second line of a field that has one.
    case repeated

    package var message: String {
        switch self {
        case .malformed: "it holds something that is no address"
        case .tooManyHops: "it names too many proxies"
        case .repeated: "it occurs more than once"
        }
    }
}

/// What a chain of trusted proxies says of a client.
package struct ClientClaim: Equatable, Sendable {
    /// `nil` when they name none.
    package var address: IPAddress?
    /// Whether the client came by TLS; `nil` when they do not say.
    package var isSecure: Bool?
    /// The host the client asked for, as a range of the head; `nil` when they do not say.
    package var host: ByteRange?

    package init(address: IPAddress? = nil, isSecure: Bool? = nil, host: ByteRange? = nil) {
        self.address = address
        self.isSecure = isSecure
        self.host = host
    }

    static func isSecure(scheme: Input) -> Bool? {
        if scheme.equalsIgnoringCase("https") || scheme.equalsIgnoringCase("wss") { return true }
        if scheme.equalsIgnoringCase("http") || scheme.equalsIgnoringCase("ws") { return false }
        return nil
    }

    static func host(_ range: ByteRange, in bytes: Input) -> ByteRange? {
        do throws(AuthorityError) {
            try Authority.check(bytes[range])
            return range
        } catch {
            return nil
        }
    }
}

/// CLIENT_IP_HEADER and TRUSTED_PROXIES: who is believed, and what is read.
package struct ClientAddressRule: Sendable {
    package let source: ClientAddressSource
    private let trusted: [IPPrefix]
    /// Most addresses looked at in one request.
    private let maxHops: Int

    package init(_ source: ClientAddressSource, trusting trusted: [IPPrefix], maxHops: Int = 32) {
        self.source = source
        self.trusted = trusted
        self.maxHops = maxHops
    }

    package func trusts(_ address: IPAddress) -> Bool {
        for network in trusted where network.contains(address) { return true }
        return false
    }

    /// Reads what a request from a trusted proxy says of its client. Ask ``trusts(_:)`` for the sender first.
    ///
    /// The address is the rightmost that is not a trusted proxy's; if all are, the leftmost. Scheme and host are those
    /// of the same element of `Forwarded`, or X-Forwarded-Proto and -Host beside every other field, if there is one of
    /// each; a doubtful one counts as not said. With `none` and `proxy-protocol` no field is read.
    package func read(
        _ fields: FieldTable, in bytes: UnsafeRawBufferPointer
    ) throws(ClientAddressError) -> ClientClaim {
        let input = unsafe Input(bytes)
        switch source {
        case .none, .proxyProtocol: return ClientClaim()
        case .forwarded: return try client(in: fields, input).map(Self.claim) ?? ClientClaim()
        case .cfConnectingIP: return Self.beside(try soleAddress(in: fields, input), fields, input)
        case .xForwardedFor: return Self.beside(try client(in: fields, input)?.address, fields, input)
        }
    }

    private static func claim(_ hop: ForwardedHop) -> ClientClaim {
        ClientClaim(address: hop.address, isSecure: hop.isSecure, host: hop.host)
    }

    /// Walks the hops from the nearest to the first that is no proxy of ours.
    private func client(in fields: FieldTable, _ bytes: Input) throws(ClientAddressError) -> ForwardedHop? {
        guard let name = source.field else { return nil }
        var last: ForwardedHop?
        var hops = 0
        for index in (0..<fields.count).reversed() where unsafe fields[index].isNamed(name, in: bytes.bytes) {
            var elements = BackwardElements(fields[index].value, in: bytes, knowsQuotes: source == .forwarded)
            while let element = elements.next() {
                hops += 1
                guard hops <= maxHops else { throw .tooManyHops }
                let hop = try read(element, in: bytes)
                // A client without a name is one we do not know, and so is everybody whom it speaks for.
                guard let address = hop.address, trusts(address) else { return hop }
                last = hop
            }
        }
        return last
    }

    private func read(_ element: Range<Int>, in bytes: Input) throws(ClientAddressError) -> ForwardedHop {
        if source == .forwarded { return try ForwardedElement.read(element, in: bytes) }
        guard let hop = ForwardedHop(address: bytes[element]) else { throw .malformed }
        return hop
    }

    private func soleAddress(in fields: FieldTable, _ bytes: Input) throws(ClientAddressError) -> IPAddress? {
        guard let name = source.field, let field = unsafe fields.find(name, in: bytes.bytes) else { return nil }
        guard unsafe fields.count(of: name, in: bytes.bytes) == 1 else { throw .repeated }
        guard let hop = ForwardedHop(address: bytes[field.value]) else { throw .malformed }
        return hop.address
    }

    private static func beside(_ address: IPAddress?, _ fields: FieldTable, _ bytes: Input) -> ClientClaim {
        var claim = ClientClaim(address: address)
        if let scheme = sole(.xForwardedProto, fields, bytes) {
            claim.isSecure = ClientClaim.isSecure(scheme: bytes[scheme])
        }
        if let host = sole(.xForwardedHost, fields, bytes) { claim.host = ClientClaim.host(host, in: bytes) }
        return claim
    }

    private static func sole(_ name: HeaderName, _ fields: FieldTable, _ bytes: Input) -> ByteRange? {
        guard unsafe fields.count(of: name, in: bytes.bytes) == 1 else { return nil }
        return unsafe fields.find(name, in: bytes.bytes)?.value
    }
}
