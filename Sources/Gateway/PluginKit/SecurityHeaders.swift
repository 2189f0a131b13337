/// Adds the response fields that tell browsers to be strict. What a handler set itself stays as it is.
///
/// Refusals carry them too. They cost one look at each field's bit and one copy.
package struct SecurityHeaders: Middleware {
    /// Whose pages may show these responses in a frame: `frame-ancestors` (CSP level 2), which every browser obeys
    /// before X-Frame-Options.
    package enum Framing: Sendable, Equatable {
        /// No page.
        case nobody
        /// Pages of the same scheme, host and port.
        case sameOrigin
        /// Pages of the same origin, and of those named, such as `https://player.example`.
        case origins([String])
        /// Every page.
        case anybody
    }

    /// How long browsers insist on TLS after a visit by TLS.
    package struct TransportSecurity: Sendable, Equatable {
        /// Sent in whole seconds.
        package let maximumAge: Duration
        /// Whether every host below this one is meant too.
        package let includesSubdomains: Bool

        /// See ``halfYear`` before choosing more: browsers do not forget early.
        package init(maximumAge: Duration, includesSubdomains: Bool = false) {
            self.maximumAge = maximumAge
            self.includesSubdomains = includesSubdomains
        }

        /// Half a year, this host only: its other names may not have certificates.
        package static let halfYear = TransportSecurity(maximumAge: .seconds(15_552_000))
    }

    private let always: [(name: HeaderName, value: HeaderFields)]
    private let whenSecure: HeaderFields

    /// - Parameters:
    ///   - referrer: By default other sites learn the origin of a page and never its path or query, which may hold a
    ///     token.
    ///   - policy: More of a Content-Security-Policy, such as `default-src 'self'`; `frame-ancestors` is added to it.
    ///   - transport: Sent only to clients that came by TLS, here or at a trusted proxy; `nil` sends none.
    package init(
        framing: Framing = .sameOrigin, referrer: StaticString = "strict-origin-when-cross-origin",
        policy: String? = nil, transport: TransportSecurity? = .halfYear
    ) {
        var always: [(name: HeaderName, value: HeaderFields)] = []
        func add(_ name: HeaderName, _ value: String) {
            var fields = HeaderFields()
            // Only the program's own text comes here, and origins that a setting named.
            guard (try? fields.append(name, checking: value)) != nil else { return }
            always.append((name, fields))
        }
        add(.xContentTypeOptions, "nosniff")
        add(.referrerPolicy, referrer.description)
        let directives = [policy, Self.ancestors(framing)].compactMap { $0 }
        if !directives.isEmpty { add(.contentSecurityPolicy, directives.joined(separator: "; ")) }
        self.always = always
        whenSecure = Self.transportFields(transport)
    }

    private static func ancestors(_ framing: Framing) -> String? {
        switch framing {
        case .nobody: "frame-ancestors 'none'"
        case .sameOrigin: "frame-ancestors 'self'"
        case .origins(let origins): "frame-ancestors \((["'self'"] + origins).joined(separator: " "))"
        case .anybody: nil
        }
    }

    private static func transportFields(_ transport: TransportSecurity?) -> HeaderFields {
        var fields = HeaderFields()
        guard let transport else { return fields }
        let seconds = transport.maximumAge.components.seconds
        try? fields.append(
            .strictTransportSecurity,
            checking: "max-age=\(seconds)\(transport.includesSubdomains ? "; includeSubDomains" : "")")
        return fields
    }

    package func handle(_ request: Request, next: Next) async throws -> Response {
        do {
            var response = try await next(request)
            add(to: &response.fields, isSecure: request.isSecureForClient)
            return response
        } catch var fault as GatewayFault {
            add(to: &fault.fields, isSecure: request.isSecureForClient)
            throw fault
        }
    }

    private func add(to fields: inout HeaderFields, isSecure: Bool) {
        for entry in always where !fields.contains(entry.name) { fields.append(contentsOf: entry.value) }
        if isSecure, !fields.contains(.strictTransportSecurity) { fields.append(contentsOf: whenSecure) }
    }
}
