package import GatewayUpstream

/// How long an agent waits for what. Seconds unless a field says otherwise.
package struct AgentLimits: Sendable {
    /// From the upgrade to the gateway's welcome.
    package var greeting = Duration.seconds(10)
    /// A carrier that lasted this long was a good one: the next pause is short again.
    package var stable = Duration.seconds(60)
    /// Bounds of the pause before another carrier, see ``Backoff``.
    package var shortestPause = Duration.milliseconds(500)
    package var longestPause = Duration.seconds(30)
    /// Most that a gateway's Retry-After may ask for.
    package var longestRetryAfter = Duration.seconds(300)
    /// How long a file or command that still has the refused token may take to bring another.
    package var renewal = Duration.seconds(10)
    /// Pause between looks at it, also before a token expires.
    package var renewalPause = Duration.seconds(1)
    /// Credentials refused in a row after which another is not tried.
    package var refusals = 3
    /// How long streams may take to finish once the agent is to end.
    package var grace = Duration.seconds(20)
    /// Of the local server. The gateway has limits of its own, and tells the agent when they have passed.
    package var local = UpstreamTimeouts(connect: .seconds(10), firstByte: .seconds(3600), idle: .seconds(3600))
    /// Unsent bytes of a carrier at which the streams wait.
    package var carrierBacklog = 128 << 10

    package init() {}
}
