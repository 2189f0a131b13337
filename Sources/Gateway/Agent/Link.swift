import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayTelemetry
import GatewayTunnel
import GatewayUpstream
import GatewayWebSocket

/// One session with the gateway, and the carriers that it travels on, one after another.
///
/// Ends when the agent is to end, when the gateway has told it to leave and its streams are over, or for good.
final class Link {
    private unowned let agent: Agent
    private let loop: EventLoop
    private let log: Logger
    private let limits: AgentLimits
    private(set) var session: TunnelSession?
    private var identity: (id: String, secret: Secret)?
    private var carrier: Carrier?
    private var backoff: Backoff
    private var dice = SystemRandomNumberGenerator()
    /// No carrier follows the present one.
    private(set) var isLeaving = false
    /// Of ``run()``.
    var task: Task<Void, Never>?

    private var credential: Credential?
    /// The last that the gateway did not take, and how many in a row it has not taken.
    private var refused: (credential: Credential, reason: String, count: Int)?
    private var hasBeenWelcome = false
    private var renewal: Task<Void, Never>?
    /// When the session is given up for want of a carrier.
    private var sessionEnds = MonotonicTime.distantFuture
    private var sessionTimer = TimerToken.none

    /// - Parameter predecessor: The link in whose place this one begins: what the agent has shown of its credential holds.
    init(agent: Agent, after predecessor: Link? = nil) {
        self.agent = agent
        credential = predecessor?.credential
        hasBeenWelcome = predecessor?.hasBeenWelcome ?? false
        loop = agent.loop
        log = agent.log
        limits = agent.settings.limits
        backoff = Backoff(base: limits.shortestPause, cap: limits.longestPause)
    }

    var isConnected: Bool { carrier?.end == nil && carrier?.session != nil }

    var streamCount: Int { session?.streams.count ?? 0 }

    // MARK: Carriers, one after another

    /// - Returns: Why the agent is over; `nil` when only this link is.
    func run() async -> Ending? {
        defer { end() }
        while !isLeaving, !Task.isCancelled {
            let step = await attempt()
            renewal?.cancel()
            switch step {
            case .over(let ending): return isLeaving ? nil : ending
            case .again(let reason, let least):
                if isLeaving { return nil }
                dropSessionIfLate()
                let pause = max(least, backoff.next(using: &dice))
                log.info(
                    "reconnecting to the gateway", .string("reason", reason), .milliseconds("after", pause),
                    .int("streams", streamCount))
                do { try await loop.sleep(pause) } catch { return nil }
            }
        }
        return nil
    }

    /// What follows from one attempt to have a carrier, or from its end.
    enum Step {
        /// - Parameter after: The least pause.
        case again(_ reason: String, after: Duration = .zero)
        case over(Ending)
    }

    private func attempt() async -> Step {
        let credential: Credential
        do throws(Ending) {
            credential = try await nextCredential()
        } catch {
            // A file may be about to be replaced; but an agent that never had a credential was started wrongly.
            return self.credential == nil || refused != nil ? .over(error) : .again(error.message)
        }
        self.credential = credential
        log.info(
            "connecting to the gateway", .string("gateway", agent.settings.connection.address.description),
            .string("agent", agent.settings.name))
        do {
            switch try await agent.open(credential) {
            case .refused(let answer): return await refusal(answer, of: credential)
            case .opened(let socket): return await serve(on: socket)
            }
        } catch {
            return .again("\(error)")
        }
    }

    private func serve(on socket: UpstreamWebSocket) async -> Step {
        guard socket.subprotocol == TunnelProtocol.subprotocol else {
            socket.close(.protocolError)
            return .again("this is no gateway with a tunnel: it does not speak \(TunnelProtocol.subprotocol)")
        }
        let carrier = Carrier(socket, owner: self)
        self.carrier = carrier
        carrier.start(hello())
        let since = loop.now
        guard await carrier.greeting.run(on: loop, until: loop.now + limits.greeting) == .woken else {
            carrier.leave(.goingAway)
            return .again("the gateway did not greet in time")
        }
        if carrier.end == nil {
            refused = nil
            hasBeenWelcome = true
            cancelSessionTimer()
            log.info(
                "connected to the gateway", .string("agent", agent.settings.name), .int("streams", streamCount))
            if isLeaving { launchFarewell() }
            _ = await carrier.over.run(on: loop)
        }
        // Cancelled: there is no carrier to come.
        carrier.leave(.goingAway)
        if loop.now >= since + limits.stable { backoff.reset() }
        startSessionTimer()
        return outcome(of: carrier)
    }

