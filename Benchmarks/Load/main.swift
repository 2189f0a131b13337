import CLinux
import Glibc

// A load generator of one thread and no dependencies: what it costs must not depend on what it measures.

/// - Returns: The exit code.
func perform(_ plan: Plan) throws(Fault) -> CInt {
    try reserveDescriptors(for: plan.socketCount)
    let cipher = try plan.cipher
    switch plan.mode {
    case .http:
        let fields = ["Host: \(plan.hostField)"] + plan.headers
        let talk = HTTPExchange(
            method: plan.method, path: plan.path, headers: fields, expectedBody: try plan.expectedBody)
        return try drive(Swarm(talk, plan, cipher, largestReply: 128 * 1024), plan)
    case .webSocketEcho, .webSocketIdle:
        let talk = try WebSocketExchange(
            host: plan.hostField, path: plan.path, token: plan.token,
            message: plan.payload.bytes(count: plan.size), isText: plan.payload.isText, deflate: plan.deflate)
        let swarm = try Swarm(talk, plan, cipher, largestReply: plan.size + 64 * 1024)
        return plan.mode == .webSocketIdle ? try hold(swarm) : try drive(swarm, plan)
    case .handshake:
        guard let cipher else { throw Fault("tls-handshake needs --tls") }
        return try drive(Handshakes(plan, cipher), plan)
    }
}

extension Plan {
    var cipher: TLSClient? {
        get throws(Fault) {
            guard let certificate else { return nil }
            return try TLSClient(certificate: certificate)
        }
    }

    var expectedBody: ExpectedBody? {
        get throws(Fault) {
            if let expectedFile { return try ExpectedBody(file: expectedFile, length: expectedLength) }
            return expectedText.map(ExpectedBody.init(text:))
        }
    }
}

/// Opens, warms up, and measures; with `--wait` the start and the end are the driver's.
func drive(_ work: some ClosedLoop, _ plan: Plan) throws(Fault) -> CInt {
    if plan.waits { try work.watchInput() }
    try work.open()
    if plan.warmUp > 0 { _ = work.run(Bounds(operations: .max, seconds: plan.warmUp)) }
    if plan.waits {
        announce("ready", work)
        guard work.waitForLine() else { throw Fault("standard input ended before the line that starts the run") }
    }
    let seconds = work.run(Bounds(operations: plan.operations, seconds: plan.seconds))
    report(work, plan, seconds)
    if plan.waits { work.waitForEnd() }
    return work.faults.isEmpty && work.latency.total > 0 ? 0 : 1
}

/// Opens the sockets and keeps them until standard input ends; one that is lost meanwhile is a fault.
func hold(_ work: some ClosedLoop) throws(Fault) -> CInt {
    try work.watchInput()
    try work.open()
    announce("open", work)
    work.waitForEnd()
    announce("end", work)
    return work.faults.isEmpty ? 0 : 1
}

func announce(_ event: String, _ work: some ClosedLoop) {
    var line = Report(event: event)
    line.add("sockets", work.openCount)
    line.add("operations", work.latency.total)  // of the warm-up: a server's log has those too
    line.add(faults: work.faults)
    line.write()
}

func report(_ work: some ClosedLoop, _ plan: Plan, _ seconds: Double) {
    var line = Report(event: "result")
    line.add("mode", text: plan.mode.rawValue)
    line.add("sockets", work.openCount)
    line.add("operations", work.latency.total)
    line.add(faults: work.faults)
    line.add("seconds", seconds)
    line.add("operationsPerSecond", (Double(work.latency.total) / seconds).rounded())
    let points = [("p50", 0.5), ("p99", 0.99), ("max", 1)]
    line.add("latencyMicroseconds", points.map { ($0.0, Double(work.latency.percentile($0.1)) / 1000) })
    for (name, value) in work.facts { line.add(name, value) }
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
