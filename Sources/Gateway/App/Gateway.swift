import GatewayRuntime
import GatewayTLS

/// The program: picks a command and turns its outcome into an exit code.
@main
enum Gateway {
    static func main() {
        TLSLibrary.stayUntilTheEnd()
        let arguments = Array(CommandLine.arguments.dropFirst())
        do throws(CommandError) {
            ProcessContext.exit(try Command.run(arguments, environment: ProcessContext.environment))
        } catch {
            ProcessContext.complain("gateway: \(error.message)")
            ProcessContext.exit(error.exitCode)
        }
    }
}

/// Why a command ended early: one line, and an exit code as in sysexits(3).
struct CommandError: Error {
    let message: String
    let exitCode: Int32

    static func usage(_ message: String) -> CommandError { CommandError(message: message, exitCode: 64) }
}
