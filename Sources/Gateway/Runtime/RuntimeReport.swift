/// What the runtime saw that an operator should know. It has no log of its own: the server turns these into lines.
package enum RuntimeReport: Sendable {
    /// Something blocked the loop for longer than ``RuntimeLimits/slowTurn``.
    case slowTurn(loop: Int, milliseconds: Int)
    case cannotStart(loop: Int, SystemError)
    /// No connection is taken until descriptors are free again.
    case acceptPaused(loop: Int, SystemError)
}
