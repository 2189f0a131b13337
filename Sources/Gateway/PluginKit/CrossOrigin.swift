/// Which pages of other sites may use a plugin's routes from a browser (the CORS protocol of the Fetch standard).
package struct CrossOriginPolicy: Sendable {
    /// Whose pages.
    package enum Origins: Sendable {
        /// Every page, and never with credentials: `*` with credentials would lend every page its visitor's. That it
        /// cannot be said is the point of this type.
        case anyone
        /// Pages of these origins.
        ///
        /// - Parameter credentials: Whether they may send cookies and other credentials that the browser keeps.
        case only([OriginRule], credentials: Bool = false)
    }

    /// Whose pages may.
    package var origins: Origins
    /// Methods that a page may use. Browsers ask for no permission for GET, HEAD and POST.
    package var methods: [Method] = [.get, .head, .post]
    /// Request fields that a page may set.
    package var requestFields: [HeaderName] = [.authorization, .contentType]
    /// Response fields that a page may read, beyond the few that it always may.
    package var responseFields: [HeaderName] = [.contentLength, .contentRange, .acceptRanges, .eTag, .xRequestID]
    /// How long a browser may remember the answer to a preflight. Browsers cap it, Chromium at two hours.
    package var preflightAge = Duration.seconds(7200)
    /// Whether pages that isolate themselves (COEP) may still embed what is served.
    package var isEmbeddable = false

    /// The policy for these pages, everything else as it stands by default.
    package init(_ origins: Origins) { self.origins = origins }
}

extension Registrar {
    /// Lets pages of other sites use this plugin's routes declared so far.
    ///
    /// Call it after the routes: each gets an answer to OPTIONS, where it has none. Preflights are answered before a
    /// token is asked for, as browsers send none with them; refusals can be read by the page too.
    package mutating func allowCrossOrigin(_ policy: CrossOriginPolicy) {
        use(CrossOriginAccess(policy), on: .ownRoutesBeforeAccess)
        var places: [(entry: EntryPoint, pattern: RoutePattern)] = []
        var answered = Set<String>()
        for route in registrations.routes where route.plugin == plugin && !route.isWebSocket {
            let place = "\(route.entryPoint.name) \(route.pattern.shape)"
            if route.method == nil || route.method == .options {
                answered.insert(place)
            } else {
                places.append((route.entryPoint, route.pattern))
            }
        }
        for (entry, pattern) in places where answered.insert("\(entry.name) \(pattern.shape)").inserted {
            self.route(.options, pattern.description, at: entry) { _ in Response(status: .noContent) }
        }
    }
}

/// The policy at work, outside the check of access, so that it sees preflights and refusals alike.
struct CrossOriginAccess: Middleware {
    private let origins: CrossOriginPolicy.Origins
    private let actual: HeaderFields
    private let preflight: HeaderFields

    init(_ policy: CrossOriginPolicy) {
        origins = policy.origins
        var actual = HeaderFields()
        if !policy.responseFields.isEmpty {
            Self.list(policy.responseFields.map { $0.wireName }, as: .accessControlExposeHeaders, in: &actual)
        }
        // For pages that isolate themselves and still want to embed what is served.
        if policy.isEmbeddable { actual.append(.crossOriginResourcePolicy, "cross-origin") }
        self.actual = actual
        var preflight = HeaderFields()
        Self.list(policy.methods.map { $0.wireName.description }, as: .accessControlAllowMethods, in: &preflight)
        Self.list(policy.requestFields.map { $0.wireName }, as: .accessControlAllowHeaders, in: &preflight)
        preflight.append(.accessControlMaxAge, decimal: Int(clamping: policy.preflightAge.components.seconds))
        self.preflight = preflight
    }

    private static func list(_ values: [String], as name: HeaderName, in fields: inout HeaderFields) {
        // Names of fields and methods are tokens, so nothing is ever refused here.
        if !values.isEmpty { try? fields.append(name, checking: values.joined(separator: ", ")) }
    }

    func handle(_ request: Request, next: Next) async throws -> Response {
        if request.method == .options, request.header(.accessControlRequestMethod) != nil {
            var response = Response(status: .noContent)
            if allow(request, in: &response.fields) { response.fields.append(contentsOf: preflight) }
            return response
        }
        do {
            var response = try await next(request)
            grant(request, in: &response.fields)
            return response
        } catch var fault as GatewayFault {
            grant(request, in: &fault.fields)
            throw fault
        }
    }

    private func grant(_ request: Request, in fields: inout HeaderFields) {
        if allow(request, in: &fields) { fields.append(contentsOf: actual) }
    }

    /// Says whom the response is for; `false` when it is for no other site's page.
    private func allow(_ request: Request, in fields: inout HeaderFields) -> Bool {
        switch origins {
        case .anyone:
            fields.append(.accessControlAllowOrigin, "*")
            return true
        case .only(let rules, let credentials):
            // Also where there is no origin: a cache must not hand that response to a page that has one.
            fields.vary(on: .origin)
            let sent = request.values(of: .origin)
            guard let origin = sent.first,
                OriginPolicy(allowed: rules).allows(origins: sent, host: nil, isSecure: false)
            else { return false }
            guard (try? fields.append(.accessControlAllowOrigin, checking: origin)) != nil else { return false }
            if credentials { fields.append(.accessControlAllowCredentials, "true") }
            return true
        }
    }
}
