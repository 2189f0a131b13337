import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayUpstream
import Testing

@testable import GatewayAgent

@Suite("Options of the tunnel's commands")
struct OptionTests {
    private func options(
        _ words: [String], _ environment: [String: String] = ["GATEWAY_TOKEN": "t"], host: String = "desk.lan"
    ) throws(UsageError) -> AgentOptions {
        try AgentOptions(words, environment: environment, hostName: host)
    }

    private static let gateway = ["--url", "wss://gateway.example"]
    private static let local = ["--local", "http://127.0.0.1:11434"]

    @Test("everything can be said, with a space or an equals sign")
    func complete() throws {
        let given = try options([
            "--url=https://gateway.example:8443/edge/", "--local", "http://localhost:11434", "--forward", "22",
            "--forward=5900", "--forward", "22", "--name", "my-desk", "--allow", "pull,\tdelete ,", "--allow=push",
            "--first-byte-timeout", "60", "--idle-timeout=61", "--grace", "0", "--token-file", "/t", "--ca", "/ca.pem",
        ])
        #expect(given.ports == [22, 5900])
        #expect(given.name == "my-desk")
        #expect(given.operations == [.pull, .push, .delete])
        #expect(given.limits.local.firstByte == .seconds(60) && given.limits.local.idle == .seconds(61))
        #expect(given.limits.grace == .zero)
        #expect(given.connection.authorities == "/ca.pem")
        #expect(
            given.connection.address.endpoint("/api/tunnel/agent").description
                == "https://gateway.example:8443/edge/api/tunnel/agent")
        #expect(given.connection.warnings.isEmpty)
    }

    @Test(
        "the gateway's address has one of four schemes, and means the same with ws as with http",
        arguments: [
            ("wss://g.example", "https://g.example/api/x", true),
            ("WS://g.example:80", "http://g.example/api/x", false),
            ("http://127.0.0.1:3001/", "http://127.0.0.1:3001/api/x", false),
            ("https://[::1]:3001/a/b", "https://[::1]:3001/a/b/api/x", true),
        ])
    func addresses(_ text: String, _ endpoint: String, _ isEncrypted: Bool) throws {
        let address = try GatewayAddress(text)
        #expect(address.endpoint("/api/x").description == endpoint)
        #expect(address.isEncrypted == isEncrypted)
    }

    @Test(
        "what is no address of a gateway is said, and no credential in it",
        arguments: ["gateway.example", "ftp://g", "wss://", "wss://u:secret@g", "wss://g/?token=secret", "wss://g:0"])
    func badAddresses(_ text: String) {
        do throws(UsageError) {
            _ = try GatewayAddress(text)
            Issue.record("\(text) was taken")
        } catch {
            #expect(!error.message.contains("secret"))
        }
    }

    @Test(
        "an agent speaks for this machine only",
        arguments: [
            "http://10.0.0.1:80", "http://192.168.1.2:11434", "http://example.com", "http://0.0.0.0:11434",
            "http://[::]:11434", "http://169.254.169.254", "http://localhost.example", "http://localhost.:80",
            "http://127.1:80", "http://[::ffff:10.0.0.1]:80", "https://127.0.0.1:443", "http://127.0.0.1:80/api",
            "127.0.0.1",
        ])
    func foreignTargets(_ url: String) { #expect(throws: UsageError.self) { try LocalTarget(url) } }

    @Test(
        "the forms of this machine's own addresses",
        arguments: ["http://127.0.0.1:11434", "http://127.8.9.1", "http://[::1]:80", "http://localhost:11434/"])
    func ownTargets(_ url: String) throws { _ = try LocalTarget(url) }

    @Test(
        "a command line that cannot be meant is refused in a sentence",
        arguments: [
            gateway, local, gateway + ["--forward", "0"], gateway + ["--forward", "host:22"], gateway + ["--forward"],
            gateway + local + ["--local", "http://127.0.0.1:1"], gateway + local + ["--name", "a b"],
            gateway + local + ["--name", ""], gateway + local + ["--allow", "everything"], gateway + local + ["--what"],
            gateway + local + ["--allow", "pu ll"],
            gateway + local + ["--grace", "soon"], gateway + local + ["--token", "a", "--token-file", "b"],
            gateway + local + ["word"], gateway + local + ["--token="],
        ])
    func misuse(_ words: [String]) { #expect(throws: UsageError.self) { try options(words) } }

    @Test("without any credential it does not start")
    func noCredential() {
        #expect(throws: UsageError.self) { try options(Self.gateway + Self.local, [:]) }
        #expect(throws: UsageError.self) { try options(Self.gateway + Self.local, ["GATEWAY_TOKEN": ""]) }
    }

    @Test(
        "the agent is called as the machine is, as far as that makes a name",
        arguments: [
            ("desk", "desk"), ("desk.lan.example", "desk"), ("Jörgs MacBook", "J-rgs-MacBook"), ("", "agent"),
            (String(repeating: "x", count: 99), String(repeating: "x", count: 64)), (".lan", "agent"),
        ])
    func names(_ host: String, _ name: String) throws {
        #expect(try options(Self.gateway + Self.local, host: host).name == name)
    }

    @Test("a token in the list of processes and one that travels in clear are warned about")
    func warnings() throws {
        #expect(try options(Self.gateway + Self.local + ["--token", "t"]).connection.warnings.count == 1)
        #expect(try options(["--url", "ws://g.example"] + Self.local).connection.warnings.count == 1)
        #expect(try options(["--url", "ws://127.0.0.1:1"] + Self.local).connection.warnings.isEmpty)
        #expect(try options(["--url", "ws://localhost:1"] + Self.local).connection.warnings.isEmpty)
    }

    @Test("connect takes a name and a port; the name is never a host")
    func connect() throws {
        let environment = ["GATEWAY_TOKEN": "t"]
        let given = try ConnectOptions(["desk:22"] + Self.gateway, environment: environment)
        #expect(given.agent == "desk" && given.port == 22)
        for wrong in ["desk", "desk:", ":22", "desk:0", "desk:65536", "a/b:22", "..:22", "a:b:22", "desk:ssh", "-x:22"]
        {
            #expect(throws: UsageError.self) { try ConnectOptions([wrong] + Self.gateway, environment: environment) }
        }
        #expect(throws: UsageError.self) { try ConnectOptions(Self.gateway, environment: environment) }
        #expect(throws: UsageError.self) {
            try ConnectOptions(["a:1", "b:1"] + Self.gateway, environment: environment)
        }
    }

    @Test("enrol takes the name of the agent that it is for")
    func enrol() throws {
        let environment = ["GATEWAY_TOKEN": "t"]
        let given = try EnrolOptions(Self.gateway + ["--name", "desk", "--output", "/f"], environment: environment)
        #expect(given.name == "desk" && given.output == "/f" && !given.replaces)
        let another = try EnrolOptions(Self.gateway + ["--name", "desk", "--replace"], environment: environment)
        #expect(another.replaces && another.output == nil)
        #expect(throws: UsageError.self) {
            try EnrolOptions(Self.gateway + ["--name", "desk", "--replace=yes"], environment: environment)
        }
        #expect(throws: UsageError.self) { try EnrolOptions(Self.gateway, environment: environment) }
        #expect(throws: UsageError.self) {
            try EnrolOptions(Self.gateway + ["--name", "desk", "--local", "x"], environment: environment)
        }
    }
}

