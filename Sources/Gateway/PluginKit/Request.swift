package import GatewayAuth
package import GatewayHTTP
package import GatewayRuntime

/// One request, on its connection's loop.
///
/// Its head is read where it arrived, in the loop's receive buffer, until the first suspension; then the server moves
/// it into storage of the request's own (``detach()``). So everything here may be used at any time while the handler
/// runs, and a request kept after its response was sent stays readable too.
@safe package final class Request {
    /// The loop that the connection lives on; everything here is used on it.
    package let loop: EventLoop
    /// Reads the body as it arrives.
    package private(set) var body: RequestBody
    /// The other end of the TCP connection: perhaps a proxy. See ``client``.
    package let peer: SocketAddress
    /// Whether this connection is encrypted here. See ``isSecureForClient``.
    package let isSecure: Bool

    /// The parsed head: ranges into ``headBytes``, for code that must not make a `String`.
    package private(set) var head: RequestHead
    private var bytes: UnsafeRawBufferPointer
    private var owned: UnsafeMutableRawBufferPointer?
    private var companions: [any RequestCompanion] = []
    private var borrowedFrom: UInt64

    /// Names the request in logs, errors and towards upstreams.
    package var id: RequestID
    /// Who sent it. Set by the server, which also removes all fields of the head that tell of it.
    package var client: RequestClient
    /// Who sent it, once its token was verified.
    package var principal: Principal?
    /// Whether METRICS_TOKEN or the admin permission was shown, on routes of ``Access/operators`` and
    /// ``Access/anyoneRecognised``; elsewhere `false`.
    package var isOperator = false
    /// What the route's pattern captured, by name.
    package var captures: [RouteCapture] = []
    /// Set by the server: the plugin whose route answers.
    package var plugin: PluginName = "core"
    /// Set when the path needed normalising; the router and plugins read this one.
    package var normalisedPath: [UInt8]?

    /// Used by the server. `bytes` must hold the head and stay valid until ``detach()``.
    package init(
        loop: EventLoop, peer: SocketAddress, isSecure: Bool, body: RequestBody, id: RequestID
    ) {
        self.loop = loop
        self.peer = peer
        self.isSecure = isSecure
        self.body = body
        self.id = id
        client = RequestClient(peer: peer, isSecure: isSecure)
        head = RequestHead()
        unsafe bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        borrowedFrom = 0
    }

    deinit { unsafe owned?.deallocate() }

    // MARK: Storage

    /// Points the request at a head just parsed in the loop's receive buffer. Called by the server, once per request.
    ///
    /// - Parameter head: Exchanged for the one before: its memory serves the next parse, and nobody shares it.
    package func borrow(_ head: inout RequestHead, _ bytes: UnsafeRawBufferPointer) {
        unsafe owned?.deallocate()
        unsafe owned = nil
        swap(&self.head, &head)
        unsafe self.bytes = bytes
        borrowedFrom = loop.receiveGeneration
    }

    /// Makes the request ready for the next one on its connection. Only if nobody else holds it.
    package func recycle(id: RequestID) {
        self.id = id
        principal = nil
        isOperator = false
        captures.removeAll(keepingCapacity: true)
        plugin = "core"
        normalisedPath = nil
        if !companions.isEmpty { endCompanions() }
        if isKnownUniquelyReferenced(&body) { body.recycle() } else { body = body.succeeded() }
    }

    /// Tells `companion` when the request is over.
    package func accompany(_ companion: any RequestCompanion) { companions.append(companion) }

    /// Called by the server when the response was sent, or nobody waits for it any more.
    package func endCompanions() {
        let over = companions
        companions = []
        for companion in over { companion.requestEnded() }
    }

    /// Moves the head out of the loop's buffer, before the loop receives again. Does nothing the second time.
    package func detach() {
        guard unsafe owned == nil else { return }
        let copy = unsafe UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 1)
        unsafe copy.copyMemory(from: bytes)
        unsafe owned = copy
        unsafe bytes = UnsafeRawBufferPointer(start: copy.baseAddress, count: bytes.count)
    }

    /// The bytes of the head; ranges of ``head`` index into them. Valid until the caller suspends.
    @inline(__always)
    package var headBytes: UnsafeRawBufferPointer {
        // Reading a recycled buffer would show one user another user's token.
        assert(unsafe owned != nil || borrowedFrom == loop.receiveGeneration, "a request outlived the loop's buffer")
        return unsafe bytes
    }

    // MARK: What a plugin reads

    /// `.other` for a method that the gateway has no name for.
    package var method: Method { head.method }

    /// The path as it was sent, percent-encoded, without the query; normalised if it needed that.
    package var path: String {
        if let normalisedPath { return String(decoding: normalisedPath, as: UTF8.self) }
        return unsafe String(decoding: head.path(in: headBytes), as: UTF8.self)
    }

    /// What follows `?`, still encoded; `nil` without one.
    package var query: String? { head.queryRange.map(text) }

    /// The first value of a query parameter, percent-decoded.
    package func query(_ name: String) -> String? { query.flatMap { QueryParameters.first(name, in: $0) } }

    /// The authority the client asked for: `example.com:8443`.
    package var authority: String { text(head.authorityRange) }

    /// The first value of a header field, or `nil`.
    package func header(_ name: HeaderName) -> String? {
        guard let field = unsafe head.find(name, in: headBytes) else { return nil }
        return text(field.value)
    }

    /// Every value of a header field, one per line, in order.
    package func values(of name: HeaderName) -> [String] {
        var values: [String] = []
        let bytes = unsafe headBytes
        unsafe head.fields.forEach(name, in: bytes) { field in
            values.append(unsafe String(decoding: field.value.of(bytes), as: UTF8.self))
        }
        return values
    }

    /// What the route's pattern captured under `name`, as it was sent.
    package func capture(_ name: String) -> String? { captures.first { $0.name == name }?.value }

    private func text(_ range: ByteRange) -> String {
        unsafe String(decoding: range.of(headBytes), as: UTF8.self)
    }
}

/// One piece of a path that a route's pattern named.
package struct RouteCapture: Sendable {
    /// As in the pattern: `room` in `/chat/{room}`.
    package let name: String
    /// The piece of the path, percent-encoded as it came.
    package let value: String

    /// Made by the router.
    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}
