import GatewayLocks
import GatewayRuntime
package import GatewayTLS
import GatewayTelemetry
import PluginKit

/// What the files of TLS_CERTIFICATE and its companions say, and the ticket keys, over the life of the process.
///
/// Reading and using are two steps. ``load(_:)`` reads everything, or says what is wrong and changes nothing;
/// ``adopt(_:publish:)`` makes it what new connections begin with. Whatever is published is published under one lock, so
/// that no loop ends up with an older state than another. Everything here blocks on the disk or on that lock: never call
/// it on a loop.
package final class ServerCertificates: Sendable {
    /// Everything that one reading of the files gave: it fits together, and OpenSSL will serve it.
    package struct Loaded: Sendable {
        /// `nil` when TLS is off.
        package let context: TLSServerContext?
        let settings: TLSSettings
        let certificates: [TLSCertificate]
        let ticketKeys: TLSTicketKeyFiles
        /// Of the files before they were read: what changes meanwhile is noticed the next time.
        let stamps: [FileStamp?]
    }

    private struct State {
        var loaded: Loaded?
        /// The files that could not be used, and how often they were tried.
        var failure: (stamps: [FileStamp?], attempts: Int)?
        var nextLook = ContinuousClock.now
        var nextRotation = ContinuousClock.now
        var nextNotice = ContinuousClock.now
    }

    private let keys: TLSTicketKeys
    private let development: SelfSignedCertificate?
    private let log: Logger
    private let metrics: ServerMetrics
    private let state = Guarded(State())
    /// The certificates of ``State/loaded`` for whoever must not wait: `state` is held while files are read and while
    /// loops are waited for.
    private let inUse = Guarded<[TLSCertificate]>([])

    /// Certificate and key are seldom replaced at the same moment: the first failure of a look may be such a moment.
    private static let attemptsBeforeError = 2
    private static let noticeInterval = Duration.seconds(86_400)
    private static let shortestPause = Duration.milliseconds(100)
    /// Keys whose time is up do not stay in memory for long, nor other settings unnoticed.
    private static let longestPause = Duration.seconds(60)

    /// - Parameter development: A certificate that comes before those of files.
    init(development: SelfSignedCertificate?, log: Logger, metrics: ServerMetrics) throws(TLSContextError) {
        keys = try TLSTicketKeys.generate()
        self.development = development
        self.log = log
        self.metrics = metrics
    }

    // MARK: Reading and using

    /// Reads the files that `settings` name. What is in use stays as it is.
    ///
    /// - Throws: The first thing that is wrong, in one line.
    package func load(_ settings: TLSSettings) throws(StartError) -> Loaded {
        let stamps = settings.files.map(FileStamp.of)
        do {
            let certificates = try certificates(settings)
            let ticketKeys = try TLSTicketKeyFiles.load(settings.ticketKeys)
            let clients = try Self.clients(settings)
            if certificates.isEmpty, clients != nil {
                throw StartError("TLS_CLIENT_VERIFY needs TLS_CERTIFICATE: without TLS nobody can show a certificate")
            }
            let context =
                certificates.isEmpty
                ? nil : try TLSServerContext.make(certificates: certificates, ticketKeys: keys, clients: clients)
            return Loaded(
                context: context, settings: settings, certificates: certificates, ticketKeys: ticketKeys,
                stamps: stamps)
        } catch let error as StartError {
            throw error
        } catch {
            throw StartError("TLS: \(error)")
        }
    }

    private func certificates(_ settings: TLSSettings) throws(TLSCertificateError) -> [TLSCertificate] {
        var certificates: [TLSCertificate] = []
        if let development {
            certificates.append(
                try TLSCertificate.load(chainPEM: development.certificatePEM, keyPEM: development.privateKeyPEM))
        }
        for (chain, key) in zip(settings.certificates, settings.keys) {
            certificates.append(try TLSCertificate.load(chainFile: chain, keyFile: key))
        }
        return certificates
    }

    private static func clients(_ settings: TLSSettings) throws(TLSContextError) -> TLSClientPolicy? {
        guard let file = settings.clientAuthorities, let demand = settings.clientVerification.demand else { return nil }
        return try TLSClientPolicy.load(authorities: file, demand: demand)
    }

    /// Makes `loaded` what is in use.
    ///
    /// - Parameter publish: Gives the context to the loops; runs under the lock.
    package func adopt(_ loaded: Loaded, publish: () -> Void = {}) {
        state.withLock { adopt(loaded, &$0, publish) }
    }

    private func adopt(_ loaded: Loaded, _ state: inout State, _ publish: () -> Void) {
        let now = ContinuousClock.now
        if loaded.settings.ticketKeys.isEmpty {
            // A key of its own seals again; what those of files have sealed runs out.
            if state.loaded?.settings.ticketKeys.isEmpty == false { rotate(at: now) }
        } else {
            keys.replace(with: loaded.ticketKeys)
        }
        if let last = state.loaded?.settings.ticketRotation, last != loaded.settings.ticketRotation {
            state.nextRotation = now + loaded.settings.ticketRotation
        }
        state.loaded = loaded
        inUse.withLock { $0 = loaded.certificates }
        state.failure = nil
        state.nextLook = now + max(loaded.settings.reloadInterval, Self.shortestPause)
        state.nextNotice = now + Self.noticeInterval
        publish()
        for certificate in loaded.certificates {
            log.info(
                "certificate in use", .string("source", certificate.source),
                .string("subject", certificate.subject),
                .string("names", certificate.dnsNames.joined(separator: ",")),
                .string("not_after", certificate.notAfter.description))
            for warning in certificate.warnings { warn(certificate, warning) }
        }
    }

    private func warn(_ certificate: TLSCertificate, _ warning: TLSCertificate.Warning) {
        log.warn("certificate", .string("source", certificate.source), .string("warning", "\(warning)"))
    }

    // MARK: Reading again

    /// Reads the files again because somebody asked for it.
    ///
    /// - Parameter publish: Gives a new context to the loops.
    /// - Returns: Whether the files were fit to be used; if not, the error is logged, and what was in use goes on.
    @discardableResult
    package func reload(publish: (TLSServerContext) -> Void) -> Bool {
        state.withLock { state in
            guard let settings = state.loaded?.settings else { return false }
            return reload(settings, &state, isAsked: true, publish)
        }
    }

    private func reload(
        _ settings: TLSSettings, _ state: inout State, isAsked: Bool, _ publish: (TLSServerContext) -> Void
    ) -> Bool {
        do throws(StartError) {
            let loaded = try load(settings)
            adopt(loaded, &state) { loaded.context.map(publish) }
            metrics.certificateReloads.with("ok").increment()
            return true
        } catch {
            let stamps = settings.files.map(FileStamp.of)
            var attempts = 1
            if let failure = state.failure, failure.stamps == stamps { attempts = failure.attempts + 1 }
            if isAsked { attempts = Self.attemptsBeforeError }
            state.failure = (stamps, attempts)
            if attempts == Self.attemptsBeforeError {
                metrics.certificateReloads.with("failed").increment()
                log.error(
                    "certificates could not be read again, those before stay in use",
                    .string("reason", error.description))
            }
            return false
        }
    }

    /// Does what is due: looks at the files, rotates ticket keys, reminds of certificates that expire.
    ///
    /// - Returns: When to come back.
    func tick(publish: (TLSServerContext) -> Void) -> Duration {
        state.withLock { state in
            guard let loaded = state.loaded else { return Self.longestPause }
            let now = ContinuousClock.now
            look(loaded, &state, now, publish)
            if now >= state.nextRotation {
                if loaded.settings.ticketKeys.isEmpty { rotate(at: now) }
                state.nextRotation = now + loaded.settings.ticketRotation
            }
            keys.dropExpired(at: now)
            if now >= state.nextNotice { remind(&state, now) }
            return pause(state, loaded.settings, now)
        }
    }

    /// The first rotation comes one period after the start.
    func begin() -> Duration {
        state.withLock { state in
            guard let settings = state.loaded?.settings else { return Self.longestPause }
            let now = ContinuousClock.now
            state.nextRotation = now + settings.ticketRotation
            return pause(state, settings, now)
        }
    }

    private func look(
        _ loaded: Loaded, _ state: inout State, _ now: ContinuousClock.Instant, _ publish: (TLSServerContext) -> Void
    ) {
        let interval = loaded.settings.reloadInterval
        guard interval > .zero, now >= state.nextLook else { return }
        state.nextLook = now + max(interval, Self.shortestPause)
        guard loaded.settings.files.map(FileStamp.of) != loaded.stamps else {
            state.failure = nil
            return
        }
        _ = reload(loaded.settings, &state, isAsked: false, publish)
    }

    private func rotate(at now: ContinuousClock.Instant) {
        do throws(TLSContextError) {
            try keys.rotate(at: now)
            log.debug("ticket key rotated")
        } catch {
            log.error("ticket key could not be rotated", .string("reason", "\(error)"))
        }
    }

    private func remind(_ state: inout State, _ now: ContinuousClock.Instant) {
        state.nextNotice = now + Self.noticeInterval
        for certificate in state.loaded?.certificates ?? [] {
            if let warning = certificate.summary.expiryWarning(at: .now) { warn(certificate, warning) }
        }
    }

    private func pause(_ state: State, _ settings: TLSSettings, _ now: ContinuousClock.Instant) -> Duration {
        var next = min(state.nextRotation, state.nextNotice)
        if settings.reloadInterval > .zero { next = min(next, state.nextLook) }
        return min(max(next - now, Self.shortestPause), Self.longestPause)
    }

    /// Whether the files as they are now could not be used.
    var isFailing: Bool { state.withLock { $0.failure != nil } }

    // MARK: Metrics

    /// For a loop too: waits for nobody.
    var samples: [MetricSample] {
        inUse.withLock { $0 }.map { certificate in
            MetricSample(
                "gateway_tls_certificate_not_after_seconds",
                "When a certificate in use expires, in seconds since 1970.",
                labels: [("certificate", certificate.source)], value: Double(certificate.notAfter.secondsSince1970))
        }
    }
}

extension GatewayServer {
    /// Reads the files of TLS again, at once. Connections that are open go on as they are.
    ///
    /// Blocks the calling thread, which must not be a loop's.
    ///
    /// - Returns: Whether they were fit to be used; if not, why not is in the log.
    @discardableResult
    package func reloadCertificates() -> Bool { certificates.reload { replaceTLS($0) } }

    /// Lets connections that come from now on begin with `tls`. Waits for the loops to know, a second at most.
    func replaceTLS(_ tls: TLSServerContext) {
        let known = Countdown(loops.count)
        for handle in loops {
            handle.loop.submit {
                handle.server?.replaceTLS(tls)
                known.finishOne()
            }
        }
        _ = known.wait(atMost: .seconds(1))
    }

    /// Watches over certificates and ticket keys until the drain. The files are looked at on a worker thread.
    func watchCertificates(_ context: ServiceContext) async throws {
        var pause = certificates.begin()
        while true {
            try await context.sleep(pause)
            do {
                pause = try await context.loop.offload("certificates") { [self] in
                    certificates.tick { replaceTLS($0) }
                }
            } catch is WorkerPool.Busy {
                pause = .seconds(1)
            }
        }
    }
}