@Suite("Credentials")
struct CredentialTests {
    private func text(_ source: CredentialSource) throws(CredentialError) -> String { try source.read().text }

    @Test("white space around a credential is no part of it, and an enrolment is known by its beginning")
    func shapes() throws {
        #expect(try Credential(Array(" \tabc.def\r\n".utf8)).text == "abc.def")
        #expect(try Credential(Array("gwe_x".utf8)).isEnrolment)
        #expect(try !Credential(Array("eyJ.gwe_".utf8)).isEnrolment)
        #expect(try Credential(Array("a".utf8)).isSame(as: Credential(Array("a\n".utf8))))
        #expect("\(try Credential(Array("abc".utf8)))".contains("abc") == false)
    }

    @Test("what could not stand in a field is none", arguments: ["", "\n", "a b", "a\r\nX: y", "é", "a\u{0}b"])
    func unfit(_ text: String) { #expect(throws: CredentialError.self) { try Credential(Array(text.utf8)) } }

    @Test("a credential has a limit")
    func tooLong() throws {
        _ = try Credential([UInt8](repeating: 0x61, count: Credential.sizeLimit))
        #expect(throws: CredentialError.self) {
            try Credential([UInt8](repeating: 0x61, count: Credential.sizeLimit + 1))
        }
    }

    @Test("a file is read anew each time")
    func file() throws {
        let path = "/tmp/gateway-credential-\(UInt64.random(in: 0 ... .max))"
        let source = CredentialSource.file(path)
        #expect(throws: CredentialError.self) { try source.read() }
        for token in ["one", "two"] {
            try SmallFile.replace(path, with: Array("\(token)\n".utf8))
            #expect(try text(source) == token)
        }
        #expect(ChildProcess.run(["rm", path]) == 0)
    }

    @Test("a command is run anew each time; one that fails or says nothing gives no credential")
    func command() throws {
        #expect(try text(.command("printf 'a%s' bc")) == "abc")
        for wrong in ["exit 3", "true", "kill -9 $$", "head -c 100000 /dev/zero | tr '\\0' x", "/nonexistent 2>&-"] {
            #expect(throws: CredentialError.self, "\(wrong)") { try CredentialSource.command(wrong).read() }
        }
    }

    @Test("what is wrong with a credential is said without saying it")
    func unprintable() {
        do throws(CredentialError) {
            _ = try CredentialSource.argument(Secret("se cret")).read()
            Issue.record("it was taken")
        } catch {
            #expect(error.message == "--token: it is not a token")
        }
    }
}
