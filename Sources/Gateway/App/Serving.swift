import GatewayRuntime
import GatewayServer
import GatewayTelemetry
import PluginKit

/// One run of `gateway serve`, from the first line of the log to the exit code.
struct Serving {
    let configuration: Configuration
    var stage: DevelopmentStage?
    /// Reads all settings anew.
    let read: @Sendable () -> Configuration

    static func makeLogs(_ configuration: Configuration) -> LogSystem {
        LogSystem(
            level: configuration.core.log.level, format: configuration.core.log.format,
            coloured: ProcessContext.isOutputTerminal, sink: LogSink(descriptor: 1))
    }

    /// Serves until SIGTERM or SIGINT.
    ///
    /// - Returns: 0 when everything finished, 75 when some of it had to be cut off.
    func run() throws(CommandError) -> Int32 {
        Resources.ignoreBrokenPipes()
        // Before any thread starts: they inherit it, and only this one takes signals.
        OperatorSignal.block()
        let logs = Self.makeLogs(configuration)
        logs.sink.start()
        defer { _ = logs.sink.stop(atMost: .seconds(2)) }
        let log = logs.logger("gateway")
        for warning in configuration.warnings { log.warn("setting to check", .string("reason", warning)) }
        let server = try start(logs)
        let control = try ControlChannel.open(configuration, server, log, reading: read)
        announce(server, log)
        // One that comes while the last is being dealt with waits, and further ones are the same as that.
        while OperatorSignal.wait() == .hangUp { _ = server.reload(read()) }
        control?.close()
        // Whoever asks twice does not want to wait for the drain.
        Threads.start("impatience") {
            while OperatorSignal.wait() == .hangUp {}
            log.warn("cut off by a second signal")
            _ = logs.sink.flush(atMost: .seconds(1))
            ProcessContext.exit(75)
        }
        return server.drain() ? 0 : 75
    }

    private func start(_ logs: LogSystem) throws(CommandError) -> GatewayServer {
        do throws(StartError) {
            let assembly = try ServerAssembly(configuration, logs: logs, certificate: stage?.certificate)
            let server = try GatewayServer(assembly: assembly)
            try server.start()
            return server
        } catch {
            throw CommandError(message: error.description, exitCode: error.exitCode)
        }
    }

    private func announce(_ server: GatewayServer, _ log: Logger) {
        let running = configuration.enabled.map { type(of: $0).name }
        log.info("ready", .string("plugins", running.map(\.text).joined(separator: ",")))
        for state in configuration.plugins {
            guard case .dormant(let missing) = state.verdict else { continue }
            log.info(
                "plugin is dormant", .string("plugin", state.name.text),
                .string("missing", missing.joined(separator: ",")))
        }
        if let stage { ProcessContext.say(stage.invitation(server.addresses, running: running)) }
    }
}
