import GatewayAuth
import GatewayBackplane
import GatewayHTTP
import GatewayRuntime
import GatewayTelemetry

/// What one ``RateLimit`` consists of.
final class RateLimitCore: Sendable {
    let rules: RateRules
    let spaces: Spaces
    let service: RateLimitService
    let log: Logger
    private let own: RateTable?
    let violations: [RateRefusal.Kind: Counter]

    /// Where each of its rules counts.
    struct Spaces {
        let requests, messages, bytes, leases, address, suspicious, violations, pace: BackplaneSpace
    }

    init(_ name: String, _ rules: RateRules, limiting: RateLimiting, log: Logger) {
        self.rules = rules
        self.log = log
        service = limiting.service
        func space(_ rule: String) -> BackplaneSpace { BackplaneSpace("rate.\(name).\(rule)") }
        spaces = Spaces(
            requests: space("requests"), messages: space("messages"), bytes: space("bytes"), leases: space("leases"),
            address: space("address"), suspicious: space("suspicious"), violations: space("violations"),
            pace: space("pace"))
        violations = RateRefusal.Kind.allCases.reduce(into: [:]) { counters, kind in
            counters[kind] = limiting.violations.with(name, kind.rawValue)
        }
        own = RateTable(of: rules)
    }

    func count(_ refusal: RateRefusal) { violations[refusal.kind]?.increment() }

    /// The rules as they are at the moment.
    func table() -> (users: RateTable?, addresses: RateTable.Address?, prefix: Int) {
        let settings = service.current
        let users: RateTable? =
            switch rules.users {
            case .settings: settings
            case .tiers: own
            case .unlimited: nil
            }
        let addresses: RateTable.Address? =
            switch rules.addresses {
            case .settings: settings.address
            case .rule: own?.address
            case .unlimited: nil
            }
        return (users, addresses, settings.addressPrefix)
    }
}

/// One question to a limit: which facts it takes, in which order, and what follows from the answers.
///
/// First everything at once: whether the address is blocked, its rate, the user's rates, a place. What is refused first
/// ends it, so nobody's allowance is used up for what an address may not. Only for addresses with strikes there is a
/// second step, and for one that is refused another strike.
struct RateCheck {
    private enum Step { case asking, suspecting, striking, over }

    private let core: RateLimitCore
    private let subject: RateSubject
    private let now: UInt64
    private let cost: UInt64
    private var step = Step.asking
    /// What is asked of everybody, in the first step.
    private var asked: [BackplaneTask] = []
    /// What is asked of an address that has strikes, in those that follow.
    private var more: [BackplaneTask] = []
    private var entry: RateTable.Entry?
    private var address: RateTable.Address?
    private var addressKey: (high: UInt64, low: UInt64) = (0, 0)
    private var leaseID: LeaseID?
    private(set) var refusal: RateRefusal?

    /// - Parameter holding: Whether a place among concurrent requests is taken too.
    init(_ core: RateLimitCore, _ use: RateUse, of subject: RateSubject, holding: Bool, now: MonotonicTime) {
        self.core = core
        self.subject = subject
        self.now = now.nanoseconds
        cost = use.requests
        asked.reserveCapacity(4)
        let table = core.table()
        if let rule = table.addresses, let client = subject.address, use.requests > 0,
            subject.user == nil || rule.rule.whom == .everybody
        {
            address = rule
            addressKey = client.rateKey(prefix: table.prefix)
            askAddress(rule.rule)
        }
        if let user = subject.user, let users = table.users {
            let entry = users.entry(for: user.tier)
            self.entry = entry
            askUser(user, entry.allowance, use, holding: holding)
        }
        if asked.isEmpty { step = .over }
    }

    private mutating func askAddress(_ rule: AddressRule) {
        // A block is for strangers: everybody behind one address would pay for one of them.
        if subject.user == nil, let block = rule.escalation?.block {
            add(core.spaces.violations, addressKey, .strike(block, adding: 0))
        }
        add(core.spaces.address, addressKey, .take(rule.requests, cost: cost))
    }

    private mutating func askUser(_ user: Principal, _ allowance: RateAllowance, _ use: RateUse, holding: Bool) {
        let key = (user.identity.high, user.identity.low)
        if use.requests > 0, let rate = allowance.requests {
            add(core.spaces.requests, key, .take(rate, cost: use.requests))
        }
        if use.messages > 0, let rate = allowance.messages {
            add(core.spaces.messages, key, .take(rate, cost: use.messages))
        }
        if use.bytes > 0, let rate = allowance.bytes {
            add(core.spaces.bytes, key, .take(rate, cost: use.bytes))
        }
        if holding, let limit = allowance.concurrent {
            let id = RateLease.nextID()
            leaseID = id
            add(core.spaces.leases, key, .hold(lease: id, limit: UInt64(limit), lasting: RateLease.lasting))
        }
    }

    private mutating func add(
        _ space: BackplaneSpace, _ key: (high: UInt64, low: UInt64), _ operation: BackplaneOperation
    ) { asked.append(BackplaneTask(BackplaneKey(space, key.high, key.low), operation)) }

    // MARK: Running

    /// Goes as far as the driver can without waiting.
    ///
    /// - Returns: Whether that was to the end; ``run()`` goes on from where it stopped.
    mutating func runAtOnce() -> Bool {
        let backplane = core.service.backplane
        while step != .over {
            guard
                step == .asking
                    ? backplane.performAtOnce(&asked, now: now) : backplane.performAtOnce(&more, now: now)
            else { return false }
            advance()
        }
        return true
    }

