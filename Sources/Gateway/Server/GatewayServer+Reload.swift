import GatewayConfig
import GatewayLocks
import GatewayRuntime
import GatewayTelemetry
import PluginKit

extension GatewayServer {
    /// How long the loops may take to say what becomes of their sockets. A loop that something blocks holds up nobody else.
    private static let answerTime = Duration.seconds(5)

    /// What ``reload(_:)`` with the same configuration would do, without doing it.
    ///
    /// Blocks the calling thread, which must not be a loop's, for some seconds at most.
    package func plan(_ configuration: Configuration) -> ReloadReport {
        changing.withLock { _ in
            var report = ReloadReport()
            guard let next = prepare(configuration, &report) else { return report }
            let change = GenerationChange(from: generation, to: next)
            let ports = changeOfPorts(to: next)
            report.describe(change, started: started)
            report.opened = ports.opening.map { "\($0.entry.name) \($0.listen)" }
            report.closed = ports.closing.map(\.description)
            wait(for: ask { $0.server?.count(change) ?? SocketTally() }, &report)
            return report
        }
    }

    /// Goes over to another configuration, as a whole or not at all.
    ///
    /// Requests under way finish under the old one; kept-alive connections find the new one with their next request;
    /// WebSockets close as ``plan(_:)`` says. Blocks the calling thread, which must not be a loop's, for some seconds at
    /// most. Several calls at once have their turns.
    package func reload(_ configuration: Configuration) -> ReloadReport {
        changing.withLock { _ in
            var report = ReloadReport()
            apply(configuration, &report)
            metrics.reloads.with(report.problems.isEmpty ? "applied" : "refused").increment()
            if report.hasBadCertificates {
                metrics.certificateReloads.with("failed").increment()
            } else if report.problems.isEmpty, generation.tls != nil {
                metrics.certificateReloads.with("ok").increment()
            }
            tell(report)
            return report
        }
    }

    /// The next generation to the last detail, apart from its metrics; `nil` after problems.
    private func prepare(_ configuration: Configuration, _ report: inout ReloadReport) -> Generation? {
        report.warnings = configuration.warnings
        report.problems = configuration.problems
        if state.withLock({ $0.isDraining }) { report.problems = ["the gateway is shutting down"] }
        guard report.problems.isEmpty else { return nil }
        do throws(StartError) {
            let loaded = try certificates.load(configuration.core.tls)
            do throws(StartError) {
                let next = try builder.build(configuration, loaded, after: generation, isTrial: true)
                try refuseSharedPorts(of: next)
                return next
            } catch {
                report.problems = [error.description]
            }
        } catch {
            report.problems = [error.description]
            report.hasBadCertificates = true
        }
        return nil
    }

    private func apply(_ configuration: Configuration, _ report: inout ReloadReport) {
        guard let trial = prepare(configuration, &report) else { return }
        let ports = changeOfPorts(to: trial)
        var opened: [BoundPort] = []
        do throws(StartError) {
            for wanted in ports.opening {
                opened.append(try bind(wanted.entry, wanted.listen, for: trial, isOwn: isOwn(wanted.listen)))
            }
            let next = try builder.build(configuration, trial.certificates, after: generation)
            try next.openResources(after: generation)
            let change = GenerationChange(from: generation, to: next)
            report.describe(change, started: started)
            report.opened = opened.map(\.description)
            report.closed = ports.closing.map(\.description)
            swap(change, opening: opened, closing: ports.closing, &report)
        } catch {
            for port in opened { port.discard() }
            report.problems = [error.description]
        }
    }

    private func swap(
        _ change: GenerationChange, opening: [BoundPort], closing: [BoundPort], _ report: inout ReloadReport
    ) {
        let next = change.new
        builder.install(next)
        let numbers = closing.map(\.number)
        state.withLock { state in
            state.generation = next
            state.ports = state.ports.filter { !numbers.contains($0.number) } + opening
        }
        let upstream = builder.upstream
        // Under the lock of the certificates, so that no loop is left with those of the files before.
        var answers: Answers?
        certificates.adopt(next.certificates) {
            answers = ask { [self] handle in
                upstream.adopt()
                let owners = next.services.map { ObjectIdentifier($0.owner) } + [ObjectIdentifier(certificates)]
                handle.endServices { !owners.contains(ObjectIdentifier($0)) }
                return handle.server?.adopt(change, opening: opened(opening, handle.loop.index), closing: numbers)
                    ?? SocketTally()
            }
        }
        if let answers { wait(for: answers, &report) }
        // Not before: who waits for it may rely on being served by it.
        metrics.generation.set(next.number)
        let running = Set(change.old.services.map { ObjectIdentifier($0.owner) })
        startServices(next.services.filter { !running.contains(ObjectIdentifier($0.owner)) })
    }