    private func outcome(of carrier: Carrier) -> Step {
        switch carrier.end {
        case .closed(let code, let reason): return step(after: code, reason)
        case .violated(let message):
            session?.end(.lost, "the gateway broke the protocol")
            session = nil
            log.error("gateway breaks the protocol", .string("reason", message))
            return .again("the gateway broke the protocol: \(message)")
        case .left, nil: return .again("left")
        }
    }

    private func step(after code: CloseCode, _ reason: String) -> Step {
        let said = reason.isEmpty ? "" : ": \(reason)"
        switch code.rawValue {
        case 1002:
            return .over(Ending("the gateway says that this agent broke the protocol\(said)", Ending.protocolError))
        case 4401:
            if let credential { refuse(credential, "the token has ended") }
            return .again("the token has ended")
        case 4403:
            return .over(
                Ending("the enrolment was revoked, or is for another agent than this one\(said)", Ending.notPermitted))
        case 4408:
            return .over(
                Ending("another agent has connected with the same credential and name\(said)", Ending.unavailable))
        case 4409:
            return .over(
                Ending("the name \(agent.settings.name) is taken by another agent\(said)", Ending.unavailable))
        case 4429: return .over(Ending("this user has as many agents as are allowed\(said)", Ending.unavailable))
        default: return .again(code == .abnormal ? "the connection broke" : "the gateway closed with \(code)\(said)")
        }
    }

    // MARK: The end

    /// Lets what is under way finish, and opens no further carrier.
    func leave() {
        guard !isLeaving else { return }
        isLeaving = true
        if isConnected { launchFarewell() } else { task?.cancel() }
    }

    private func launchFarewell() { loop.launch { await self.finishStreams() } }

    /// The session tells nobody of its last stream, so it is looked at.
    private func finishStreams() async {
        while let carrier, carrier.end == nil, streamCount > 0 {
            do { try await loop.sleep(.milliseconds(50)) } catch { break }
        }
        carrier?.leave(.normal, "finished")
    }

    /// Ends what is under way, now.
    func cut() {
        session?.end(.lost, "the agent has ended")
        carrier?.leave(.goingAway)
        task?.cancel()
    }

    private func end() {
        renewal?.cancel()
        cancelSessionTimer()
        session?.end(.lost, "the agent has ended")
        carrier?.leave(.goingAway)
        carrier = nil
    }
}

// MARK: - The session

extension Link: CarrierOwner, TimerTarget {
    private func hello() -> TunnelHello {
        let settings = agent.settings
        var hello = TunnelHello(
            name: settings.name, software: "gateway/1.0", offersHTTP: settings.local != nil, ports: settings.ports)
        if let session, let identity {
            hello.resumption = TunnelHello.Resumption(
                session: identity.id, secret: identity.secret, newest: session.newest, positions: session.positions)
        }
        return hello
    }

    func welcomed(_ welcome: TunnelWelcome) -> TunnelSession {
        if let session, !session.streams.isEmpty {
            log.warn("gateway has lost the session", .int("streams", session.streams.count))
        }
        session?.end(.lost, "the gateway began a new session")
        identity = (welcome.session, welcome.secret)
        let session = TunnelSession(
            role: .agent, terms: welcome.terms, carrierBacklog: limits.carrierBacklog
        ) { [weak agent] stream in agent?.accept(stream) }
        self.session = session
        return session
    }

    func resumed() -> TunnelSession? {
        cancelSessionTimer()
        return session
    }

    func toldToLeave() {
        guard !isLeaving else { return }
        log.info("gateway asks to connect anew", .int("streams", streamCount))
        leave()
        agent.replace(self)
    }

