import GatewayAuth
import GatewayHTTP
import GatewayLocks
import GatewayRuntime
package import GatewayTelemetry

/// What happened to rights: who was refused or let in, who did what, and from where. One line for each event, under the
/// component `audit`.
///
/// The core tells of every credential that is refused, of blocks, of what a user may not (any ``GatewayFault`` of status 403
/// behind a signed-in route) and of every WebSocket that a user opened; so a plugin tells only of rights of its own. A
/// request without a credential is no event: it claims nothing, scanners send it by the thousand, and the access log has
/// it. Neither is a request that was let in, of which the access log tells too.
///
/// A line never holds a credential or a query. Its user is one that proved it; whom a refused token names is not told,
/// since anybody can write a name. Refusals are warnings, the rest information, so LOG_LEVEL decides whether they appear.
///
/// Whoever sends what is refused can cause lines, so there is a limit: by user, by address for those who proved nothing,
/// and for all of either. What is left out is counted, and told as `suppressed` in the next line about the same user or
/// address. An address that speaks for many (`shared`), such as a proxy's, has no limit of its own, and neither have blocks,
/// which are few. One for the process; may be used on any thread.
package final class AuditLog: Sendable {
    private let log: Logger
    private let lost: Counter
    private let clock: @Sendable () -> UInt64
    private let state: Guarded<(limits: AuditLimits, throttle: AuditThrottle)>

    /// Made by the server, once for the process.
    ///
    /// - Parameters:
    ///   - log: Whose component the lines are under.
    ///   - lost: Counts the lines that were left out.
    ///   - clock: Nanoseconds of a clock that does not jump; a test's own.
    package init(
        _ log: Logger, limits: AuditLimits, lost: Counter,
        clock: @escaping @Sendable () -> UInt64 = { MonotonicTime.read().nanoseconds }
    ) {
        self.log = log
        self.lost = lost
        self.clock = clock
        state = Guarded((limits, AuditThrottle(sources: limits.sources)))
    }

    /// Goes over to other limits. What was written already counts under them.
    package func adopt(_ limits: AuditLimits) { state.withLock { $0.limits = limits } }

    /// Something was done or allowed.
    ///
    /// - Parameters:
    ///   - who: The user by token, or the one that a credential speaks for; `nil` for somebody who proved nothing.
    ///   - details: What it was about.
    package func note(_ what: StaticString, by who: String?, _ request: Request, _ details: LogField...) {
        write(.info, what, who, request, details)
    }

    /// Something was refused.
    ///
    /// - Parameters:
    ///   - who: As above: never a name that nothing shows to be true.
    ///   - details: Why: `reason` is a stable word, as in the answer.
    package func refusal(_ what: StaticString, of who: String?, _ request: Request, _ details: LogField...) {
        write(.warn, what, who, request, details)
    }

    /// The one line about a credential that was not let in, of the core's kind or a plugin's: ``CredentialChecks`` writes it.
    ///
    /// - Parameter code: As in the answer.
    package func credentialRefused(
        _ code: String, of who: String?, _ request: Request, _ details: [LogField] = []
    ) { write(.warn, "credential refused", who, request, [.string("reason", code)] + details) }

    /// A user was refused something on a socket, whose handshake had this id: that line tells from where.
    package func refusal(_ what: StaticString, of who: String, on handshake: RequestID, _ details: LogField...) {
        guard let suppressed = admit(.user(who), .warn) else { return }
        log.log(
            .warn, what, fields: [.string("user", who)] + details + [Self.told(suppressed), .request(handshake)])
    }

    /// A block has begun: told even of who has used up what may be said of him.
    func blocked(_ what: StaticString, _ request: Request, seconds: Int) {
        write(.warn, what, nil, request, [.int("seconds", seconds)], isOwn: false)
    }

    private func write(
        _ level: LogLevel, _ what: StaticString, _ who: String?, _ request: Request, _ details: [LogField],
        isOwn: Bool = true
    ) {
        let source = who.map { AuditSource.user($0) } ?? .address(request.clientAddress)
        let isShared = request.client.isShared
        guard let suppressed = admit(source, level, isOwn: isOwn && (who != nil || !isShared)) else { return }
        let about: [LogField] = [
            who.map { .string("user", $0) } ?? .none, .string("address", "\(request.clientAddress)"),
            isShared ? .bool("shared", true) : .none,
            .string("plugin", request.plugin.text), .string("method", "\(request.method.wireName)"),
            .string("path", Self.short(request.path)),
        ]
        log.log(level, what, fields: about + details + [Self.told(suppressed), .request(request.id)])
    }

    /// - Returns: How many lines about the same source were left out since the last; `nil` if this one is left out too.
    private func admit(_ source: AuditSource, _ level: LogLevel, isOwn: Bool = true) -> Int? {
        guard log.isEnabled(level) else { return nil }
        let now = clock()
        let suppressed = state.withLock { $0.throttle.admit(source, $0.limits, isOwn: isOwn, now: now) }
        if suppressed == nil { lost.increment() }
        return suppressed
    }

    private static func told(_ suppressed: Int) -> LogField {
        suppressed > 0 ? .int("suppressed", suppressed) : .none
    }

    /// A path may be as long as a head.
    private static func short(_ path: String) -> String {
        path.utf8.count <= longestPath ? path : String(decoding: path.utf8.prefix(longestPath), as: UTF8.self) + "…"
    }

    private static let longestPath = 200
}
