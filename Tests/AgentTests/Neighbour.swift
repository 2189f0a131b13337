import GatewayLocks
import GatewayRuntime
import GatewayTestSupport

/// A server beside the agent that does to the byte what a test says, and notes what it is asked.
final class Neighbour: Sendable {
    private let server: ScriptedServer
    private let heads = Guarded<[String]>([])

    /// - Parameter script: Called for each connection. What it throws ends the connection.
    init(_ script: @escaping @Sendable (ScriptedPeer) throws -> Void) throws {
        let heads = heads
        server = try ScriptedServer { talk, _ in
            talk.onHead = { head in heads.withLock { $0.append(head) } }
            try script(talk)
        }
    }

    var port: UInt16 { server.address.port }

    var url: String { "http://127.0.0.1:\(port)" }

    /// The heads of all requests so far.
    var requests: [String] { heads.withLock { $0 } }

    /// Answers every request alike, and keeps the connection.
    static func answering(_ answer: String) throws -> Neighbour {
        try Neighbour { talk in
            while true {
                _ = try talk.readHead()
                try talk.write(answer)
            }
        }
    }
}
