/// The field names this gateway knows by number. Everything else about them follows from this list.
///
/// The names that steer framing and routing come first: ``lastSteering`` lets a parser ask one question per field.
enum KnownName: UInt8, CaseIterable, Sendable {
    // Zero is "not a known name".
    case host = 1
    case contentLength
    case transferEncoding
    case connection
    case upgrade
    case expect
    case te
    case trailer
    case keepAlive
    case proxyConnection
    case http2Settings
    case proxyAuthenticate
    case proxyAuthorization
    case accept
    case acceptCharset
    case acceptEncoding
    case acceptLanguage
    case acceptRanges
    case accessControlAllowCredentials
    case accessControlAllowHeaders
    case accessControlAllowMethods
    case accessControlAllowOrigin
    case accessControlExposeHeaders
    case accessControlMaxAge
    case accessControlRequestHeaders
    case accessControlRequestMethod
    case age
    case allow
    case altSvc
    case authorization
    case cacheControl
    case cfConnectingIP
    case cfConnectingIPv6
    case cfPseudoIPv4
    case cfRay
    case cfVisitor
    case clientCert
    case clientCertChain
    case clientIP
    case contentDigest
    case contentDisposition
    case contentEncoding
    case contentLanguage
    case contentLocation
    case contentRange
    case contentSecurityPolicy
    case contentType
    case cookie
    case crossOriginEmbedderPolicy
    case crossOriginOpenerPolicy
    case crossOriginResourcePolicy
    case date
    case eTag
    case expires
    case fastlyClientIP
    case forwarded
    case forwardedFor
    case from
    case frontEndHTTPS
    case ifMatch
    case ifModifiedSince
    case ifNoneMatch
    case ifRange
    case ifUnmodifiedSince
    case lastEventID
    case lastModified
    case link
    case location
    case maxForwards
    case origin
    case permissionsPolicy
    case pragma
    case priority
    case range
    case referer
    case referrerPolicy
    case retryAfter
    case secFetchDest
    case secFetchMode
    case secFetchSite
    case secFetchUser
    case secWebSocketAccept
    case secWebSocketExtensions
    case secWebSocketKey
    case secWebSocketProtocol
    case secWebSocketVersion
    case server
    case serverTiming
    case setCookie
    case strictTransportSecurity
    case timingAllowOrigin
    case traceparent
    case tracestate
    case trueClientIP
    case upgradeInsecureRequests
    case userAgent
    case vary
    case via
    case warning
    case wwwAuthenticate
    case xClientIP
    case xClusterClientIP
    case xContentTypeOptions
    case xEnvoyExternalAddress
    case xForwarded
    case xForwardedFor
    case xForwardedHost
    case xForwardedPort
    case xForwardedPrefix
    case xForwardedProto
    case xForwardedScheme
    case xForwardedServer
    case xForwardedSSL
    case xFrameOptions
    case xHost
    case xHTTPMethodOverride
    case xOriginalForwardedFor
    case xOriginalHost
    case xOriginalURL
    case xRealIP
    case xRequestID
    case xRewriteURL
    case xScheme

    static let lastSteering: UInt8 = 6

    /// The longest name below, which bounds the rows of the lookup table.
    static let longest = 32

