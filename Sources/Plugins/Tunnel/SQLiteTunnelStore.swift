import GatewaySQLite
import PluginKit

/// The embedded store: the file `tunnel.sqlite` in STATE_DIRECTORY.
///
/// Where that folder cannot be used the tunnel works without what is kept there, and says so once.
final class SQLiteTunnelStore: TunnelStore, PluginResource {
    let grants: GrantsInUse
    private let database: SQLiteDatabase
    private let log: Logger
    private let absence = Guarded<String?>(nil)

    init(in folder: String, settings: SQLiteSettings, log: Logger) {
        database = SQLiteDatabase("tunnel", in: folder, steps: Self.schema, settings: settings, log: log)
        grants = GrantsInUse.ofStore(in: folder)
        self.log = log
    }

    private static let schema: [StaticString] = [
        """
        CREATE TABLE enrolment (
            id TEXT PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL,
            digest BLOB NOT NULL CHECK (length(digest) = 32),
            created INTEGER NOT NULL, last_used INTEGER, revoked INTEGER
        ) STRICT;
        CREATE INDEX enrolment_of_user ON enrolment (user, revoked);
        CREATE UNIQUE INDEX enrolment_live ON enrolment (user, name) WHERE revoked IS NULL;
        CREATE TABLE choice (user TEXT PRIMARY KEY, agent TEXT NOT NULL) STRICT;
        CREATE TABLE share (
            id TEXT PRIMARY KEY, owner TEXT NOT NULL, agent TEXT NOT NULL, consumer TEXT NOT NULL,
            methods TEXT NOT NULL, paths TEXT NOT NULL, created INTEGER NOT NULL,
            UNIQUE (owner, agent, consumer)
        ) STRICT;
        CREATE INDEX share_of_consumer ON share (consumer, created);
        """
    ]

    // MARK: Life

    /// - Throws: What a person should look at before the gateway serves: a file that is damaged or of a later version.
    func open() throws {
        do {
            try database.open()
        } catch let failure as SQLiteOpenFailure {
            guard failure.reason.isForWantOfPlace else { throw failure }
            log.warn("no enrolments, shares and default agents: STATE_DIRECTORY cannot be used", .error(failure))
            // Users are told no paths of this machine.
            absence.withLock { $0 = "STATE_DIRECTORY cannot be used" }
        }
    }

    func close() { database.close() }

    private func read<R: Sendable>(
        _ body: @escaping @Sendable (SQLiteTransaction) throws -> R
    ) async throws(TunnelStoreError) -> R {
        try check()
        do { return try await database.read(body) } catch { throw TunnelStoreError(error) }
    }

    @discardableResult
    private func write<R: Sendable>(
        _ body: @escaping @Sendable (SQLiteTransaction) throws -> R
    ) async throws(TunnelStoreError) -> R {
        try check()
        do { return try await database.write(body) } catch { throw TunnelStoreError(error) }
    }

    private func check() throws(TunnelStoreError) {
        if let reason = absence.withLock({ $0 }) { throw .unavailable(reason) }
    }

    // MARK: Enrolments

    func add(
        _ enrolment: Enrolment, replacing: Bool, atMost limit: Int
    ) async throws(TunnelStoreError) -> EnrolmentOutcome {
        try await write { transaction in
            let older = try transaction.first(
                """
                SELECT id, user, name, digest, created, last_used, revoked FROM enrolment
                WHERE user = ? AND name = ? AND revoked IS NULL
                """, .text(enrolment.user), .text(enrolment.name), read: Enrolment.init)
            if let older {
                guard replacing else { return .nameTaken(id: older.id) }
                try Self.revoke(older, at: enrolment.createdAt, transaction)
            }
            let count = try transaction.first(
                "SELECT count(*) FROM enrolment WHERE user = ? AND revoked IS NULL", .text(enrolment.user)
            ) { try $0.integer(0) }
            // Who has more than are allowed now may still replace one.
            guard older != nil || (count ?? 0) < limit else { return .tooMany }
            try transaction.run(
                "INSERT INTO enrolment (id, user, name, digest, created) VALUES (?, ?, ?, ?, ?)",
                .text(enrolment.id), .text(enrolment.user), .text(enrolment.name), .blob(enrolment.digest),
                .integer(enrolment.createdAt))
            return .added(replaced: older)
        }
    }

    func enrolment(_ id: String) async throws(TunnelStoreError) -> Enrolment? {
        try await read { transaction in
            try transaction.first(
                "SELECT id, user, name, digest, created, last_used, revoked FROM enrolment WHERE id = ?", .text(id),
                read: Enrolment.init)
        }
    }

    func enrolments(of user: String) async throws(TunnelStoreError) -> [Enrolment] {
        try await read { transaction in
            try transaction.rows(
                """
                SELECT id, user, name, digest, created, last_used, revoked FROM enrolment
                WHERE user = ? AND revoked IS NULL ORDER BY created, id
                """, .text(user)
            ) { try Enrolment($0) }
        }
    }

    func revokeEnrolment(
        _ id: String, of user: String?, at now: Int64
    ) async throws(TunnelStoreError) -> Enrolment? {
        try await write { transaction in
            let found = try transaction.first(
                """
                SELECT id, user, name, digest, created, last_used, revoked FROM enrolment
                WHERE id = ? AND revoked IS NULL
                """, .text(id), read: Enrolment.init)
            guard let found, user == nil || user?.isExactly(found.user) == true else { return nil }
            try Self.revoke(found, at: now, transaction)
            return found
        }
    }

