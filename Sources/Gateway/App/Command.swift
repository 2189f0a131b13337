import GatewayConfig
import GatewayRuntime
import GatewayServer
import PluginKit

/// The commands of the program.
enum Command {
    private static let help = """
        gateway: a plugin-hosted edge gateway

          gateway serve             run; every setting is an environment variable (docs/CONFIGURATION.md)
          gateway serve --dev       try it: loopback, a certificate and a secret of its own, a sample stream
          gateway check             read the settings, certificates and routes as serve would, and stop
          gateway plan              ask the running gateway what new settings would change, and which sockets close
          gateway reload            have the running gateway apply new settings, and say what came of it
          gateway config            print the effective settings; --reference prints the settings reference
          gateway plugins           print the plugins of this binary and what became of each
          gateway token mint        sign a token with SUPABASE_JWT_SECRET; --help lists its options
          gateway token explain T   run every check on a token and name the one that fails
          gateway agent             serve a gateway's users from this machine, by a tunnel; --help lists its options
          gateway connect AGENT:22  reach a port that an agent offers: a ProxyCommand for OpenSSH

          --env-file FILE           settings from a file too, read anew with every reload; may be repeated
        """

    private static let names = [
        "serve", "check", "plan", "reload", "config", "plugins", "token", "agent", "connect", "help",
    ]

    static func run(_ arguments: [String], environment: [String: String]) throws(CommandError) -> Int32 {
        guard let command = arguments.first else {
            print(help)
            return 64
        }
        // Far ends of a gateway: its settings are not theirs.
        if command == "agent" { return try AgentCommand.agent(Array(arguments.dropFirst()), environment) }
        if command == "connect" { return try AgentCommand.connect(Array(arguments.dropFirst()), environment) }
        let (own, options) = SettingsSource.split(Array(arguments.dropFirst()))
        if command == "token" { return try TokenCommand.run(options, try SettingsSource(environment, options: own)) }
        guard !["help", "--help", "-h"].contains(command), !options.contains("--help") else {
            print(help)
            return 0
        }
        let source = try SettingsSource(environment, options: own)
        switch (command, options) {
        case ("serve", []): return try serve(source)
        case ("serve", ["--dev"]): return try serveInDevelopment(source)
        case ("check", []): return try check(source)
        case ("plan", []), ("reload", []):
            return try ControlChannel.ask(command, at: source.configuration().core.operations.controlSocket)
        case ("config", []): return config(source)
        case ("config", ["--reference"]):
            print(Configuration.reference(compiled: compiledPlugins), terminator: "")
            return 0
        case ("plugins", []): return plugins(source)
        default: throw misuse(command, options)
        }
    }

    private static func misuse(_ command: String, _ options: [String]) -> CommandError {
        guard !names.contains(command) else {
            return .usage("\(command) cannot be told \(options.joined(separator: " ")); see gateway help")
        }
        let hint = nearestName(to: command, among: names).map { "; did you mean \($0)?" } ?? "; see gateway help"
        return .usage("there is no command \(command)\(hint)")
    }

    static func configuration(
        _ environment: [String: String], _ sources: Configuration.SourceNotes = Configuration.SourceNotes()
    ) -> Configuration {
        Configuration(environment: environment, sources: sources, compiled: compiledPlugins) {
            (path, limit) throws(SettingError) in
            do throws(SystemError) {
                return try SmallFile.bytes(of: path, limit: limit)
            } catch {
                throw SettingError("cannot be read: \(error.reason)")
            }
        }
    }

    // MARK: Serve

    private static func serve(_ source: SettingsSource) throws(CommandError) -> Int32 {
        try Serving(configuration: usable(source.configuration()), read: source.configuration).run()
    }

    private static func serveInDevelopment(_ source: SettingsSource) throws(CommandError) -> Int32 {
        let stage = try DevelopmentStage(environment: source.read().environment)
        let read: @Sendable () -> Configuration = {
            var (given, notes) = source.read()
            if let problem = DevelopmentStage.problem(in: given) { notes.problems.append(problem) }
            return configuration(stage.filled(given), notes)
        }
        return try Serving(configuration: usable(read()), stage: stage, read: read).run()
    }

    /// The configuration, or everything that is wrong with it.
    private static func usable(_ configuration: Configuration) throws(CommandError) -> Configuration {
        guard configuration.problems.isEmpty else {
            let lines = configuration.problems
            guard lines.count > 1 else { throw CommandError(message: lines[0], exitCode: 78) }
            throw CommandError(
                message: "\(lines.count) settings are wrong: " + lines.joined(separator: "; "), exitCode: 78)
        }
        return configuration
    }

    private static func check(_ source: SettingsSource) throws(CommandError) -> Int32 {
        let configuration = try usable(source.configuration())
        let logs = Serving.makeLogs(configuration)
        do throws(StartError) {
            _ = try ServerAssembly(configuration, logs: logs)
        } catch {
            throw CommandError(message: error.description, exitCode: error.exitCode)
        }
        _ = logs.sink.flush(atMost: .seconds(1))
        for warning in configuration.warnings { print("warning: \(warning)") }
        print("settings, certificates and routes are in order")
        return 0
    }

    // MARK: Print

    private static func config(_ source: SettingsSource) -> Int32 {
        let configuration = source.configuration()
        print(SettingsDocument.listing(configuration.values), terminator: "")
        for warning in configuration.warnings { print("warning: \(warning)") }
        for problem in configuration.problems { print("problem: \(problem)") }
        return configuration.problems.isEmpty ? 0 : 78
    }

    private static func plugins(_ source: SettingsSource) -> Int32 {
        let configuration = source.configuration()
        for state in configuration.plugins {
            let verdict =
                switch state.verdict {
                case .enabled: "on"
                case .off: "off"
                case .dormant(let missing): "dormant: \(missing.joined(separator: ", ")) is not set"
                }
            let name = state.name.text + String(repeating: " ", count: max(1, 10 - state.name.text.count))
            print("\(name)\(state.summary) [\(verdict)]")
        }
        for problem in configuration.problems { print("problem: \(problem)") }
        return configuration.problems.isEmpty ? 0 : 78
    }
}