    /// Has `question` run on every loop.
    private func ask(_ question: @escaping @Sendable (LoopHandle) -> SocketTally) -> Answers {
        let answers = Answers(loops.count)
        for handle in loops {
            handle.loop.submit { answers.add(question(handle)) }
        }
        return answers
    }

    /// Adds up the answers.
    private func wait(for answers: Answers, _ report: inout ReloadReport) {
        _ = answers.countdown.wait(atMost: Self.answerTime)
        let (tally, count) = answers.value
        report.sockets = tally
        report.silentLoops = loops.count - count
    }

    private final class Answers: Sendable {
        let countdown: Countdown
        private let sum = Guarded<(tally: SocketTally, count: Int)>((SocketTally(), 0))

        init(_ count: Int) { countdown = Countdown(count) }

        func add(_ tally: SocketTally) {
            sum.withLock { sum in
                sum.tally.add(tally)
                sum.count += 1
            }
            countdown.finishOne()
        }

        var value: (SocketTally, Int) { sum.withLock { ($0.tally, $0.count) } }
    }

    // MARK: Ports

    private func changeOfPorts(
        to next: Generation
    ) -> (opening: [(entry: EntryPoint, listen: ListenAddress)], closing: [BoundPort]) {
        let ports = state.withLock { $0.ports }
        let wanted = next.wantedPorts
        let opening = wanted.filter { one in !ports.contains { $0.entry == one.entry && $0.listen == one.listen } }
        let closing = ports.filter { port in
            !wanted.contains { $0.entry == port.entry && $0.listen == port.listen }
        }
        // Those that nobody can know of yet come first: if one is taken, nothing has happened to the others.
        return (opening.filter { !isOwn($0.listen) } + opening.filter { isOwn($0.listen) }, closing)
    }

    /// Several sockets of this process on one address would share its connections, whichever entry point they are for:
    /// clients of one would come out at another.
    private func refuseSharedPorts(of next: Generation) throws(StartError) {
        let (opening, closing) = changeOfPorts(to: next)
        let leaving = closing.map(\.number)
        var taken = state.withLock { $0.ports }.filter { !leaving.contains($0.number) }.map { ($0.entry, $0.address) }
        for (entry, listen) in opening {
            let address = try BoundPort.resolve(listen)
            if let other = taken.first(where: { $0.1.overlaps(address) }) {
                throw BoundPort.shared(address, entry, with: other.0)
            }
            taken.append((entry, address))
        }
    }

    private func isOwn(_ listen: ListenAddress) -> Bool {
        listen.port != 0 && state.withLock { $0.ports.contains { $0.address.port == listen.port.number } }
    }

    // MARK: Telling

    /// One line for each attempt; what is wrong has lines of its own.
    private func tell(_ report: ReloadReport) {
        for warning in report.warnings { log.warn("setting to check", .string("reason", warning)) }
        guard report.problems.isEmpty else {
            for problem in report.problems { log.error("setting refused", .string("reason", problem)) }
            log.error("settings not applied: nothing has changed", .int("problems", report.problems.count))
            return
        }
        let optional: [(StaticString, String)] = [
            ("settings", report.settings.map(\.name).joined(separator: ",")), ("plugins", report.plugins),
            ("opened", report.opened.joined(separator: ",")), ("closed", report.closed.joined(separator: ",")),
            ("next_start", report.restart.joined(separator: ",")),
        ]
        let details = optional.filter { !$0.1.isEmpty }.map { LogField.string($0.0, $0.1) }
        log.log(
            .info, "settings applied",
            fields: [.int("generation", generation.number), .string("sockets", report.summary)] + details)
    }
}
