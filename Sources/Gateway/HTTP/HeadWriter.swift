package import GatewayBytes

extension OutputBuffer {
    /// Appends a response head: status line, Date, `fields`, and what `plan` says about connection and framing.
    ///
    /// Fields about framing and connection are left out of `fields`: the plan is their only author. An interim response
    /// (1xx) gets no Date. `fields` may bring a Date of its own, and an Upgrade that says what would be spoken here: the
    /// Connection option that must go with it is added (RFC 9110 §7.8).
    @inline(__always)
    package mutating func appendResponseHead(
        _ status: Status, _ fields: HeaderFields, plan: ResponsePlan, date: borrowing DateCache
    ) {
        reserve(fields.byteCount + 192)
        appendStatusLine(status)
        if !status.isInformational, !fields.contains(.date) { unsafe date.withLine { unsafe append($0) } }
        fields.write(to: &self)
        if fields.contains(.upgrade) {
            appendConnectionAndUpgrade(plan.connection, minorVersion: plan.minorVersion)
        } else {
            appendConnection(plan.connection, minorVersion: plan.minorVersion)
        }
        appendFramingAndEnd(plan.declaration)
    }

    /// `HTTP/1.1 100 Continue` and its empty line.
    package mutating func appendContinue() { append(literal: "HTTP/1.1 100 Continue\r\n\r\n") }

    @inline(__always)
    private mutating func appendStatusLine(_ status: Status) {
        if status == .ok {
            append(literal: "HTTP/1.1 200 OK\r\n")
        } else {
            append(literal: "HTTP/1.1 ")
            append(decimal: UInt64(status.code))
            append(literal: " ")
            append(literal: status.reason)
            append(literal: "\r\n")
        }
    }

    @inline(__always)
    private mutating func appendFramingAndEnd(_ declaration: ResponsePlan.Declaration) {
        switch declaration {
        case .nothing: append(literal: "\r\n")
        case .length(let count): appendContentLengthAndEnd(count)
        case .chunked: append(literal: "Transfer-Encoding: chunked\r\n\r\n")
        }
    }

    @inline(__always)
    fileprivate mutating func appendContentLengthAndEnd(_ count: UInt64) {
        append(literal: "Content-Length: ")
        append(decimal: count)
        append(literal: "\r\n\r\n")
    }

    @inline(__always)
    fileprivate mutating func appendConnection(_ intent: ConnectionIntent, minorVersion: UInt8) {
        switch intent {
        case .keepAlive where minorVersion == 1: break
        case .keepAlive: append(literal: "Connection: keep-alive\r\n")
        case .close: append(literal: "Connection: close\r\n")
        case .upgrade: append(literal: "Connection: Upgrade\r\n")
        }
    }

    private mutating func appendConnectionAndUpgrade(_ intent: ConnectionIntent, minorVersion: UInt8) {
        switch intent {
        case .keepAlive where minorVersion == 0: append(literal: "Connection: keep-alive, Upgrade\r\n")
        case .keepAlive, .upgrade: append(literal: "Connection: Upgrade\r\n")
        case .close: append(literal: "Connection: close, Upgrade\r\n")
        }
    }
}

/// Why a request head was not written. Nothing of it is in the buffer then.
package enum RequestWriteError: Error, Equatable, Sendable {
    case invalidMethod
    /// A byte that has no place in a target: a blank or a line end there would be a second request.
    case invalidTarget(UInt8)
    case emptyTarget
    case invalidHost(AuthorityError)

    package var message: String {
        switch self {
        case .invalidMethod: "the method is not one in capitals"
        case .invalidTarget(let octet): "the request target holds the byte \(hexadecimal(octet))"
        case .emptyTarget: "the request target is empty"
        case .invalidHost(let error): error.message
        }
    }
}

extension OutputBuffer {
    /// Appends an HTTP/1.1 request head for an upstream: Host first, then `fields`, connection and framing.
    ///
    /// Host, framing and connection fields in `fields` are left out. `Expect` and `Upgrade` go in `fields`.
    ///
    /// - Parameters:
    ///   - method: In capitals, such as the bytes of ``Method/wireName``.
    ///   - target: Origin-form with query, as it is to be sent.
    ///   - host: With the port if it is not that of the scheme.
    package mutating func appendRequestHead(
        method: UnsafeRawBufferPointer, target: UnsafeRawBufferPointer, host: UnsafeRawBufferPointer,
        fields: HeaderFields, body: OutgoingBody, connection: ConnectionIntent = .keepAlive
    ) throws(RequestWriteError) {
        let method = unsafe Input(method)
        let isPlainMethod = method.count > 0 && method.allSatisfy(Octet.method)
        guard isPlainMethod else { throw .invalidMethod }
        try unsafe Self.check(target: Input(target))
        do throws(AuthorityError) { try Authority.check(unsafe Input(host)) } catch { throw .invalidHost(error) }

        reserve(method.count + target.count + host.count + fields.byteCount + 128)
        unsafe append(method.bytes)
        append(literal: " ")
        unsafe append(target)
        append(literal: " HTTP/1.1\r\nHost: ")
        unsafe append(host)
        append(literal: "\r\n")
        fields.write(to: &self, omitting: fields.contains(.host) ? .host : nil)
        appendConnection(connection, minorVersion: 1)
        switch body {
        case .length(let count): appendFramingAndEnd(.length(count))
        case .unknownLength: appendFramingAndEnd(.chunked)
        // A POST without content says so; a GET without content is the rule (RFC 9110 §8.6).
        case .empty: appendFramingAndEnd(Self.usuallyHasContent(method) ? .length(0) : .nothing)
        }
    }

    /// The same for a known method and spans.
    package mutating func appendRequestHead(
        method: Method, target: Span<UInt8>, host: Span<UInt8>, fields: HeaderFields, body: OutgoingBody,
        connection: ConnectionIntent = .keepAlive
    ) throws(RequestWriteError) {
        try unsafe target.withUnsafeBytes { (target) throws(RequestWriteError) in
            try unsafe host.withUnsafeBytes { (host) throws(RequestWriteError) in
                try unsafe appendRequestHead(
                    method: Input(method.wireName).bytes, target: target, host: host, fields: fields, body: body,
                    connection: connection)
            }
        }
    }

    private static func check(target: Input) throws(RequestWriteError) {
        guard !target.isEmpty else { throw .emptyTarget }
        for index in 0..<target.count where !Octet.isA(target[index], Octet.query) {
            throw .invalidTarget(target[index])
        }
    }

    private static func usuallyHasContent(_ method: Input) -> Bool {
        var packed: UInt64 = 0
        for index in 0..<method.count { packed = packed << 8 | UInt64(method[index]) }
        switch Method(packed: packed) {
        case .post, .put, .patch: return true
        default: return false
        }
    }
}

extension OutputBuffer {
    /// Appends a literal as the bytes it is. Without the label a bare literal is taken for a `String`, which is slower.
    @inline(__always)
    mutating func append(literal: StaticString) { append(literal) }
}
