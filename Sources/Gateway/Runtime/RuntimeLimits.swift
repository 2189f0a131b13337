package import GatewayBytes

/// Bounds of one event loop. The defaults are what the settings default to.
package struct RuntimeLimits: Sendable {
    /// Received at once, per loop: parsed in place, never kept.
    package var receiveBuffer: ByteCount = .kibibytes(128)
    /// First size of the loop's shared output buffer; senders flush before it would have to grow much.
    package var outputBuffer: ByteCount = .kibibytes(128)
    /// Most connections whose output waits for the end of a turn, so that the first of many is not kept waiting by them.
    package var corkedOutputs = 128
    /// Most events taken from the kernel in one turn.
    package var eventsPerTurn = 512
    /// Most pipes kept for the next relay, per loop; each takes two descriptors.
    package var idlePipes = 8
    /// Most jobs run because of one event, so that a busy task leaves room for others.
    package var jobsPerEvent = 256
    /// Most jobs run at the end of a turn.
    package var jobsPerTurn = 4096
    /// A longer turn is logged: something blocked the loop.
    package var slowTurn: Duration = .milliseconds(50)

    package init() {}
}
