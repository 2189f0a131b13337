/// How long to wait before the next attempt: anything up to a bound that doubles with each failure ("full jitter").
///
/// A thousand agents that lost their gateway at the same moment come back spread over the whole bound, not in step.
struct Backoff {
    /// The first bound.
    let base: Duration
    /// The bound that is not exceeded.
    let cap: Duration
    private(set) var failures = 0

    init(base: Duration = .milliseconds(500), cap: Duration = .seconds(30)) {
        self.base = base
        self.cap = cap
    }

    /// The bound of the next pause.
    var bound: Duration { min(cap, base * (1 << min(failures, 20))) }

    /// A pause, and a longer bound for the next.
    mutating func next(using dice: inout some RandomNumberGenerator) -> Duration {
        let pause = bound * Double.random(in: 0...1, using: &dice)
        failures += 1
        return pause
    }

    /// All is well again.
    mutating func reset() { failures = 0 }
}
