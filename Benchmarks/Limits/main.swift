import GatewayAuth
import GatewayBackplane
import GatewayBytes
import GatewayConfig
import GatewayRuntime
import GatewayTelemetry
import PluginKit

// What a limit costs: nanoseconds for one check, on one thread, over a million users. `make bench-limits`.

/// Runs `body` so often and tells the time of one round; the quickest of five runs, since others use the machine too.
func measure(_ name: String, rounds: Int, _ body: (Int) -> Bool) {
    var best = UInt64.max
    var granted = 0
    for _ in 0..<5 {
        let start = MonotonicTime.read()
        for round in 0..<rounds where body(round) { granted += 1 }
        best = min(best, MonotonicTime.read().nanoseconds(since: start))
    }
    let label = name + String(repeating: " ", count: max(1, 44 - name.utf8.count))
    print("\(label)\(best / UInt64(rounds)) ns, \(granted * 100 / (rounds * 5)) % granted")
}

let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 1_000_000
let backplane = MemoryBackplane(limits: MemoryBackplane.Limits(keys: 1_048_576))
let loop = try EventLoop(index: 0, workers: WorkerPool(threads: 1))
let now = loop.now.nanoseconds
let space = BackplaneSpace("benchmark")

measure("one rate, one user", rounds: rounds) { _ in
    var tasks = [BackplaneTask(BackplaneKey(space, 1, 1), .take(.perMinute(1_000_000_000), cost: 1))]
    return backplane.performAtOnce(&tasks, now: now) && tasks[0].isGranted
}
measure("one rate, as many users as rounds", rounds: rounds) { round in
    let key = BackplaneKey(space, UInt64(round) &* 0x9E37_79B9_7F4A_7C15, UInt64(round))
    var tasks = [BackplaneTask(key, .take(.perMinute(100), cost: 1))]
    return backplane.performAtOnce(&tasks, now: now) && tasks[0].isGranted
}

var env = SettingsReader(environment: ["RATE_LIMIT_REQUESTS_PER_MINUTE": "10000000"]) { (_, _) throws(SettingError) in
    []
}
let limit = RateLimit(
    "benchmark.requests", RateRules(),
    limiting: RateLimiting(
        service: RateLimitService(backplane: backplane, settings: RateLimitSettings(from: &env)),
        violations: .unregistered(labels: ["limit", "kind"])),
    log: LogSystem(level: .error, format: .text, sink: LogSink(limit: .zero) { _ in true }).logger("benchmark"))
let users = (0..<1024).map { number in
    RateSubject(Principal(subject: "user \(number)", issuer: "https://issuer.test", expiry: 1e12))
}

measure("a message: RateLimit.check, 1,024 users", rounds: rounds) { round in
    if case .allowed = limit.check(.request, of: users[round & 1023], on: loop) { return true }
    return false
}
