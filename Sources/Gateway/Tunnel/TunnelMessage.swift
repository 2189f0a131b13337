package import GatewayBytes

/// A text message of a carrier. docs/TUNNEL-PROTOCOL.md shows each with its members.
package enum TunnelMessage: Sendable {
    /// Agent, first of all.
    case hello(TunnelHello)
    /// Gateway: a new session. Streams of an earlier one are dead.
    case welcome(TunnelWelcome)
    /// Gateway: the session goes on.
    case resumed([StreamPosition])
    /// Gateway: a stream begins.
    case open(UInt32, StreamRequest, ends: Bool)
    /// Agent: the answer's head.
    case head(UInt32, StreamAnswer)
    /// Either: bytes of the other's direction consumed since the stream began, and whether they are known to be all.
    case window(UInt32, consumed: UInt64, ended: Bool)
    /// Either: the stream is over, at once and in both directions.
    case reset(UInt32, TunnelReset, String)
    /// Gateway: it will end soon. Open the next carrier first; streams under way still finish here.
    case drain
    /// Of a later version, or the gateway's own about tokens: not for the session.
    case other(type: String, JSON)
}

/// How an agent introduces itself.
package struct TunnelHello: Sendable {
    /// A session to go on with.
    package struct Resumption: Sendable {
        package var session: String
        package var secret: Secret
        /// The newest stream the agent has seen opened; later ones are opened anew.
        package var newest: UInt32
        /// All streams it has.
        package var positions: [StreamPosition]

        package init(session: String, secret: Secret, newest: UInt32, positions: [StreamPosition]) {
            self.session = session
            self.secret = secret
            self.newest = newest
            self.positions = positions
        }
    }

    /// How consumers call the agent; unique among its user's.
    package var name: String
    /// What program it is, for people.
    package var software: String
    /// Whether it serves HTTP streams.
    package var offersHTTP: Bool
    /// The ports it serves TCP streams to.
    package var ports: [UInt16]
    package var resumption: Resumption?

    package init(
        name: String, software: String, offersHTTP: Bool, ports: [UInt16], resumption: Resumption? = nil
    ) {
        self.name = name
        self.software = software
        self.offersHTTP = offersHTTP
        self.ports = ports
        self.resumption = resumption
    }
}

/// How the gateway answers a hello that begins a session.
package struct TunnelWelcome: Sendable {
    package var session: String
    /// Who shows it may resume the session. Known to this agent only.
    package var secret: Secret
    package var terms: TunnelTerms

    package init(session: String, secret: Secret, terms: TunnelTerms) {
        self.session = session
        self.secret = secret
        self.terms = terms
    }
}