    private static func revoke(_ enrolment: Enrolment, at now: Int64, _ transaction: SQLiteTransaction) throws {
        try transaction.run("UPDATE enrolment SET revoked = ? WHERE id = ?", .integer(now), .text(enrolment.id))
        try transaction.run(
            """
            DELETE FROM enrolment WHERE user = ?1 AND revoked IS NOT NULL AND id NOT IN (
                SELECT id FROM enrolment WHERE user = ?1 AND revoked IS NOT NULL
                ORDER BY revoked DESC, rowid DESC LIMIT ?2)
            """, .text(enrolment.user), .integer(of: TunnelStoreLimits.revoked))
    }

    func noteUses(_ uses: [String: Int64]) async throws(TunnelStoreError) {
        try await write { transaction in
            for (id, time) in uses {
                try transaction.run(
                    "UPDATE enrolment SET last_used = max(coalesce(last_used, 0), ?) WHERE id = ?", .integer(time),
                    .text(id))
            }
        }
    }

    // MARK: Choices

    func chosenAgent(of user: String) async throws(TunnelStoreError) -> String? {
        try await read { transaction in
            try transaction.first("SELECT agent FROM choice WHERE user = ?", .text(user)) { try $0.text(0) }
        }
    }

    func chooseAgent(_ name: String?, for user: String) async throws(TunnelStoreError) {
        try await write { transaction in
            if let name {
                try transaction.run(
                    "INSERT INTO choice VALUES (?, ?) ON CONFLICT (user) DO UPDATE SET agent = excluded.agent",
                    .text(user), .text(name))
            } else {
                try transaction.run("DELETE FROM choice WHERE user = ?", .text(user))
            }
        }
    }

    // MARK: Shares

    func add(_ share: AgentShare, atMost limit: Int) async throws(TunnelStoreError) -> ShareOutcome {
        let parties = share.parties
        return try await write { transaction in
            let same = try transaction.first(
                "SELECT id FROM share WHERE owner = ? AND agent = ? AND consumer = ?", .text(parties.owner),
                .text(parties.agent), .text(parties.consumer)
            ) { try $0.text(0) }
            if let same { return .exists(id: same) }
            let count = try transaction.first("SELECT count(*) FROM share WHERE owner = ?", .text(parties.owner)) {
                try $0.integer(0)
            }
            guard (count ?? 0) < limit else { return .tooMany }
            try transaction.run(
                "INSERT INTO share VALUES (?, ?, ?, ?, ?, ?, ?)", .text(share.id), .text(parties.owner),
                .text(parties.agent), .text(parties.consumer), .text(share.rule.methods.joined(separator: " ")),
                .text(share.rule.paths.joined(separator: " ")), .integer(share.createdAt))
            return .added
        }
    }

    func share(of parties: ShareParties) async throws(TunnelStoreError) -> AgentShare? {
        try await read { transaction in
            try transaction.first(
                """
                SELECT id, owner, agent, consumer, methods, paths, created FROM share
                WHERE owner = ? AND agent = ? AND consumer = ?
                """, .text(parties.owner), .text(parties.agent), .text(parties.consumer), read: AgentShare.init)
        }
    }

    func shares(givenBy owner: String) async throws(TunnelStoreError) -> [AgentShare] {
        try await read { transaction in
            try transaction.rows(
                """
                SELECT id, owner, agent, consumer, methods, paths, created FROM share
                WHERE owner = ? ORDER BY created, id
                """, .text(owner)
            ) { try AgentShare($0) }
        }
    }

    func shares(givenTo consumer: String) async throws(TunnelStoreError) -> [AgentShare] {
        try await read { transaction in
            try transaction.rows(
                """
                SELECT id, owner, agent, consumer, methods, paths, created FROM share
                WHERE consumer = ? ORDER BY created, id LIMIT ?
                """, .text(consumer), .integer(of: TunnelStoreLimits.received)
            ) { try AgentShare($0) }
        }
    }

    func removeShare(_ id: String, of owner: String) async throws(TunnelStoreError) -> AgentShare? {
        try await write { transaction in
            try transaction.first(
                """
                DELETE FROM share WHERE id = ? AND owner = ?
                RETURNING id, owner, agent, consumer, methods, paths, created
                """, .text(id), .text(owner), read: AgentShare.init)
        }
    }
}

extension Enrolment {
    fileprivate init(_ row: SQLiteRow) throws {
        self.init(
            id: try row.text(0), user: try row.text(1), name: try row.text(2), digest: try row.blob(3),
            createdAt: try row.integer(4), lastUsedAt: try row.integerOrNull(5), revokedAt: try row.integerOrNull(6))
    }
}

extension AgentShare {
    fileprivate init(_ row: SQLiteRow) throws {
        let rule = ShareRule(
            methods: try row.text(4).split(separator: " ").map(String.init),
            paths: try row.text(5).split(separator: " ").map(String.init))
        self.init(
            id: try row.text(0),
            parties: ShareParties(owner: try row.text(1), agent: try row.text(2), consumer: try row.text(3)),
            rule: rule, createdAt: try row.integer(6))
    }
}

extension SQLiteError {
    /// Whether the folder is the trouble, and not what is in the file.
    fileprivate var isForWantOfPlace: Bool {
        switch self {
        case .cannotOpen, .readOnly, .full: true
        default: false
        }
    }
}

extension TunnelStoreError {
    fileprivate init(_ error: any Error) {
        switch error as? SQLiteError {
        case .busy?, .locked?, .timedOut?: self = .busy
        default: self = .failed("\(error)")
        }
    }
}