    /// The name as it is sent.
    var wireName: StaticString {
        switch self {
        case .host: "Host"
        case .contentLength: "Content-Length"
        case .transferEncoding: "Transfer-Encoding"
        case .connection: "Connection"
        case .upgrade: "Upgrade"
        case .expect: "Expect"
        case .te: "TE"
        case .trailer: "Trailer"
        case .keepAlive: "Keep-Alive"
        case .proxyConnection: "Proxy-Connection"
        case .http2Settings: "HTTP2-Settings"
        case .proxyAuthenticate: "Proxy-Authenticate"
        case .proxyAuthorization: "Proxy-Authorization"
        case .accept: "Accept"
        case .acceptCharset: "Accept-Charset"
        case .acceptEncoding: "Accept-Encoding"
        case .acceptLanguage: "Accept-Language"
        case .acceptRanges: "Accept-Ranges"
        case .accessControlAllowCredentials: "Access-Control-Allow-Credentials"
        case .accessControlAllowHeaders: "Access-Control-Allow-Headers"
        case .accessControlAllowMethods: "Access-Control-Allow-Methods"
        case .accessControlAllowOrigin: "Access-Control-Allow-Origin"
        case .accessControlExposeHeaders: "Access-Control-Expose-Headers"
        case .accessControlMaxAge: "Access-Control-Max-Age"
        case .accessControlRequestHeaders: "Access-Control-Request-Headers"
        case .accessControlRequestMethod: "Access-Control-Request-Method"
        case .age: "Age"
        case .allow: "Allow"
        case .altSvc: "Alt-Svc"
        case .authorization: "Authorization"
        case .cacheControl: "Cache-Control"
        case .cfConnectingIP: "CF-Connecting-IP"
        case .cfConnectingIPv6: "CF-Connecting-IPv6"
        case .cfPseudoIPv4: "CF-Pseudo-IPv4"
        case .cfRay: "CF-Ray"
        case .cfVisitor: "CF-Visitor"
        case .clientCert: "Client-Cert"
        case .clientCertChain: "Client-Cert-Chain"
        case .clientIP: "Client-IP"
        case .contentDigest: "Content-Digest"
        case .contentDisposition: "Content-Disposition"
        case .contentEncoding: "Content-Encoding"
        case .contentLanguage: "Content-Language"
        case .contentLocation: "Content-Location"
        case .contentRange: "Content-Range"
        case .contentSecurityPolicy: "Content-Security-Policy"
        case .contentType: "Content-Type"
        case .cookie: "Cookie"
        case .crossOriginEmbedderPolicy: "Cross-Origin-Embedder-Policy"
        case .crossOriginOpenerPolicy: "Cross-Origin-Opener-Policy"
        case .crossOriginResourcePolicy: "Cross-Origin-Resource-Policy"
        case .date: "Date"
        case .eTag: "ETag"
        case .expires: "Expires"
        case .fastlyClientIP: "Fastly-Client-IP"
        case .forwarded: "Forwarded"
        case .forwardedFor: "Forwarded-For"
        case .from: "From"
        case .frontEndHTTPS: "Front-End-Https"
        case .ifMatch: "If-Match"
        case .ifModifiedSince: "If-Modified-Since"
        case .ifNoneMatch: "If-None-Match"
        case .ifRange: "If-Range"
        case .ifUnmodifiedSince: "If-Unmodified-Since"
        case .lastEventID: "Last-Event-ID"
        case .lastModified: "Last-Modified"
        case .link: "Link"
        case .location: "Location"
        case .maxForwards: "Max-Forwards"
        case .origin: "Origin"
        case .permissionsPolicy: "Permissions-Policy"
        case .pragma: "Pragma"
        case .priority: "Priority"
        case .range: "Range"
        case .referer: "Referer"
        case .referrerPolicy: "Referrer-Policy"
        case .retryAfter: "Retry-After"
        case .secFetchDest: "Sec-Fetch-Dest"
        case .secFetchMode: "Sec-Fetch-Mode"
        case .secFetchSite: "Sec-Fetch-Site"
        case .secFetchUser: "Sec-Fetch-User"
        case .secWebSocketAccept: "Sec-WebSocket-Accept"
        case .secWebSocketExtensions: "Sec-WebSocket-Extensions"
        case .secWebSocketKey: "Sec-WebSocket-Key"
        case .secWebSocketProtocol: "Sec-WebSocket-Protocol"
        case .secWebSocketVersion: "Sec-WebSocket-Version"
        case .server: "Server"
        case .serverTiming: "Server-Timing"
        case .setCookie: "Set-Cookie"
        case .strictTransportSecurity: "Strict-Transport-Security"
        case .timingAllowOrigin: "Timing-Allow-Origin"
        case .traceparent: "Traceparent"
        case .tracestate: "Tracestate"
        case .trueClientIP: "True-Client-IP"
        case .upgradeInsecureRequests: "Upgrade-Insecure-Requests"
        case .userAgent: "User-Agent"
        case .vary: "Vary"
        case .via: "Via"
        case .warning: "Warning"
        case .wwwAuthenticate: "WWW-Authenticate"
        case .xClientIP: "X-Client-IP"
        case .xClusterClientIP: "X-Cluster-Client-IP"
        case .xContentTypeOptions: "X-Content-Type-Options"
        case .xEnvoyExternalAddress: "X-Envoy-External-Address"
        case .xForwarded: "X-Forwarded"
        case .xForwardedFor: "X-Forwarded-For"
        case .xForwardedHost: "X-Forwarded-Host"
        case .xForwardedPort: "X-Forwarded-Port"
        case .xForwardedPrefix: "X-Forwarded-Prefix"
        case .xForwardedProto: "X-Forwarded-Proto"
        case .xForwardedScheme: "X-Forwarded-Scheme"
        case .xForwardedServer: "X-Forwarded-Server"
        case .xForwardedSSL: "X-Forwarded-SSL"
        case .xFrameOptions: "X-Frame-Options"
        case .xHost: "X-Host"
        case .xHTTPMethodOverride: "X-HTTP-Method-Override"
        case .xOriginalForwardedFor: "X-Original-Forwarded-For"
        case .xOriginalHost: "X-Original-Host"
        case .xOriginalURL: "X-Original-URL"
        case .xRealIP: "X-Real-IP"
        case .xRequestID: "X-Request-ID"
        case .xRewriteURL: "X-Rewrite-URL"
        case .xScheme: "X-Scheme"
        }
    }
}
