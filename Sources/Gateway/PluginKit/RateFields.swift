import GatewayBackplane
import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayTelemetry

/// The response fields that tell of limits, on answers and refusals alike: RateLimit-Policy and RateLimit of
/// draft-ietf-httpapi-ratelimit-headers (structured fields: lists of strings with parameters), and the X-RateLimit
/// fields that came before them.
enum RateFields {
    private static let policyName = HeaderName(literal: "RateLimit-Policy")
    private static let standingName = HeaderName(literal: "RateLimit")
    private static let limitName = HeaderName(literal: "X-RateLimit-Limit")
    private static let remainingName = HeaderName(literal: "X-RateLimit-Remaining")
    private static let resetName = HeaderName(literal: "X-RateLimit-Reset")

    static let names: [HeaderName] = [
        .retryAfter, policyName, standingName, limitName, remainingName, resetName,
    ]

    /// `"user";q=100;w=60`: how much, in how many seconds.
    static func policy(_ name: String, _ rate: Rate) -> [UInt8] {
        Array("\"\(name)\";q=\(rate.burst);w=\(seconds(rate.fillTime))".utf8)
    }

    /// `"concurrent";q=3;qu="concurrent-requests"`.
    static func policy(_ name: String, places: Int) -> [UInt8] {
        Array("\"\(name)\";q=\(places);qu=\"concurrent-requests\"".utf8)
    }

    /// Where one rule stands.
    struct Standing {
        /// As in the policy, quotation marks included.
        let policy: [UInt8]
        let limit: UInt64
        let answer: BackplaneAnswer
        /// Whether its units come back with time.
        let isTimed: Bool
    }

    /// Adds a field of digits, names of this program and punctuation: nothing of it is ever refused.
    private static func append(
        _ name: HeaderName, to fields: inout HeaderFields, _ write: (inout [UInt8]) -> Void
    ) {
        var text: [UInt8] = []
        text.reserveCapacity(128)
        write(&text)
        unsafe text.withUnsafeBytes { text in try? unsafe fields.append(name, checking: text) }
    }

    /// Adds all fields.
    ///
    /// - Parameter standings: The rules that were asked; the first is the one that the X-RateLimit fields tell of.
    static func append(_ standings: [Standing], to fields: inout HeaderFields) {
        guard let first = standings.first else { return }
        append(policyName, list(standings) { $1 += $0.policy }, to: &fields)
        append(standingName, list(standings) { $0.append(to: &$1) }, to: &fields)
        let reset = WallClock.read().seconds + Int64(seconds(first.answer.resetAfter))
        fields.append(limitName, decimal: Int(clamping: first.limit))
        fields.append(remainingName, decimal: Int(clamping: first.answer.count))
        fields.append(resetName, decimal: Int(reset))
    }

    private static func list(_ standings: [Standing], _ write: (Standing, inout [UInt8]) -> Void) -> [UInt8] {
        var text: [UInt8] = []
        for (place, standing) in standings.enumerated() {
            if place > 0 { text += [0x2C, 0x20] }
            write(standing, &text)
        }
        return text
    }

    private static func append(_ name: HeaderName, _ text: [UInt8], to fields: inout HeaderFields) {
        // Digits, names of this program and punctuation: nothing is ever refused here.
        unsafe text.withUnsafeBytes { try? unsafe fields.append(name, checking: $0) }
    }

    /// Whole seconds of a time that is not over yet: rounded up, 1 at least.
    static func seconds(_ nanoseconds: UInt64) -> Int {
        max(1, Int(nanoseconds / 1_000_000_000) + (nanoseconds % 1_000_000_000 == 0 ? 0 : 1))
    }

    /// `2026-01-02T03:04:05.678Z`, so much from now.
    static func moment(after nanoseconds: UInt64) -> String {
        let (seconds, part) = WallClock.read()
        let sum = UInt64(part) + nanoseconds % 1_000_000_000
        let time = WallTime(
            seconds: seconds + Int64(nanoseconds / 1_000_000_000 + sum / 1_000_000_000),
            nanoseconds: Int(sum % 1_000_000_000))
        var text = OutputBuffer(capacity: 32)
        time.appendRFC3339(to: &text)
        return unsafe text.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    }
}

extension RateFields.Standing {
    /// `"user";r=99;t=1`: what is left, and the seconds until all of it is there again.
    fileprivate func append(to text: inout [UInt8]) {
        for byte in policy {
            if byte == UInt8(ascii: ";") { break }
            text.append(byte)
        }
        text.append(contentsOf: ";r=".utf8)
        Self.append(answer.count, to: &text)
        guard isTimed else { return }
        text.append(contentsOf: ";t=".utf8)
        Self.append(answer.resetAfter == 0 ? 0 : UInt64(RateFields.seconds(answer.resetAfter)), to: &text)
    }

    private static func append(_ number: UInt64, to text: inout [UInt8]) {
        var divisor: UInt64 = 1
        while number / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            text.append(0x30 + UInt8(number / divisor % 10))
            divisor /= 10
        }
    }
}

extension RateRefusal {
    /// The error as it is answered: Retry-After, and the members that clients of the guides read.
    var fault: GatewayFault {
        var fields = HeaderFields()
        fields.append(.retryAfter, decimal: retryAfterSeconds)
        var fault = GatewayFault(
            .tooManyRequests, kind == .blocked ? "address_blocked" : "rate_limited", message, fields: fields)
        fault.details = [
            ("retryAfter", .number(JSONNumber(Int64(retryAfterSeconds)))),
            ("resetAt", .string(RateFields.moment(after: resetAfter.wholeNanoseconds))),
            ("limitType", .string(isOfUser ? "user" : "ip")),
        ]
        return fault
    }
}