    mutating func run() async {
        let backplane = core.service.backplane
        while step != .over {
            if step == .asking {
                await backplane.settle(&asked, now: now)
            } else {
                await backplane.settle(&more, now: now)
            }
            advance()
        }
    }

    private mutating func advance() {
        switch step {
        case .asking:
            step = .over
            if let refused = Self.refused(asked) {
                refuse(refused)
            } else if let rule = address?.rule.escalation, strikes >= UInt64(max(1, rule.suspiciousAfter)) {
                step = .suspecting
                more = [aboutAddress(core.spaces.suspicious, .take(rule.suspiciousRate, cost: cost))]
            }
        case .suspecting:
            step = .over
            asked += more
            if let refused = Self.refused(more) { refuse(refused) }
        case .striking:
            step = .over
            tellBlock()
        case .over: break
        }
    }

    /// The task that ended its batch.
    private static func refused(_ tasks: [BackplaneTask]) -> BackplaneTask? {
        for place in tasks.indices where tasks[place].answer?.isGranted == false { return tasks[place] }
        return nil
    }

    private var strikes: UInt64 {
        asked.first { $0.key.space == core.spaces.violations.id }?.answer?.count ?? 0
    }

    private func aboutAddress(_ space: BackplaneSpace, _ operation: BackplaneOperation) -> BackplaneTask {
        BackplaneTask(BackplaneKey(space, addressKey.high, addressKey.low), operation)
    }

    // MARK: Refusing

    private mutating func refuse(_ task: BackplaneTask) {
        let refusal = refusal(of: task)
        self.refusal = refusal
        core.count(refusal)
        step = .over
        guard !refusal.isOfUser, refusal.kind != .blocked, subject.user == nil, let rule = address?.rule.escalation
        else { return }
        step = .striking
        // One a second at most: behind the first task the strike is not reached more often.
        more = [
            aboutAddress(core.spaces.pace, .take(Rate(1, per: 1_000_000_000), cost: 1)),
            aboutAddress(core.spaces.violations, .strike(rule.block, adding: 1)),
        ]
    }

    private func refusal(of task: BackplaneTask) -> RateRefusal {
        let spaces = core.spaces
        let kind: RateRefusal.Kind
        switch task.key.space {
        case spaces.violations.id: kind = .blocked
        case spaces.messages.id: kind = .messages
        case spaces.bytes.id: kind = .bytes
        case spaces.leases.id: kind = .concurrent
        default: kind = .requests
        }
        let isOfUser = ![spaces.violations.id, spaces.address.id, spaces.suspicious.id].contains(task.key.space)
        let (wait, reset) = (task.answer?.retryAfter ?? 0, task.answer?.resetAfter ?? 0)
        return RateRefusal(
            kind: kind, isOfUser: isOfUser, limit: task.operation.limit,
            retryAfter: kind == .concurrent ? .seconds(1) : .nanoseconds(Int64(clamping: wait)),
            resetAfter: kind == .concurrent ? .seconds(1) : .nanoseconds(Int64(clamping: reset)),
            tier: isOfUser ? subject.user?.tier : nil)
    }

    private func tellBlock() {
        guard let rule = address?.rule.escalation?.block, let answer = more.last?.answer, !answer.isGranted,
            answer.count == rule.threshold, let client = subject.address
        else { return }
        core.log.warn(
            "address blocked for going on after refusals", .string("address", client.description),
            .int("seconds", RateFields.seconds(answer.retryAfter)))
    }

    // MARK: Afterwards

    /// The place that was taken, as what holds it.
    func lease(on loop: EventLoop) -> RateLease? {
        guard let leaseID, let task = asked.last(where: { $0.key.space == core.spaces.leases.id }), task.isGranted
        else { return nil }
        return RateLease(task, leaseID, limit: task.operation.limit, backplane: core.service.backplane, loop: loop)
    }

    /// Tells a client where it stands.
    ///
    /// The fields of one number tell of the rule that refused, else of the user's rate.
    func appendFields(to fields: inout HeaderFields) {
        guard !asked.isEmpty else { return }
        var standings: [RateFields.Standing] = []
        standings.reserveCapacity(asked.count)
        for task in asked {
            guard let answer = task.answer else { break }
            guard let standing = standing(task, answer) else { continue }
            let comesFirst = !answer.isGranted || task.key.space == core.spaces.requests.id
            standings.insert(standing, at: comesFirst ? 0 : standings.count)
        }
        RateFields.append(standings, to: &fields)
    }

    private func standing(_ task: BackplaneTask, _ answer: BackplaneAnswer) -> RateFields.Standing? {
        switch (task.operation, task.key.space) {
        case (.take(let rate, _), core.spaces.requests.id):
            RateFields.Standing(policy: entry?.requests ?? [], limit: rate.burst, answer: answer, isTimed: true)
        case (.take(let rate, _), core.spaces.address.id):
            RateFields.Standing(policy: address?.requests ?? [], limit: rate.burst, answer: answer, isTimed: true)
        case (.take(let rate, _), core.spaces.suspicious.id):
            RateFields.Standing(policy: address?.suspicious ?? [], limit: rate.burst, answer: answer, isTimed: true)
        case (.hold(_, let limit, _), _):
            RateFields.Standing(policy: entry?.concurrent ?? [], limit: limit, answer: answer, isTimed: false)
        default: nil
        }
    }
}

extension BackplaneOperation {
    /// What there is of it at most.
    fileprivate var limit: UInt64 {
        switch self {
        case .take(let rate, _): rate.burst
        case .strike(let rule, _): rule.threshold
        case .hold(_, let limit, _): limit
        case .release: 0
        }
    }
}
