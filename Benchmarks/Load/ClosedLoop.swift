/// Work that goes on as long as it is answered: what a measured run needs of it.
protocol ClosedLoop: AnyObject {
    /// Connections, or places for them, that have not failed.
    var openCount: Int { get }
    /// Of the operations of the last run.
    var latency: Histogram { get }
    var faults: [Fault: Int] { get }
    /// Facts for the report that only this kind of work knows.
    var facts: [(String, Int)] { get }

    /// Needed before any wait.
    func watchInput() throws(Fault)

    /// Everything that is to be there before the first operation.
    func open() throws(Fault)

    /// Works until the bounds are reached and the last replies are in. A reply that is five seconds late is a fault.
    ///
    /// - Returns: Seconds from the first request to the last reply.
    func run(_ bounds: Bounds) -> Double

    /// Holds what is open until a line comes in on standard input or it ends.
    ///
    /// - Returns: Whether it was a line.
    func waitForLine() -> Bool

    /// Holds what is open until standard input ends.
    func waitForEnd()
}

/// What limits a run: whichever comes first ends it.
struct Bounds {
    let operations: Int
    let seconds: Double
}
