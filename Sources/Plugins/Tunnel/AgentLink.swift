import GatewayTunnel
import PluginKit

/// The session of one agent on its loop: which carrier it has, and how long it waits for the next.
final class AgentLink: TimerTarget {
    private let loop: EventLoop
    private let session: TunnelSession
    private let grace: Duration
    /// Told once, when the session is over.
    private let onEnd: () -> Void
    private var carrier: AgentCarrier?
    private var graceTimer = TimerToken.none
    private var isOver = false
    private var traffic: AgentTraffic?

    /// - Parameter onEnd: Called on `loop`.
    init(loop: EventLoop, terms: TunnelTerms, onEnd: @escaping () -> Void) {
        self.loop = loop
        session = TunnelSession(role: .gateway, terms: terms)
        grace = .seconds(terms.resumeGrace)
        self.onEnd = onEnd
    }

    var openStreams: Int { session.streams.count }

    // MARK: Carriers

    func begin(on carrier: AgentCarrier, counting traffic: AgentTraffic) {
        self.traffic = traffic
        self.carrier = carrier
        session.attach(carrier)
    }

    /// - Returns: `false` when the session has ended meanwhile.
    func resume(on carrier: AgentCarrier, _ resumption: TunnelHello.Resumption) -> Bool {
        guard !isOver else { return false }
        // The one before may be half open: its end has not been noticed yet.
        self.carrier?.close(.goingAway, "the session goes on over another connection")
        loop.cancelTimer(graceTimer)
        self.carrier = carrier
        traffic?.isAttached = true
        session.resume(on: carrier, positions: resumption.positions, newest: resumption.newest)
        return true
    }

    /// The socket is gone. Its session waits for another, unless none can come.
    func lost(_ socket: LoopBound<AgentSocket>, forGood: Bool) {
        guard let carrier, carrier.isOn(socket), !isOver else { return }
        self.carrier = nil
        session.detach()
        traffic?.isAttached = false
        guard grace > .zero, !forGood else { return end(.lost, "the agent's connection broke") }
        graceTimer = loop.setTimer(at: loop.now + grace, for: self)
    }

    func timerFired(tag: UInt32) { end(.lost, "the agent did not come back") }

    /// Ends the session and every stream.
    ///
    /// - Parameter code: Tells the agent why, if it can be told.
    func end(_ reason: TunnelReset, _ message: String, closing code: CloseCode = .goingAway) {
        guard !isOver else { return }
        isOver = true
        loop.cancelTimer(graceTimer)
        let carrier = carrier
        self.carrier = nil
        session.end(reason, message)
        carrier?.close(code, message)
        onEnd()
    }

    // MARK: Messages

    func received(_ kind: WebSocketMessage.Kind, _ bytes: UnsafeRawBufferPointer, from socket: LoopBound<AgentSocket>) {
        // Of a carrier that another has taken the place of.
        guard let carrier, carrier.isOn(socket) else { return }
        do throws(TunnelViolation) {
            switch kind {
            case .binary:
                traffic?.bytesFromAgent.add(bytes.count)
                unsafe try session.receive(binary: bytes)
            case .text:
                if let other = unsafe try session.receive(text: Array(bytes)) { try refuse(other) }
            }
        } catch {
            end(.lost, error.message, closing: .protocolError)
        }
    }

    private func refuse(_ message: TunnelMessage) throws(TunnelViolation) {
        // Of a later version, which may say more.
        if case .other = message { return }
        throw TunnelViolation("this message has no place in a session under way")
    }

    func drained(_ socket: LoopBound<AgentSocket>, sent count: Int) {
        guard let carrier, carrier.isOn(socket) else { return }
        carrier.sent(count)
        session.pump()
    }

    func tellDrain() { session.tell(.drain) }

    // MARK: Streams

    /// Opens a stream for a consumer.
    ///
    /// - Throws: When the agent serves as many as it may, or its session is over.
    func open(
        _ request: StreamRequest, ends: Bool, for exchange: LoopBound<Exchange>
    ) throws(TunnelFailure) -> ExchangePort {
        guard !isOver else { throw .reset(.lost, "the agent has just left") }
        let port = ExchangePort(exchange)
        guard let stream = session.open(request, ends: ends, handler: port) else {
            throw .channelLimit(session.terms.streams)
        }
        traffic?.requests.add()
        port.begin(stream, traffic)
        return port
    }
}

extension CloseCode {
    /// The same credential has connected again.
    static let replaced = CloseCode(rawValue: 4408)
    static let forbidden = CloseCode(rawValue: 4403)
    static let noAgent = CloseCode(rawValue: 4404)
    static let nameTaken = CloseCode(rawValue: 4409)
    static let tooManyAgents = CloseCode(rawValue: 4429)
    static let unreachable = CloseCode(rawValue: 4502)
}
