import CLinux
import Glibc

// A load generator of one thread and no dependencies: what it costs must not depend on what it measures.

/// - Returns: The exit code.
func perform(_ plan: Plan) throws(Fault) -> CInt {
    try reserveDescriptors(for: plan.socketCount)
    switch plan.mode {
    case .http:
        let fields = ["Host: \(plan.hostField)"] + plan.headers
        let talk = HTTPExchange(
            method: plan.method, path: plan.path, headers: fields,
            expectedBody: plan.expectedBody.map { Array($0.utf8) })
        return try drive(Swarm(talk, target: plan.target, largestReply: 1024 * 1024), plan)
    case .webSocketEcho, .webSocketIdle:
        let talk = try WebSocketExchange(
            host: plan.hostField, path: plan.path, token: plan.token,
            message: plan.payload.bytes(count: plan.size), isText: plan.payload.isText, deflate: plan.deflate)
        let swarm = try Swarm(talk, target: plan.target, largestReply: plan.size + 64 * 1024)
        return plan.mode == .webSocketIdle ? try hold(swarm, plan) : try drive(swarm, plan)
    }
}

/// Opens, warms up, and measures; with `--wait` the start and the end are the driver's.
func drive<Talk: Exchange>(_ swarm: Swarm<Talk>, _ plan: Plan) throws(Fault) -> CInt {
    if plan.waits { try swarm.watchInput() }
    try swarm.open(plan.socketCount, abortive: false, within: 30)
    if plan.warmUp > 0 { _ = swarm.run(.init(operations: .max, seconds: plan.warmUp)) }
    if plan.waits {
        announce("ready", swarm)
        guard swarm.waitForLine() else { throw Fault("standard input ended before the line that starts the run") }
    }
    let seconds = swarm.run(.init(operations: plan.operations, seconds: plan.seconds))
    report(swarm, plan, seconds)
    if plan.waits { swarm.waitForEnd() }
    return swarm.faults.isEmpty && swarm.latency.total > 0 ? 0 : 1
}

/// Opens the sockets and keeps them until standard input ends; one that is lost meanwhile is a fault.
func hold<Talk: Exchange>(_ swarm: Swarm<Talk>, _ plan: Plan) throws(Fault) -> CInt {
    try swarm.watchInput()
    try swarm.open(plan.socketCount, abortive: true, within: 60)
    announce("open", swarm)
    swarm.waitForEnd()
    announce("end", swarm)
    return swarm.faults.isEmpty ? 0 : 1
}

func announce<Talk: Exchange>(_ event: String, _ swarm: Swarm<Talk>) {
    var line = Report(event: event)
    line.add("sockets", swarm.openCount)
    line.add("operations", swarm.latency.total)  // of the warm-up: a server's log has those too
    line.add(faults: swarm.faults)
    line.write()
}

func report<Talk: Exchange>(_ swarm: Swarm<Talk>, _ plan: Plan, _ seconds: Double) {
    var line = Report(event: "result")
    line.add("mode", text: plan.mode.rawValue)
    line.add("sockets", swarm.openCount)
    line.add("operations", swarm.latency.total)
    line.add(faults: swarm.faults)
    line.add("seconds", seconds)
    line.add("operationsPerSecond", (Double(swarm.latency.total) / seconds).rounded())
    let points = [("p50", 0.5), ("p99", 0.99), ("max", 1)]
    line.add("latencyMicroseconds", points.map { ($0.0, Double(swarm.latency.percentile($0.1)) / 1000) })
    for (name, value) in swarm.talk.facts { line.add(name, value) }
    line.write()
}

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.isEmpty || arguments == ["--help"] {
    print(Plan.help)
    exit(arguments.isEmpty ? 2 : 0)
}
do throws(Fault) {
    let plan = try Plan(arguments: arguments)
    exit(try perform(plan))
} catch {
    complain(error.reason)
    exit(2)
}
