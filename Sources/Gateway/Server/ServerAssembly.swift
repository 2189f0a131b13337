import GatewayRuntime
package import GatewayTLS
package import GatewayTelemetry

/// Builds everything a server consists of, out of its configuration. Opens files, but no port.
package struct ServerAssembly {
    let loops: [LoopHandle]
    let builder: GenerationBuilder
    let generation: Generation
    let metrics: ServerMetrics
    let shared: SharedState
    let logs: LogSystem
    let readiness = ReadinessSwitch()

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
        builder = try GenerationBuilder(
            settings, loopCount: loopCount, metrics: metrics, shared: shared, logs: logs, readiness: readiness,
            makeTLS: try Self.tlsMaker(certificate))
        generation = try builder.build(configuration, after: nil)
        loops = try Self.makeLoops(loopCount, settings, report)
        builder.install(generation)
        registry.collect { [shared] in shared.samples }
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

    /// What makes the TLS of each generation. The keys of tickets are the same for all: whoever has a ticket resumes.
    private static func tlsMaker(
        _ certificate: SelfSignedCertificate?
    ) throws(StartError) -> GenerationBuilder.TLSMaking {
        let ticketKeys: TLSTicketKeys
        do throws(TLSContextError) {
            ticketKeys = try TLSTicketKeys.generate()
        } catch {
            throw StartError("TLS: \(error)")
        }
        return { (settings, log) throws(StartError) in try makeTLS(settings, certificate, ticketKeys, log) }
    }

    private static func makeTLS(
        _ settings: TLSSettings, _ certificate: SelfSignedCertificate?, _ ticketKeys: TLSTicketKeys, _ log: Logger
    ) throws(StartError) -> TLSServerContext? {
        guard settings.isEnabled || certificate != nil else { return nil }
        do {
            var certificates: [TLSCertificate] = []
            if let certificate {
                certificates.append(
                    try TLSCertificate.load(
                        chainPEM: certificate.certificatePEM, keyPEM: certificate.privateKeyPEM))
            }
            for (chain, key) in zip(settings.certificates, settings.keys) {
                certificates.append(try TLSCertificate.load(chainFile: chain, keyFile: key))
            }
            for certificate in certificates {
                for warning in certificate.warnings {
                    log.warn(
                        "certificate", .string("source", certificate.source), .string("warning", "\(warning)"))
                }
            }
            return try TLSServerContext.make(certificates: certificates, ticketKeys: ticketKeys)
        } catch {
            throw StartError("TLS: \(error)")
        }
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
