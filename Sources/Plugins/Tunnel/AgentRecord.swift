import GatewayTunnel
import PluginKit
import Synchronization

/// What an agent showed to be let in. Its name is taken for whoever shows the same.
enum AgentCredential: Hashable, Sendable {
    /// A token of the user's with the right to be an agent.
    case token
    case enrolment(id: String)
}

/// One connected agent, or one whose carrier broke a moment ago. Shared by all loops.
final class AgentRecord: Sendable {
    let user: String
    let name: String
    let credential: AgentCredential
    let session: String
    let secret: Secret
    let software: String
    let offersHTTP: Bool
    let ports: [UInt16]
    /// Seconds since 1970.
    let connectedAt: Double
    let address: IPAddress
    let link: LoopBound<AgentLink>
    /// Of the server behind the agent, as far as HTTP goes.
    let breaker: CircuitBreaker
    /// Of its enrolment: revoked, it ends the session.
    let grant: Grant?
    let traffic = AgentTraffic()

    init(
        user: String, credential: AgentCredential, session: String, secret: Secret, hello: TunnelHello,
        connectedAt: Double, address: IPAddress, link: LoopBound<AgentLink>, breaker: CircuitBreaker, grant: Grant?
    ) {
        self.user = user
        self.name = hello.name
        self.credential = credential
        self.session = session
        self.secret = secret
        software = hello.software
        offersHTTP = hello.offersHTTP
        ports = hello.ports
        self.connectedAt = connectedAt
        self.address = address
        self.link = link
        self.breaker = breaker
        self.grant = grant
    }

    func offers(_ request: StreamRequest) -> Bool {
        switch request {
        case .http: offersHTTP
        case .tcp(let port): ports.contains(port)
        }
    }
}

extension Secret {
    /// Compared in the same time whatever they are.
    func isTheSame(as other: Secret) -> Bool { unsafe other.withBytes { unsafe equals(Array($0)) } }
}

/// What is counted of one agent, by its loop and those of its consumers.
final class AgentTraffic: Sendable {
    let requests = Tally()
    let failures = Tally()
    let openStreams = Tally()
    let bytesToAgent = Tally()
    let bytesFromAgent = Tally()
    /// Of the newest ping, in microseconds; 0 before the first.
    let roundTrip = Tally()
    /// Answers that have begun, how long their heads took, and when the newest did, in seconds since 1970.
    let answers = Tally()
    let answerMicroseconds = Tally()
    let newestAnswer = Tally()
    private let attached = Atomic(true)

    /// The head of an answer has come.
    func answered(after microseconds: Int) {
        answers.add()
        answerMicroseconds.add(microseconds)
        newestAnswer.value = Int(WallClock.read().seconds)
    }

    /// Whether it has a carrier now.
    var isAttached: Bool {
        get { attached.load(ordering: .relaxed) }
        set { attached.store(newValue, ordering: .relaxed) }
    }
}

/// A number that several threads count.
final class Tally: Sendable {
    private let number = Atomic(0)

    var value: Int {
        get { number.load(ordering: .relaxed) }
        set { number.store(newValue, ordering: .relaxed) }
    }

    func add(_ amount: Int = 1) { number.add(amount, ordering: .relaxed) }
}
