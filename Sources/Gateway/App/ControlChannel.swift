import GatewayRuntime
import GatewayServer
import GatewayTelemetry

/// How `gateway plan` and `gateway reload` speak with the running gateway: the command's name as a line; back comes its
/// exit code as a line, then what to print.
enum ControlChannel {
    /// - Throws: When nobody is there to ask.
    static func ask(_ command: String, at path: String?) throws(CommandError) -> Int32 {
        guard let path else { throw CommandError(message: "CONTROL_SOCKET is off; send SIGHUP instead", exitCode: 69) }
        let answer: String
        do throws(SystemError) {
            answer = try LocalService.ask(command, at: path)
        } catch {
            throw CommandError(
                message: "no gateway answers at \(path) (CONTROL_SOCKET): \(error.reason)", exitCode: 69)
        }
        let parts = answer.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let code = Int32(parts[0]) else {
            throw CommandError(message: "the gateway at \(path) does not talk to this user", exitCode: 77)
        }
        ProcessContext.say(String(parts[1]))
        return code
    }

    /// Opens the running gateway's end, if it is to have one.
    static func open(
        _ configuration: Configuration, _ server: GatewayServer, _ log: Logger,
        reading read: @escaping @Sendable () -> Configuration
    ) throws(CommandError) -> LocalService? {
        let settings = configuration.core.operations
        guard let path = settings.controlSocket else { return nil }
        do throws(SystemError) {
            return try LocalService.open(at: path) { question in answer(question, server, read) }
        } catch {
            guard !settings.needsControlSocket else {
                throw CommandError(message: "CONTROL_SOCKET=\(path): \(error.reason)", exitCode: 73)
            }
            log.info(
                "gateway plan and gateway reload cannot reach this process", .string("path", path), .error(error))
            return nil
        }
    }

    private static func answer(
        _ question: String, _ server: GatewayServer, _ read: @Sendable () -> Configuration
    ) -> String {
        let report: ReloadReport
        switch question {
        case "plan": report = server.plan(read())
        case "reload": report = server.reload(read())
        default: return "64\nthere is no command \(question)"
        }
        return "\(report.exitCode)\n" + report.lines.joined(separator: "\n")
    }
}
