/// The name of a field. Known names are one byte and compare as one; others hold their text.
///
/// Equality ignores case (RFC 9110 §5.1). A value of this type is always a token, so it can be sent as it is.
package struct HeaderName: Sendable, CustomStringConvertible {
    /// The number of a ``KnownName``, or 0.
    let id: UInt8
    /// The name as it was given; empty for a known name.
    private let custom: String

    @inline(__always)
    init(_ known: KnownName) {
        id = known.rawValue
        custom = ""
    }

    /// The name of a field out of a parsed head.
    init(id: UInt8, name: Input) {
        self.id = id
        custom = id == 0 ? unsafe String(decoding: name.bytes, as: UTF8.self) : ""
    }

    /// - Returns: `nil` when `text` is not a token (RFC 9110 §5.6.2).
    package init?(_ text: String) {
        var text = text
        let id: UInt8? = text.withUTF8 { utf8 in
            let name = unsafe Input(UnsafeRawBufferPointer(utf8))
            return name.isToken ? NameIndex.shared.find(name) : nil
        }
        guard let id else { return nil }
        self.id = id
        custom = id == 0 ? text : ""
    }

    /// A name the programmer vouches for.
    package init(literal: StaticString) {
        let name = Input(literal)
        precondition(name.isToken, "a header name must be a token")
        self.init(id: NameIndex.shared.find(name), name: name)
    }

    var known: KnownName? { KnownName(rawValue: id) }

    /// The name as it is sent: the registered spelling of a known name, the given one otherwise.
    package var wireName: String {
        guard let known else { return custom }
        return known.wireName.description
    }

    /// ``wireName`` without making a `String` of a known one.
    @inline(__always)
    func withWireName<R>(_ body: (Input) -> R) -> R {
        if let known { return body(Input(known.wireName)) }
        var custom = custom
        return custom.withUTF8 { utf8 in unsafe body(Input(UnsafeRawBufferPointer(utf8))) }
    }

    package var description: String { wireName }

    /// Whether `name`, any token, spells this name.
    func matches(_ name: Input) -> Bool {
        if let known { return name.equalsIgnoringCase(known.wireName) }
        var custom = custom
        return custom.withUTF8 { utf8 in
            unsafe name.equalsIgnoringCase(Input(UnsafeRawBufferPointer(utf8)))
        }
    }
}

extension HeaderName: Hashable {
    package static func == (left: HeaderName, right: HeaderName) -> Bool {
        guard left.id == right.id else { return false }
        guard left.id == 0 else { return true }
        var other = right.custom
        return other.withUTF8 { utf8 in unsafe left.matches(Input(UnsafeRawBufferPointer(utf8))) }
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(id)
        for octet in custom.utf8 { hasher.combine(Octet.lowercased(octet)) }
    }
}

extension HeaderName {
    /// Fields that describe one connection and end there (RFC 9110 §7.6.1), whether or not `Connection` names them.
    package var isHopByHop: Bool {
        switch known {
        case .connection, .keepAlive, .te, .trailer, .transferEncoding, .upgrade, .proxyConnection, .http2Settings,
            .proxyAuthenticate, .proxyAuthorization:
            true
        default: false
        }
    }

    /// What the writers of heads decide themselves.
    var steersFraming: Bool {
        switch known {
        case .contentLength, .transferEncoding, .connection, .keepAlive, .proxyConnection: true
        default: false
        }
    }
}

extension KnownName {
    /// Whether `Connection` may name this field. Naming any other known field asks a proxy to drop what the far end
    /// needs, such as its credentials or the client's address; responses may also name Transfer-Encoding. All of these
    /// are hop-by-hop by their nature, so being named changes nothing for them.
    var mayBeConnectionOption: Bool {
        switch self {
        case .keepAlive, .te, .trailer, .upgrade, .proxyConnection, .http2Settings: true
        default: false
        }
    }

    /// Names that carry framing, routing, identity or credentials: `X_Forwarded_For` must not pass for one of them
    /// at a far end that maps `-` and `_` to the same byte, as CGI does.
    var mustNotHaveLookalike: Bool {
        switch self {
        case .host, .contentLength, .transferEncoding, .connection, .upgrade, .expect, .te, .trailer, .authorization,
            .proxyAuthorization, .cookie, .xOriginalURL, .xRewriteURL, .xHTTPMethodOverride:
            true
        default: tellsIdentity
        }
    }

    /// The few of those that frame a message or are about its connection, whichever way it goes.
    var mustNotHaveLookalikeInResponse: Bool {
        switch self {
        case .contentLength, .transferEncoding, .connection, .upgrade, .te, .trailer: true
        default: false
        }
    }
}
