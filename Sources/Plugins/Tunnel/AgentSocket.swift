import GatewayTunnel
import PluginKit

/// One carrier's WebSocket on its loop: the hello, then messages to and from the session.
final class AgentSocket: WebSocketHandler, TimerTarget {
    private enum Phase {
        case waiting
        case bound(AgentRecord)
        case over
    }

    private let host: AgentHost
    private let user: String
    private let credential: AgentCredential
    /// The name that the credential is bound to, if it is.
    private let boundName: String?
    private let grant: Grant?
    private let address: IPAddress
    private let loop: EventLoop
    private var socket: (any WebSocket)?
    private var phase = Phase.waiting
    private var helloTimer = TimerToken.none
    private var me: LoopBound<AgentSocket>?
    /// Passed on for a session on another loop, and not yet reported to it.
    private var unreported = 0
    /// Received, and not yet taken by a session on another loop.
    private var onTheWay = 0

    init(
        host: AgentHost, user: String, credential: AgentCredential, boundName: String?, grant: Grant?,
        address: IPAddress, loop: EventLoop
    ) {
        self.host = host
        self.user = user
        self.credential = credential
        self.boundName = boundName
        self.grant = grant
        self.address = address
        self.loop = loop
    }

    func opened(_ socket: any WebSocket) {
        self.socket = socket
        host.metrics.socketsOpened.increment()
        me = LoopBound(self, on: loop)
        helloTimer = loop.setTimer(at: loop.now + host.settings.helloTimeout, for: self, tag: Tag.hello)
    }

    func timerFired(tag: UInt32) {
        switch tag {
        case Tag.drain: closeWhenIdle()
        default: if case .waiting = phase { close(.policyViolation, "no hello came in time") }
        }
    }

    private enum Tag {
        static let hello: UInt32 = 0
        static let drain: UInt32 = 1
    }

    func received(_ message: WebSocketMessage, on socket: any WebSocket) {
        guard let me else { return }
        switch phase {
        case .over: break
        case .waiting: hello(message, me)
        case .bound(let record):
            guard mayStay(socket) else { return leave(record, "this token no longer has the right to be an agent") }
            let kind = message.kind
            if let link = record.link.here {
                unsafe message.withBytes { unsafe link.received(kind, $0, from: me) }
            } else {
                hand(message.bytes, kind, to: record, me, socket)
            }
            note(socket, record)
        }
    }

    /// Passes a message on to a session on another loop. An agent that says more than that loop can hear waits: what is
    /// on its way there would else have no limit.
    private func hand(
        _ bytes: [UInt8], _ kind: WebSocketMessage.Kind, to record: AgentRecord, _ me: LoopBound<AgentSocket>,
        _ socket: any WebSocket
    ) {
        onTheWay += bytes.count + Self.messageCost
        if onTheWay > Self.mostOnTheWay { socket.pause() }
        record.link.run { link in
            unsafe bytes.withUnsafeBytes { unsafe link.received(kind, $0, from: me) }
            me.run { $0.arrived(bytes.count) }
        }
    }

    private func arrived(_ count: Int) {
        onTheWay -= count + Self.messageCost
        if onTheWay <= Self.mostOnTheWay / 2 { socket?.resume() }
    }

    /// Bytes that may be on their way to the session's loop, where each message counts for some more.
    private static let mostOnTheWay = 1 << 20
    private static let messageCost = 128

    /// A renewed token may have fewer rights than the one before.
    private func mayStay(_ socket: any WebSocket) -> Bool {
        credential != .token || socket.principal?.has(host.settings.agentPermission) == true
    }

    private func leave(_ record: AgentRecord, _ reason: String) {
        record.link.run { $0.end(.lost, reason, closing: .forbidden) }
    }

    private func note(_ socket: any WebSocket, _ record: AgentRecord) {
        if let nanoseconds = socket.roundTripNanoseconds {
            record.traffic.roundTrip.value = Int(nanoseconds / 1000)
        }
    }

    // MARK: Hello

    private func hello(_ message: WebSocketMessage, _ me: LoopBound<AgentSocket>) {
        loop.cancelTimer(helloTimer)
        do throws(TunnelViolation) {
            guard message.kind == .text, case .hello(let hello) = try TunnelMessage(message.bytes) else {
                throw TunnelViolation("the first message is a hello")
            }
            guard boundName == nil || boundName?.isExactly(hello.name) == true else {
                return refuse(hello, .forbidden, "enrolment_other_name", "this enrolment is for another name")
            }
            if let resumption = hello.resumption, let record = resumable(hello, resumption) {
                return resume(record, resumption, me, hello)
            }
            begin(hello, me)
        } catch {
            close(.protocolError, error.message)
        }
    }

