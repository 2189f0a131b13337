import GatewayRuntime
package import GatewayTLS
package import GatewayTelemetry
import GatewayUpstream

/// Builds everything a server consists of, out of its configuration. Opens files, but no port.
package struct ServerAssembly {
    let loops: [LoopHandle]
    let builder: GenerationBuilder
    let generation: Generation
    let metrics: ServerMetrics
    let shared: SharedState
    let logs: LogSystem
    let readiness = ReadinessSwitch()
    let certificates: ServerCertificates

    /// - Parameter certificate: Takes the place of TLS_CERTIFICATE, for development.
    /// - Throws: The first thing that stops the start, in one line.
    package init(
        _ configuration: Configuration, logs: LogSystem, certificate: SelfSignedCertificate? = nil
    ) throws(StartError) {
        let settings = configuration.core
        self.logs = logs
        let log = logs.logger("server")

        let loopCount = settings.listen.loops > 0 ? settings.listen.loops : Resources.processorCount()
        let registry = Metrics(loops: loopCount)
        do throws(MetricError) {
            metrics = try ServerMetrics(registry: registry)
        } catch {
            throw StartError("\(error)", exitCode: 70)
        }
        let report = Self.reporter(log, metrics)
        shared = SharedState(settings: settings, report: report)
        do throws(TLSContextError) {
            certificates = try ServerCertificates(development: certificate, log: log, metrics: metrics)
        } catch {
            throw StartError("TLS: \(error)", exitCode: 70)
        }
        builder = try GenerationBuilder(
            settings, loopCount: loopCount, metrics: metrics, shared: shared, logs: logs, readiness: readiness)
        generation = try builder.build(configuration, certificates.load(settings.tls), after: nil)
        loops = try Self.makeLoops(loopCount, settings, report)
        builder.install(generation)
        metrics.generation.set(generation.number)
        certificates.adopt(generation.certificates)
        registry.collect { [shared, certificates, breakers = builder.breakers] in
            shared.samples + certificates.samples + breakers.samples
        }
    }

    private static func makeLoops(
        _ count: Int, _ settings: CoreSettings, _ report: @escaping @Sendable (RuntimeReport) -> Void
    ) throws(StartError) -> [LoopHandle] {
        let workers = WorkerPool(threads: settings.listen.workerThreads)
        var loops: [LoopHandle] = []
        do throws(SystemError) {
            for index in 0..<count {
                loops.append(LoopHandle(loop: try EventLoop(index: index, workers: workers, report: report)))
            }
        } catch {
            throw StartError("cannot start an event loop: \(error)", exitCode: 71)
        }
        return loops
    }

    private static func reporter(_ log: Logger, _ metrics: ServerMetrics) -> @Sendable (RuntimeReport) -> Void {
        { report in
            switch report {
            case .slowTurn(let loop, let milliseconds):
                metrics.slowTurns.increment()
                log.warn("event loop turn took long", .int("loop", loop), .int("milliseconds", milliseconds))
            case .cannotStart(let loop, let error):
                log.error("event loop cannot start", .int("loop", loop), .error(error))
            case .acceptPaused(let loop, let error):
                metrics.acceptPauses.increment()
                log.warn("accepting rests: no descriptor is free", .int("loop", loop), .error(error))
            }
        }
    }
}
