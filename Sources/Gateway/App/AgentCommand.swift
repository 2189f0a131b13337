import GatewayAgent
import GatewayBytes
import GatewayRuntime
import GatewayTelemetry

/// `gateway agent`, `gateway agent enrol` and `gateway connect`: the far ends of the tunnel (docs/TUNNEL.md).
enum AgentCommand {
    private static let connectionHelp = """
          --url URL             where the gateway is: wss://host[:port][/prefix]
          --token-file FILE     the credential: a token, or an enrolment (gwe_…); read anew whenever it is needed
          --token-command CMD   a line of shell that prints it, within 30 s; run anew whenever it is needed
          --token TOKEN         works, but every user of the machine sees it in the list of processes
          GATEWAY_TOKEN         in the environment, when no option names a credential
          --ca FILE             PEM file of the authorities to verify the gateway against, in place of the system's
        """

    private static let help = """
        gateway agent --url URL (--local URL | --forward PORT)… [options]
          Keeps a connection to a gateway, by which the user's other programs reach a server on this machine.

        \(connectionHelp)

          --local URL           the model server: http://127.0.0.1:11434; an agent dials this machine and no other
          --forward PORT        offers a TCP port of this machine, such as 22; may be repeated
          --name NAME           how consumers call this agent; by default this machine's name
          --allow LIST          more than reading and chatting: pull, push, delete, create
          --first-byte-timeout SECONDS, --idle-timeout SECONDS
                                how long the local server may take; 3600, since the gateway has limits of its own
          --grace SECONDS       how long requests may finish after SIGTERM; 20
          LOG_LEVEL, LOG_FORMAT as for gateway serve; the log goes to standard error

        gateway agent enrol --url URL --name NAME [options] [--output FILE] [--replace]
          Asks for a credential that is good for this one agent and for nothing else, with a token of the user's. It is shown
          once: on standard output, or in FILE, which only this user may read. --replace revokes the one that the name has.

        Exit codes: 0 asked to end, 64 wrong options, 69 the gateway wants or has no such agent, 73 FILE cannot be written,
        76 another protocol, 77 the credential is dead, 78 a file or command that the options name cannot be used.
        """

    private static let connectHelp = """
        gateway connect AGENT:PORT --url URL [options]
          Joins standard input and output with a TCP port that an agent offers. AGENT is a name of the tunnel's, never of
          DNS. For OpenSSH: ProxyCommand gateway connect %h:%p --url wss://gateway.example --token-file ~/.gateway-token

        \(connectionHelp)

        Exit codes: 0 both directions ended, 64 wrong options, 69 no such agent or nothing answers there, 74 the connection
        broke, 76 another protocol, 77 not permitted, 78 a file or command that the options name cannot be used.
        """

    static func agent(_ words: [String], _ environment: [String: String]) throws(CommandError) -> Int32 {
        guard !words.contains("--help"), !words.isEmpty else { return say(help, isAskedFor: !words.isEmpty) }
        if words[0] == "enrol" { return try enrol(Array(words.dropFirst()), environment) }
        let options: AgentOptions
        do throws(UsageError) {
            options = try AgentOptions(words, environment: environment, hostName: ProcessContext.hostName)
        } catch {
            throw .usage(error.message)
        }
        Resources.ignoreBrokenPipes()
        // Before any thread starts: they inherit it, and only one takes signals.
        OperatorSignal.block()
        let logs = try makeLogs(environment)
        logs.sink.start()
        let ending = AgentProcess.run(options, log: logs.logger("agent"))
        _ = logs.sink.stop(atMost: .seconds(2))
        return try finish(ending)
    }

    private static func enrol(_ words: [String], _ environment: [String: String]) throws(CommandError) -> Int32 {
        let options: EnrolOptions
        do throws(UsageError) {
            options = try EnrolOptions(words, environment: environment)
        } catch {
            throw .usage(error.message)
        }
        warn(options.connection)
        do throws(Ending) {
            let issued = try Enrolment.ask(options)
            guard let file = options.output else {
                ProcessContext.say(unsafe issued.credential.withBytes { unsafe String(decoding: $0, as: UTF8.self) })
                ProcessContext.complain(
                    "gateway: the enrolment of \(issued.name) is shown this once; keep it in a file of mode 0600")
                return 0
            }
            try Enrolment.store(issued, at: file)
            ProcessContext.complain(
                "gateway: \(issued.name) is enrolled; run gateway agent with --name \(issued.name) --token-file \(file)"
            )
            return 0
        } catch {
            throw CommandError(message: error.message, exitCode: error.exitCode)
        }
    }

    static func connect(_ words: [String], _ environment: [String: String]) throws(CommandError) -> Int32 {
        guard !words.contains("--help"), !words.isEmpty else { return say(connectHelp, isAskedFor: !words.isEmpty) }
        let options: ConnectOptions
        do throws(UsageError) {
            options = try ConnectOptions(words, environment: environment)
        } catch {
            throw .usage(error.message)
        }
        Resources.ignoreBrokenPipes()
        warn(options.connection)
        return try finish(ConnectProcess.run(options))
    }

    private static func finish(_ ending: Ending?) throws(CommandError) -> Int32 {
        if let ending { throw CommandError(message: ending.message, exitCode: ending.exitCode) }
        return 0
    }

    private static func warn(_ connection: ConnectionOptions) {
        for warning in connection.warnings { ProcessContext.complain("gateway: warning: \(warning)") }
    }

    /// Standard output belongs to whoever asked for help; without any words it is not what was meant.
    private static func say(_ help: String, isAskedFor: Bool) -> Int32 {
        print(help)
        return isAskedFor ? 0 : 64
    }

    private static func makeLogs(_ environment: [String: String]) throws(CommandError) -> LogSystem {
        let (level, format) = (environment["LOG_LEVEL"] ?? "", environment["LOG_FORMAT"] ?? "")
        guard let level = level.isEmpty ? .info : LogLevel(text: level) else {
            throw .usage("LOG_LEVEL is not one of error, warn, info, debug, trace")
        }
        guard let format = format.isEmpty ? .text : LogFormat(rawValue: format) else {
            throw .usage("LOG_FORMAT is not one of text, json")
        }
        return LogSystem(
            level: level, format: format, coloured: ProcessContext.isErrorTerminal, sink: LogSink(descriptor: 2))
    }
}
