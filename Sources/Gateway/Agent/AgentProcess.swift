import GatewayRuntime
package import GatewayTelemetry

/// One run of `gateway agent`: its loop, its signals, its end.
package enum AgentProcess {
    /// Blocks until the agent has ended. SIGTERM and SIGINT let it finish; the second of them does not.
    ///
    /// Call it before any thread starts: signals are blocked here, and threads inherit that.
    ///
    /// - Returns: Why it ended unasked; `nil` when it was asked to.
    package static func run(_ options: AgentOptions, log: Logger) -> Ending? {
        for warning in options.connection.warnings { log.warn("option to check", .string("reason", warning)) }
        let outcome: Ending?? = CommandLoop.run { loop in
            let agent: Agent
            do throws(Ending) {
                agent = try Agent(options, on: loop, log: log)
            } catch {
                return error
            }
            listen(for: agent, on: loop)
            return await agent.run()
        }
        return outcome ?? Ending("no event loop can be started", Ending.broken)
    }

    private static func listen(for agent: Agent, on loop: EventLoop) {
        // Safe: touched on the loop only.
        nonisolated(unsafe) let agent = agent
        Threads.start("signals") {
            while true {
                // Nothing is read anew at SIGHUP: files and commands are whenever they are needed.
                guard OperatorSignal.wait() == .terminate else { continue }
                loop.submit { unsafe agent.stop() }
            }
        }
    }
}
