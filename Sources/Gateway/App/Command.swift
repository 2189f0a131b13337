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
          gateway config            print the effective settings; --reference prints the settings reference
          gateway plugins           print the plugins of this binary and what became of each
          gateway token mint        sign a token with SUPABASE_JWT_SECRET; --help lists its options
          gateway token explain T   run every check on a token and name the one that fails
        """

    static func run(_ arguments: [String], environment: [String: String]) throws(CommandError) -> Int32 {
        switch arguments.first {
        case "serve": return try serve(Array(arguments.dropFirst()), environment)
        case "check": return try check(environment)
        case "config": return config(Array(arguments.dropFirst()), environment)
        case "plugins": return plugins(environment)
        case "token": return try TokenCommand.run(Array(arguments.dropFirst()), environment)
        case nil, "help", "--help", "-h":
            print(help)
            return arguments.isEmpty ? 64 : 0
        case let unknown?:
            let commands = ["serve", "check", "config", "plugins", "token", "help"]
            let hint = nearestName(to: unknown, among: commands).map { "; did you mean \($0)?" } ?? "; see gateway help"
            throw .usage("there is no command \(unknown)\(hint)")
        }
    }

    static func configuration(_ environment: [String: String]) -> Configuration {
        Configuration(environment: environment, compiled: compiledPlugins) { (path, limit) throws(SettingError) in
            do throws(SystemError) {
                return try SmallFile.bytes(of: path, limit: limit)
            } catch {
                throw SettingError("cannot be read: \(error.reason)")
            }
        }
    }

    // MARK: Serve

    private static func serve(_ options: [String], _ environment: [String: String]) throws(CommandError) -> Int32 {
        switch options {
        case []: return try Serving(configuration: usable(environment)).run()
        case ["--dev"]:
            let stage = try DevelopmentStage(environment: environment)
            return try Serving(configuration: usable(stage.environment), stage: stage).run()
        default: throw .usage("serve takes no option but --dev")
        }
    }

    /// The configuration, or everything that is wrong with it.
    private static func usable(_ environment: [String: String]) throws(CommandError) -> Configuration {
        let configuration = configuration(environment)
        guard configuration.problems.isEmpty else {
            let lines = configuration.problems
            guard lines.count > 1 else { throw CommandError(message: lines[0], exitCode: 78) }
            throw CommandError(
                message: "\(lines.count) settings are wrong: " + lines.joined(separator: "; "), exitCode: 78)
        }
        return configuration
    }

    private static func check(_ environment: [String: String]) throws(CommandError) -> Int32 {
        let configuration = try usable(environment)
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

    private static func config(_ options: [String], _ environment: [String: String]) -> Int32 {
        if options == ["--reference"] {
            print(Configuration.reference(compiled: compiledPlugins), terminator: "")
            return 0
        }
        let configuration = configuration(environment)
        print(SettingsDocument.listing(configuration.values), terminator: "")
        for warning in configuration.warnings { print("warning: \(warning)") }
        for problem in configuration.problems { print("problem: \(problem)") }
        return configuration.problems.isEmpty ? 0 : 78
    }

    private static func plugins(_ environment: [String: String]) -> Int32 {
        let configuration = configuration(environment)
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
