/// The three digits of an answer (RFC 9110 §15).
package struct Status: Hashable, Sendable, CustomStringConvertible {
    private let number: UInt16

    /// 100 through 599.
    package var code: Int { Int(number) }

    /// - Returns: `nil` outside 100 through 599.
    package init?(code: Int) {
        guard (100...599).contains(code) else { return nil }
        number = UInt16(code)
    }

    private init(_ number: UInt16) { self.number = number }

    /// Never has content, whatever the fields say (RFC 9112 §6.3): 1xx, 204 and 304.
    package var forbidsBody: Bool { number < 200 || number == 204 || number == 304 }

    package var isInformational: Bool { number < 200 }
    package var isSuccess: Bool { number / 100 == 2 }
    package var isRedirect: Bool { number / 100 == 3 }
    package var isError: Bool { number >= 400 }

    package var description: String { "\(number) \(reason)" }

    package static let `continue` = Status(100)
    package static let switchingProtocols = Status(101)
    package static let processing = Status(102)
    package static let earlyHints = Status(103)
    package static let ok = Status(200)
    package static let created = Status(201)
    package static let accepted = Status(202)
    package static let nonAuthoritativeInformation = Status(203)
    package static let noContent = Status(204)
    package static let resetContent = Status(205)
    package static let partialContent = Status(206)
    package static let multipleChoices = Status(300)
    package static let movedPermanently = Status(301)
    package static let found = Status(302)
    package static let seeOther = Status(303)
    package static let notModified = Status(304)
    package static let temporaryRedirect = Status(307)
    package static let permanentRedirect = Status(308)
    package static let badRequest = Status(400)
    package static let unauthorized = Status(401)
    package static let paymentRequired = Status(402)
    package static let forbidden = Status(403)
    package static let notFound = Status(404)
    package static let methodNotAllowed = Status(405)
    package static let notAcceptable = Status(406)
    package static let proxyAuthenticationRequired = Status(407)
    package static let requestTimeout = Status(408)
    package static let conflict = Status(409)
    package static let gone = Status(410)
    package static let lengthRequired = Status(411)
    package static let preconditionFailed = Status(412)
    package static let contentTooLarge = Status(413)
    package static let uriTooLong = Status(414)
    package static let unsupportedMediaType = Status(415)
    package static let rangeNotSatisfiable = Status(416)
    package static let expectationFailed = Status(417)
    package static let misdirectedRequest = Status(421)
    package static let unprocessableContent = Status(422)
    package static let locked = Status(423)
    package static let failedDependency = Status(424)
    package static let tooEarly = Status(425)
    package static let upgradeRequired = Status(426)
    package static let preconditionRequired = Status(428)
    package static let tooManyRequests = Status(429)
    package static let requestHeaderFieldsTooLarge = Status(431)
    package static let unavailableForLegalReasons = Status(451)
    package static let internalServerError = Status(500)
    package static let notImplemented = Status(501)
    package static let badGateway = Status(502)
    package static let serviceUnavailable = Status(503)
    package static let gatewayTimeout = Status(504)
    package static let httpVersionNotSupported = Status(505)
    package static let insufficientStorage = Status(507)
}

extension Status {
    /// The registered phrase, or that of the class for a code nobody registered.
    package var reason: StaticString {
        switch number {
        case 100: "Continue"
        case 101: "Switching Protocols"
        case 102: "Processing"
        case 103: "Early Hints"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 203: "Non-Authoritative Information"
        case 204: "No Content"
        case 205: "Reset Content"
        case 206: "Partial Content"
        case 300: "Multiple Choices"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400..<500: clientErrorReason
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        case 507: "Insufficient Storage"
        case ..<200: "Informational"
        case ..<300: "Success"
        case ..<400: "Redirection"
        default: "Server Error"
        }
    }

    private var clientErrorReason: StaticString {
        switch number {
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 402: "Payment Required"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 407: "Proxy Authentication Required"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 416: "Range Not Satisfiable"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 422: "Unprocessable Content"
        case 423: "Locked"
        case 424: "Failed Dependency"
        case 425: "Too Early"
        case 426: "Upgrade Required"
        case 428: "Precondition Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 451: "Unavailable For Legal Reasons"
        default: "Client Error"
        }
    }
}
