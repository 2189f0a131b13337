package import GatewayBackplane

/// A driver as its tests hand it over: fresh, with nothing remembered.
package struct BackplaneUnderTest: Sendable {
    /// The driver.
    package let backplane: any Backplane
    /// The process's clock, in nanoseconds.
    package let now: @Sendable () -> UInt64
    /// Lets so many nanoseconds go by, on the clock of the driver's store too.
    package let advance: @Sendable (UInt64) async throws -> Void
    /// How far a time in an answer may be off, in nanoseconds: none for a driver in memory with a clock of the test's.
    package let tolerance: UInt64

    package init(
        _ backplane: any Backplane, tolerance: UInt64 = 0, now: @escaping @Sendable () -> UInt64,
        advance: @escaping @Sendable (UInt64) async throws -> Void
    ) {
        self.backplane = backplane
        self.now = now
        self.advance = advance
        self.tolerance = tolerance
    }
}

/// What a driver did otherwise than it must.
package struct ContractBroken: Error, CustomStringConvertible {
    package let description: String
}

/// What every driver of the backplane must do, case by case. A driver's tests run each of ``cases`` on a fresh one:
///
///     @Test(arguments: BackplaneContract.cases)
///     func contract(_ item: BackplaneContract.Case) async throws { try await item.run(fresh()) }
package enum BackplaneContract {
    /// One thing that a driver must do.
    package struct Case: Sendable, CustomStringConvertible {
        /// A sentence.
        package let description: String
        /// Throws ``ContractBroken`` when it does otherwise.
        package let run: @Sendable (BackplaneUnderTest) async throws -> Void

        init(_ description: String, _ run: @escaping @Sendable (Conversation) async throws -> Void) {
            self.description = description
            self.run = { try await run(Conversation($0)) }
        }
    }

    package static let cases = rates + batches + strikes + leases + together
}

/// Asks a driver and holds it to the answer.
struct Conversation: Sendable {
    static let second: UInt64 = 1_000_000_000
    static let space = BackplaneSpace("contract.one")
    static let otherSpace = BackplaneSpace("contract.two")
    /// So slow that nothing comes back while a test runs.
    static let slow = Rate(5, per: 3600 * second)
    static let rule = StrikeRule(threshold: 3, window: 10 * second, hold: 20 * second)

    let driver: BackplaneUnderTest

    init(_ driver: BackplaneUnderTest) { self.driver = driver }

    static func key(_ number: UInt64, in space: BackplaneSpace = space) -> BackplaneKey {
        BackplaneKey(space, number, number &* 0x9E37_79B9_7F4A_7C15)
    }

    func perform(_ tasks: [BackplaneTask]) async -> [BackplaneAnswer?] {
        var tasks = tasks
        await driver.backplane.settle(&tasks, now: driver.now())
        return tasks.map(\.answer)
    }

    func ask(_ key: BackplaneKey, _ operation: BackplaneOperation) async throws -> BackplaneAnswer {
        guard let answer = await perform([BackplaneTask(key, operation)])[0] else {
            throw ContractBroken(description: "\(operation) was not answered")
        }
        return answer
    }

    /// Has an operation granted or refused.
    @discardableResult
    func expect(
        _ isGranted: Bool, _ key: BackplaneKey, _ operation: BackplaneOperation, _ what: String
    ) async throws -> BackplaneAnswer {
        let answer = try await ask(key, operation)
        try hold(answer.isGranted == isGranted, "\(what): \(answer)")
        return answer
    }

    func hold(_ condition: Bool, _ what: @autoclosure () -> String) throws {
        if !condition { throw ContractBroken(description: what()) }
    }

    func holdClose(_ time: UInt64, _ expected: UInt64, _ what: String) throws {
        let off = time > expected ? time - expected : expected - time
        try hold(off <= driver.tolerance, "\(what): \(time) ns, not \(expected) ns")
    }

    func wait(_ nanoseconds: UInt64) async throws { try await driver.advance(nanoseconds) }
}
