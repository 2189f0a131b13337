/// What the tunnel must not forget: enrolments, the agent that each user chose, and shares.
///
/// Called on a loop, never blocks it, and resumes there. What has returned is durable. Texts are compared by their bytes.
protocol TunnelStore: Sendable {
    /// Who uses what is kept here: the same for all who have it open in this process.
    var grants: GrantsInUse { get }

    // MARK: Enrolments

    /// Keeps a new enrolment, unless the user has a live one of that name or as many as allowed.
    ///
    /// - Parameter replacing: Whether a live one of that name is revoked for it, in the same step.
    func add(_ enrolment: Enrolment, replacing: Bool, atMost limit: Int) async throws(TunnelStoreError)
        -> EnrolmentOutcome

    /// Live or revoked; `nil` for one that never was, or was revoked long ago.
    func enrolment(_ id: String) async throws(TunnelStoreError) -> Enrolment?

    /// The live ones, the oldest first.
    func enrolments(of user: String) async throws(TunnelStoreError) -> [Enrolment]

    /// Ends an enrolment for good.
    ///
    /// - Parameter user: Whose it must be; `nil` for anybody's.
    /// - Returns: What was revoked; `nil` when there is no such live one.
    func revokeEnrolment(_ id: String, of user: String?, at now: Int64) async throws(TunnelStoreError) -> Enrolment?

    /// - Parameter uses: When each was last used, by id. Ids that are unknown are passed over.
    func noteUses(_ uses: [String: Int64]) async throws(TunnelStoreError)

    // MARK: Choices

    func chosenAgent(of user: String) async throws(TunnelStoreError) -> String?

    /// - Parameter name: `nil` takes the choice back.
    func chooseAgent(_ name: String?, for user: String) async throws(TunnelStoreError)

    // MARK: Shares

    /// Keeps a new share, unless there is one of this agent with this consumer or the owner has given as many as allowed.
    func add(_ share: AgentShare, atMost limit: Int) async throws(TunnelStoreError) -> ShareOutcome

    func share(of parties: ShareParties) async throws(TunnelStoreError) -> AgentShare?

    /// The oldest first.
    func shares(givenBy owner: String) async throws(TunnelStoreError) -> [AgentShare]

    /// The oldest first, at most ``TunnelStoreLimits/received``: anybody may give.
    func shares(givenTo consumer: String) async throws(TunnelStoreError) -> [AgentShare]

    /// - Returns: What was ended; `nil` when the owner has no such share.
    func removeShare(_ id: String, of owner: String) async throws(TunnelStoreError) -> AgentShare?
}

/// One machine's right to be an agent, as it is kept: the secret itself is nowhere.
struct Enrolment: Equatable, Sendable {
    let id: String
    let user: String
    /// Of the agent.
    let name: String
    /// SHA-256 of the secret part of the credential.
    let digest: [UInt8]
    /// Seconds since 1970, as all times here.
    let createdAt: Int64
    var lastUsedAt: Int64?
    var revokedAt: Int64?
}

enum EnrolmentOutcome: Equatable, Sendable {
    /// With the one that was revoked for it, if there was one.
    case added(replaced: Enrolment?)
    /// By the live enrolment of this id.
    case nameTaken(id: String)
    case tooMany
}

/// Who gives what to whom. There is one share at most for each.
struct ShareParties: Equatable, Sendable {
    let owner: String
    let agent: String
    let consumer: String
}

/// What a user lets another one ask of an agent.
struct AgentShare: Equatable, Sendable {
    let id: String
    let parties: ShareParties
    let rule: ShareRule
    let createdAt: Int64
}

enum ShareOutcome: Equatable, Sendable {
    case added
    /// As the share of this id.
    case exists(id: String)
    case tooMany
}

/// Bounds that no operator needs to change.
enum TunnelStoreLimits {
    /// Revoked enrolments of a user that are kept, so that their agents are told what happened to them.
    static let revoked = 20
    /// Shares given to one user that are listed; those beyond work too.
    static let received = 200
    /// Facts that a process remembers, of each kind, so as not to ask for them with each request.
    static let remembered = 4096
    /// Uses of enrolments that wait to be written.
    static let uses = 65_536
    /// How long they wait.
    static let usesWait = Duration.seconds(5)
}

/// Why the store did not answer. Nothing has changed then.
enum TunnelStoreError: Error, Equatable {
    /// There is none, and there will be none before the next start: a sentence that says why and names the setting.
    case unavailable(String)
    /// Too much is asked of it at once.
    case busy
    /// For the log.
    case failed(String)
}

/// The store of a gateway that shall keep nothing.
struct NoTunnelStore: TunnelStore {
    let grants = GrantsInUse()
    private let error: TunnelStoreError

    init(because reason: String) { error = .unavailable(reason) }

    func add(_: Enrolment, replacing _: Bool, atMost _: Int) async throws(TunnelStoreError) -> EnrolmentOutcome {
        throw error
    }
    func enrolment(_: String) async throws(TunnelStoreError) -> Enrolment? { throw error }
    func enrolments(of _: String) async throws(TunnelStoreError) -> [Enrolment] { throw error }
    func revokeEnrolment(_: String, of _: String?, at _: Int64) async throws(TunnelStoreError) -> Enrolment? {
        throw error
    }
    func noteUses(_: [String: Int64]) async throws(TunnelStoreError) { throw error }
    func chosenAgent(of _: String) async throws(TunnelStoreError) -> String? { throw error }
    func chooseAgent(_: String?, for _: String) async throws(TunnelStoreError) { throw error }
    func add(_: AgentShare, atMost _: Int) async throws(TunnelStoreError) -> ShareOutcome { throw error }
    func share(of _: ShareParties) async throws(TunnelStoreError) -> AgentShare? { throw error }
    func shares(givenBy _: String) async throws(TunnelStoreError) -> [AgentShare] { throw error }
    func shares(givenTo _: String) async throws(TunnelStoreError) -> [AgentShare] { throw error }
    func removeShare(_: String, of _: String) async throws(TunnelStoreError) -> AgentShare? { throw error }
}
