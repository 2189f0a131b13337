import GatewayRuntime
import GatewayTelemetry
import GatewayTestSupport

@testable import GatewayAgent

/// An agent on a loop of its own.
final class RunningAgent: Sendable {
    private final class Place {
        var agent: Agent?
    }

    private let thread: LoopThread
    private let place: LoopBound<Place>
    private let outcome = Outcome<Ending?>()

    init(_ options: AgentOptions, log: Logger) throws {
        thread = try LoopThread()
        let (loop, outcome) = (thread.loop, outcome)
        place = LoopBound(Place(), on: loop)
        place.run { place in
            loop.launch {
                do throws(Ending) {
                    let agent = try Agent(options, on: loop, log: log)
                    place.agent = agent
                    outcome.set(.success(await agent.run()))
                } catch {
                    outcome.set(.failure(error))
                }
            }
        }
    }

    /// Asks it to end.
    func stop() { place.run { $0.agent?.stop() } }

    /// How it ended; waits for it.
    func ending() throws -> Ending? { try outcome.value() }

    /// Ends its loop, whatever runs there.
    func stopLoop() { try? thread.stop() }
}