    // A session without a carrier is kept as long as the gateway keeps it.

    private func startSessionTimer() {
        guard let session, sessionEnds == .distantFuture else { return }
        sessionEnds = loop.now + .seconds(session.terms.resumeGrace)
        sessionTimer = loop.setTimer(at: sessionEnds, for: self)
    }

    private func cancelSessionTimer() {
        loop.cancelTimer(sessionTimer)
        sessionEnds = .distantFuture
    }

    func timerFired(tag: UInt32) {
        // A carrier that has asked to go on with it may hear that it does.
        if carrier == nil || carrier?.end != nil { dropSessionIfLate() }
    }

    private func dropSessionIfLate() {
        guard loop.now >= sessionEnds else { return }
        cancelSessionTimer()
        session?.end(.lost, "there was no way to the gateway for too long")
        session = nil
    }
}

// MARK: - Credentials

extension Link {
    /// The credential to show next.
    ///
    /// - Throws: When there is none but the one that was refused.
    private func nextCredential() async throws(Ending) -> Credential {
        guard let refused else { return try await readCredential() }
        let dead = Ending(
            "the gateway does not take this agent's credential, and there is no other: \(refused.reason)",
            Ending.notPermitted)
        guard refused.count < limits.refusals, !agent.settings.connection.credentials.isFixed else { throw dead }
        // Whoever renews it may be late by a little; one that was never good is another matter.
        let patience = loop.now + (hasBeenWelcome ? limits.renewal : .zero)
        while true {
            if let found = try? await readCredential(), !found.isSame(as: refused.credential) { return found }
            guard loop.now < patience else { throw dead }
            do { try await loop.sleep(limits.renewalPause) } catch { throw dead }
        }
    }

    private func readCredential() async throws(Ending) -> Credential {
        let source = agent.settings.connection.credentials
        do {
            return try await loop.offload("credential") { try source.read() }
        } catch let error as CredentialError {
            throw Ending(error.message, Ending.configuration)
        } catch {
            throw Ending("the credential cannot be read: \(error)", Ending.configuration)
        }
    }

    private func refuse(_ credential: Credential, _ reason: String) {
        refused = (credential, reason, (refused?.count ?? 0) + 1)
    }

    private func refusal(_ answer: UpstreamResponse, of credential: Credential) async -> Step {
        let status = answer.status.code
        let retryAfter = answer.header(.retryAfter).flatMap { Int($0) } ?? 0
        let body = (try? await answer.body.collect(limit: 8 << 10)) ?? []
        let reason = Refusal.reason(status: status, body: body)
        switch status {
        case 401, 403:
            refuse(credential, reason)
            guard !agent.settings.connection.credentials.isFixed else {
                return .over(Ending("the gateway refuses this agent's credential: \(reason)", Ending.notPermitted))
            }
            log.warn("gateway refuses the credential", .string("reason", reason))
            return .again(reason)
        case 404: return .again("there is no tunnel at this address: \(reason)")
        default:
            let least = min(.seconds(max(0, retryAfter)), limits.longestRetryAfter)
            return .again(reason, after: least)
        }
    }

    func tokenExpires(in seconds: Int) {
        renewal?.cancel()
        let until = loop.now + .seconds(max(0, seconds))
        renewal = loop.launch { await self.renew(until: until) }
    }

    /// Shows the gateway another token as soon as there is one.
    private func renew(until deadline: MonotonicTime) async {
        repeat {
            if let found = try? await readCredential(), let credential, !found.isSame(as: credential) {
                guard !Task.isCancelled else { return }
                self.credential = found
                carrier?.show(found)
                return
            }
            do { try await loop.sleep(limits.renewalPause) } catch { return }
        } while loop.now < deadline
        log.warn("token is about to end, and there is no other")
    }

    func tokenAnswered(isAccepted: Bool, message: String) {
        if isAccepted {
            log.info("token renewed")
        } else {
            log.warn("gateway refuses the new token", .string("reason", message))
        }
    }
}