    /// Only the same credential of the same user with the session's own secret goes on with it.
    private func resumable(_ hello: TunnelHello, _ resumption: TunnelHello.Resumption) -> AgentRecord? {
        guard let record = host.directory.session(resumption.session), record.user.isExactly(user),
            record.credential == credential, record.name.isExactly(hello.name),
            resumption.secret.isTheSame(as: record.secret)
        else { return nil }
        return record
    }

    private func resume(
        _ record: AgentRecord, _ resumption: TunnelHello.Resumption, _ me: LoopBound<AgentSocket>, _ hello: TunnelHello
    ) {
        phase = .bound(record)
        let (loop, host) = (loop, host)
        record.link.run { link in
            let carrier = AgentCarrier(me)
            guard !link.resume(on: carrier, resumption) else { return host.resumed(record) }
            // It ended between the look-up and now.
            loop.submit { me.here?.begin(hello, me) }
        }
    }

    private func begin(_ hello: TunnelHello, _ me: LoopBound<AgentSocket>) {
        guard socket != nil else { return }
        guard grant?.isRevoked != true else {
            return refuse(hello, .forbidden, "enrolment_revoked", "the enrolment was revoked")
        }
        let (record, link) = host.makeSession(
            hello, user: user, credential: credential, grant: grant, address: address, loop: loop)
        switch host.directory.add(record) {
        case .listed: host.joined(record)
        case .replacing(let older): host.joined(record, replacing: older)
        case .nameTaken:
            return refuse(hello, .nameTaken, "agent_name_taken", "another agent is called \(hello.name)")
        case .tooMany: return close(.tooManyAgents, "as many agents are connected as allowed")
        }
        phase = .bound(record)
        let welcome = TunnelWelcome(session: record.session, secret: record.secret, terms: host.settings.terms)
        let carrier = AgentCarrier(me)
        carrier.send(text: TunnelMessage.welcome(welcome).text)
        link.begin(on: carrier, counting: record.traffic)
        host.follow(record)
    }

    // MARK: For the session

    var unsentBytes: Int { socket?.unsentBytes ?? 0 }

    func send(_ kind: WebSocketMessage.Kind, _ bytes: UnsafeRawBufferPointer) {
        guard let socket else { return }
        unsafe socket.send(kind, bytes)
        guard case .bound(let record) = phase else { return }
        record.traffic.bytesToAgent.add(bytes.count)
        guard record.link.here == nil else { return }
        unreported += bytes.count
        if socket.unsentBytes == 0 { report(record) }
    }

    /// Lets the session on the other loop go on.
    private func report(_ record: AgentRecord) {
        guard let me else { return }
        let count = unreported
        unreported = 0
        record.link.run { $0.drained(me, sent: count) }
    }

    /// Closes on an agent whose credential is good, and not for what its hello says. Audited, unlike other ends.
    private func refuse(_ hello: TunnelHello, _ code: CloseCode, _ word: String, _ reason: String) {
        if let socket {
            host.audit.refusal(
                "agent refused", of: user, on: socket.requestID, .string("reason", word), .string("agent", hello.name))
        }
        close(code, reason)
    }

    func close(_ code: CloseCode, _ reason: String) {
        phase = .over
        socket?.close(code, reason: reason)
    }

    func drained(_ socket: any WebSocket) {
        if case .bound(let record) = phase { report(record) }
    }

    // MARK: End

    /// The agent opens its next carrier first; what runs here finishes here.
    func draining(_ socket: any WebSocket) -> Bool {
        guard case .bound(let record) = phase else { return false }
        record.link.run { $0.tellDrain() }
        _ = loop.setTimer(at: loop.now + host.drainPause, for: self, tag: Tag.drain)
        return true
    }

    private func closeWhenIdle() {
        guard let me, socket != nil, case .bound(let record) = phase else { return }
        let loop = loop
        record.link.run { link in
            if link.openStreams == 0 {
                link.end(.lost, "the gateway ends")
            } else {
                loop.submit { me.here?.lookAgain() }
            }
        }
    }

    private func lookAgain() {
        guard socket != nil else { return }
        _ = loop.setTimer(at: loop.now + host.drainPause, for: self, tag: Tag.drain)
    }

    func closed(_ socket: any WebSocket, code: CloseCode, reason: String) {
        loop.cancelTimer(helloTimer)
        host.metrics.socketClosed(code, reason)
        self.socket = nil
        // A circle, for as long as the socket was open.
        defer { me = nil }
        guard case .bound(let record) = phase, let me else { return }
        phase = .over
        host.left(record, code)
        // After a reload the agent comes back to another instance, which does not know the session; and an agent that says
        // goodbye does not come back to it.
        let isOver = code == .serviceRestart || code == .normal
        record.link.run { $0.lost(me, forGood: isOver) }
    }
}
