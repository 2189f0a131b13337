import GatewayTunnel
import PluginKit

/// Lets agents in, and says who came and went.
final class AgentHost: Sendable {
    let settings: TunnelSettings
    let directory: AgentDirectory
    let metrics: TunnelMetrics
    let ledger: UserLedger
    private let breakers: CircuitBreakers
    let store: any TunnelStore
    let grants: GrantsInUse
    let uses: EnrolmentUses
    let finder: AgentFinder
    let audit: AuditLog
    let credentials: CredentialChecks
    let log: Logger
    /// Between looks at whether an agent of a gateway that ends has finished.
    let drainPause = Duration.milliseconds(250)

    init(
        settings: TunnelSettings, metrics: TunnelMetrics, breakers: CircuitBreakers, store: any TunnelStore,
        log: Logger,
        audit: AuditLog, credentials: CredentialChecks
    ) {
        self.settings = settings
        self.breakers = breakers
        self.metrics = metrics
        self.log = log
        self.store = store
        grants = store.grants
        uses = EnrolmentUses(store)
        self.audit = audit
        self.credentials = credentials
        directory = AgentDirectory(limit: settings.agents, perUser: settings.agentsPerUser)
        ledger = UserLedger(limit: settings.rememberedUsers)
        finder = AgentFinder(
            directory: directory, store: store, grants: grants, grace: .seconds(settings.terms.resumeGrace))
    }

    /// A session that does not run yet. On `loop`, where it will live.
    func makeSession(
        _ hello: TunnelHello, user: String, credential: AgentCredential, grant: Grant?, address: IPAddress,
        loop: EventLoop
    ) -> (AgentRecord, AgentLink) {
        let place = Place()
        let link = AgentLink(loop: loop, terms: settings.terms) { [host = self] in
            if let record = place.record { host.ended(record) }
        }
        let (seconds, nanoseconds) = WallClock.read()
        let record = AgentRecord(
            user: user, credential: credential, session: RandomID.text(ofBytes: 12),
            secret: Secret(RandomID.text(ofBytes: 32)), hello: hello,
            connectedAt: Double(seconds) + Double(nanoseconds) / 1e9, address: address,
            link: LoopBound(link, on: loop), breaker: breakers.breaker(of: "tunnel:\(user)/\(hello.name)"), grant: grant
        )
        place.record = record
        return (record, link)
    }

    /// Breaks the circle between a link that reports its end and the record that leads to the link.
    private final class Place {
        weak var record: AgentRecord?
    }

    // MARK: What happens

    func joined(_ record: AgentRecord, replacing older: AgentRecord? = nil) {
        ledger.joined(record.user, record.traffic)
        if older == nil { metrics.agentsConnected.add() }
        metrics.sessions.with(older == nil ? "new" : "takeover").increment()
        let what: StaticString = older == nil ? "agent connected" : "agent took over its name"
        log.info(
            what, .string("user", record.user), .string("agent", record.name),
            .string("software", record.software), .string("address", "\(record.address)"))
        older?.link.run { $0.end(.lost, "the same agent connected again", closing: .replaced) }
    }

    /// Lets the end of its enrolment end the session of an agent, at once.
    func follow(_ record: AgentRecord) {
        record.grant?.use(as: ObjectIdentifier(record)) { [weak record] in
            record?.link.run { $0.end(.lost, "the enrolment was revoked", closing: .forbidden) }
        }
    }

    func resumed(_ record: AgentRecord) {
        metrics.sessions.with("resumed").increment()
        log.info("agent resumed", .string("user", record.user), .string("agent", record.name))
    }

    func left(_ record: AgentRecord, _ code: CloseCode) {
        log.info(
            "agent's connection ended", .string("user", record.user), .string("agent", record.name),
            .int("code", Int(code.rawValue)))
    }

    private func ended(_ record: AgentRecord) {
        record.grant?.forget(ObjectIdentifier(record))
        // Counted, not set: after a reload another instance counts here too.
        if directory.remove(record) { metrics.agentsConnected.subtract() }
        ledger.left(record.user, record.traffic)
        log.info("agent left", .string("user", record.user), .string("agent", record.name))
    }
}
