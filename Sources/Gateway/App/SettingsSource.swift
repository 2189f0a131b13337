import GatewayConfig
import GatewayRuntime
import GatewayServer

/// Where settings come from, to be read as often as asked: the environment of the process, which never changes, and
/// files, which do.
struct SettingsSource: Sendable {
    private let environment: [String: String]
    private let files: [String]

    static let variable = "GATEWAY_ENV_FILE"

    /// - Parameters:
    ///   - environment: Of the process.
    ///   - options: `--env-file FILE` and `--env-file=FILE`, any number of times; without one GATEWAY_ENV_FILE counts.
    init(_ environment: [String: String], options: [String] = []) throws(CommandError) {
        var (files, rest) = ([String](), options[...])
        while let option = rest.popFirst() {
            if option.hasPrefix("--env-file=") {
                files.append(String(option.dropFirst("--env-file=".count)))
            } else if option == "--env-file", let file = rest.popFirst() {
                files.append(file)
            } else {
                throw .usage(option == "--env-file" ? "--env-file needs a file" : "there is no option \(option)")
            }
        }
        if files.isEmpty, let file = environment[Self.variable], !file.isEmpty { files = [file] }
        self.environment = environment
        self.files = files
    }

    /// Splits the options of a command into those of this type and the others.
    static func split(_ options: [String]) -> (own: [String], others: [String]) {
        var (own, others, rest) = ([String](), [String](), options[...])
        while let option = rest.popFirst() {
            if option == "--env-file" {
                own.append(option)
                if let file = rest.popFirst() { own.append(file) }
            } else if option.hasPrefix("--env-file=") {
                own.append(option)
            } else {
                others.append(option)
            }
        }
        return (own, others)
    }

    /// Everything as it is now. What the environment sets wins over files, and a later file over an earlier one.
    func read() -> (environment: [String: String], notes: Configuration.SourceNotes) {
        var notes = Configuration.SourceNotes()
        var values: [String: String] = [:]
        for file in files {
            let read = Self.read(file, &notes.problems)
            for name in read.keys.sorted() where environment[name].map({ $0 != read[name] }) ?? false {
                notes.warnings.append("\(name) of \(file) has no effect: the environment of the process sets it")
            }
            values.merge(read) { _, later in later }
        }
        return (values.merging(environment) { _, own in own }, notes)
    }

    func configuration() -> Configuration {
        let (environment, notes) = read()
        return Command.configuration(environment, notes)
    }

    private static func read(_ file: String, _ problems: inout [String]) -> [String: String] {
        do throws(SystemError) {
            let bytes = try SmallFile.bytes(of: file, limit: EnvironmentFile.limit)
            var own: [String] = []
            defer { problems += own.map { "\(file): \($0)" } }
            return EnvironmentFile.parse(bytes, problems: &own)
        } catch {
            problems.append("the settings file \(file) cannot be read: \(error.reason)")
            return [:]
        }
    }
}
