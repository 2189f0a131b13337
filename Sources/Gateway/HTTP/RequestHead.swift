/// How the body of a request is delimited (RFC 9112 §6).
package enum BodyFraming: Equatable, Sendable {
    case none
    /// Content-Length; may be 0, and is at most `Int.max`.
    case length(UInt64)
    case chunked

    /// Whether at least one byte follows the head.
    @inline(__always)
    package var hasBody: Bool { self != .none && self != .length(0) }
}

/// The four ways to name what is asked for (RFC 9112 §3.2).
package enum TargetForm: UInt8, Sendable { case origin, absolute, authority, asterisk }

/// One parsed request head: an index of ranges over bytes somebody else holds.
///
/// Everything is relative to the first byte that was given to ``RequestParser``. Reused from request to request: its
/// only memory is that of ``fields``, and a copy that must outlive the next parse gets its own then.
package struct RequestHead: Sendable {
    package internal(set) var method = Method.other
    package internal(set) var form = TargetForm.origin
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    package internal(set) var minorVersion: UInt8 = 1
    /// Whether the path has no percent sign, no empty segment and no segment that starts with a dot: it may be
    /// compared byte by byte. Otherwise ask ``PathNormaliser``.
    package internal(set) var pathIsPlain = true
    package internal(set) var keepAlive = true
    /// The client waits for `100 Continue` before it sends its body.
    package internal(set) var expectsContinue = false
    /// A well-formed request to become a WebSocket, as far as Method, version, Connection and Upgrade tell.
    package internal(set) var upgradesToWebSocket = false
    package internal(set) var framing = BodyFraming.none
    /// Bytes of the head, with the empty line: the body starts there.
    package internal(set) var length = 0

    package internal(set) var methodRange = ByteRange.empty
    package internal(set) var targetRange = ByteRange.empty
    /// Empty when an absolute-form target has none, and for the asterisk and CONNECT. See ``path(in:)``.
    package internal(set) var pathRange = ByteRange.empty
    var queryOrEmpty = ByteRange.empty
    var hasQuery = false
    /// Host and port the request is for: that of the target if it names one, else Host. Checked; empty only for
    /// HTTP/1.0 without Host.
    package internal(set) var authorityRange = ByteRange.empty

    package internal(set) var fields = FieldTable()

    /// Taken while the fields come in.
    var notes = RequestNotes()

    package init() {}

    /// After the question mark; `nil` when there is none.
    @inline(__always)
    package var queryRange: ByteRange? { hasQuery ? queryOrEmpty : nil }

    /// The path as it was sent; `/` where an absolute-form target has none, `*` for the asterisk.
    @inline(__always)
    package func path(in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard pathRange.isEmpty else { return unsafe pathRange.of(bytes) }
        return unsafe Input(form == .asterisk ? "*" : "/").bytes
    }

    /// The first field called `name`. A known name that does not occur costs one bit test.
    @inline(__always)
    package func find(_ name: HeaderName, in bytes: UnsafeRawBufferPointer) -> FieldRange? {
        unsafe fields.find(name, in: bytes)
    }

    /// The value of the first field called `name`.
    @inline(__always)
    package func value(of name: HeaderName, in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard let field = unsafe fields.find(name, in: bytes) else { return nil }
        return unsafe field.value.of(bytes)
    }

    @inline(__always)
    mutating func prepare() {
        fields.removeAll()
        notes = RequestNotes()
        authorityRange = .empty
        pathRange = .empty
        hasQuery = false
        pathIsPlain = true
    }
}

/// What the steering fields of a request said so far.
struct RequestNotes: Sendable {
    private(set) var steering = SteeringFields()
    private(set) var host: ByteRange?
    private(set) var expectsContinue = false

    /// Takes in a field that steers: host, framing, connection, expectation.
    mutating func take(
        _ field: FieldRange, _ input: Input, minorVersion: UInt8, names: NameIndex
    ) throws(RequestError) {
        let value = input[field.value]
        switch KnownName(rawValue: field.id) {
        case .host:
            guard host == nil else { throw .repeatedHost }
            do throws(AuthorityError) { try Authority.check(value) } catch { throw .invalidHost(error) }
            host = field.value
        case .expect where minorVersion == 1:
            // HTTP/1.0 clients are not waiting for anything (RFC 9110 §10.1.1).
            guard value.equalsIgnoringCase("100-continue"), !expectsContinue else { throw .unsupportedExpectation }
            expectsContinue = true
        case let known:
            do throws(FramingError) { try steering.read(known, value, names: names) } catch { throw .framing(error) }
            if known == .connection, steering.connection.contains(.transferEncoding) {
                throw .framing(.forbiddenConnectionOption)
            }
        }
    }
}
