import GatewayBytes
import GatewayHTTP
import GatewayLocks
import GatewayRuntime
import GatewayTestSupport
import GatewayTunnel
import PluginTesting
import Testing

@testable import GatewayAgent

@Suite("An agent and its credential")
struct CredentialLifeTests {
    private func file(_ token: String) throws -> String {
        let path = "/tmp/gateway-token-\(UInt64.random(in: 0 ... .max))"
        try SmallFile.replace(path, with: Array(token.utf8))
        return path
    }

    private func remove(_ path: String) { _ = ChildProcess.run(["rm", "-f", path]) }

    @Test("a credential that was never good ends the agent with a sentence and 77", arguments: [401, 403])
    func dead(_ status: Int) throws {
        let far = FarEnd()
        let status = try #require(Status(code: status))
        far.state.withLock {
            $0.credentials = []
            $0.refusal = status
        }
        let path = try file("bad")
        defer { remove(path) }
        for words in [[], ["--token-file", path], ["--token-command", "echo bad"]] {
            let ending = try Self.endingOf(words, far)
            #expect(ending?.exitCode == 77 && ending?.message.contains("This credential is not good.") == true)
        }
        #expect(far.state.withLock { $0.opened.isEmpty })
    }

    private static func endingOf(_ words: [String], _ far: FarEnd) throws -> Ending? {
        try Rig(["--forward", "1"] + words, far: far).ending()
    }

    @Test("an enrolment is shown where enrolments are")
    func enrolled() throws {
        let far = FarEnd()
        far.state.withLock { $0.credentials = ["gwe_x"] }
        let rig = try Rig(["--forward", "1", "--token", "gwe_x"], far: far)
        try rig.connected()
        #expect(far.state.withLock { $0.opened } == ["/api/tunnel/agent/enrolled"])
    }

    @Test("before the token expires it shows another, as soon as the file has one, and says no secret")
    func renewal() throws {
        let path = try file("good")
        defer { remove(path) }
        let rig = try Rig(["--forward", "1", "--token-file", path])
        try rig.connected()
        try rig.far.onLoop { $0.carrier?.send(text: Array(#"{"type":"auth_expiring","expiresIn":60}"#.utf8)) }
        #expect(rig.far.state.withLock { $0.shown.isEmpty })
        try SmallFile.replace(path, with: Array("better\n".utf8))
        try #require(eventually { rig.far.state.withLock { $0.shown } == ["better"] })
        #expect(eventually { rig.log.text.contains("token renewed") })
        #expect(rig.far.state.withLock { $0.hellos.count } == 1, "in band: the carrier stays")
        #expect(!rig.log.text.contains("better") && !rig.log.text.contains("good"))
    }

    @Test("a token that has ended is replaced by the file's next one, and the session goes on")
    func replaced() throws {
        let path = try file("good")
        defer { remove(path) }
        let rig = try Rig(["--forward", "1", "--token-file", path]) { $0.renewal = .seconds(20) }
        try rig.connected()
        rig.far.state.withLock { $0.credentials = ["other"] }
        try rig.far.onLoop { $0.carrier?.close(4401) }
        try #require(eventually { rig.log.text.contains("the token has ended") })
        try SmallFile.replace(path, with: Array("other".utf8))
        try rig.connected(2)
        #expect(rig.far.state.withLock { $0.hellos[1].resumption?.session } == "session-1")
    }

    @Test(
        "told to leave while its credential cannot be read, or has just ended, an agent comes back all the same",
        arguments: [true, false])
    func drained(isGone: Bool) throws {
        let path = try file("good")
        defer { remove(path) }
        let rig = try Rig(["--forward", "1", "--token-file", path]) { $0.renewal = .seconds(20) }
        try rig.connected()
        if isGone { remove(path) } else { rig.far.state.withLock { $0.credentials = ["other"] } }
        try rig.far.onLoop { $0.session?.tell(.drain) }
        try #require(eventually { rig.log.text.contains("reconnecting to the gateway") })
        rig.far.state.withLock { $0.credentials = ["other"] }
        try SmallFile.replace(path, with: Array("other".utf8))
        try rig.connected(2)
    }

    @Test("a token that has ended, and no other to be had, ends the agent", arguments: [true, false])
    func ended(isFixed: Bool) throws {
        let path = try file("good")
        defer { remove(path) }
        let rig = try Rig(["--forward", "1"] + (isFixed ? [] : ["--token-file", path]))
        try rig.connected()
        try rig.far.onLoop { $0.carrier?.close(4401) }
        let ending = try rig.ending()
        #expect(ending?.exitCode == 77 && ending?.message.contains("the token has ended") == true)
        #expect(rig.far.state.withLock { $0.hellos.count } == 1, "the gateway was not asked again")
    }

    @Test(
        "what the gateway closes for good ends the agent with a code of its own",
        arguments: [(1002, 76), (4403, 77), (4408, 69), (4409, 69), (4429, 69)] as [(UInt16, Int32)])
    func closed(_ code: UInt16, _ exitCode: Int32) throws {
        let rig = try Rig(["--forward", "1"])
        try rig.connected()
        try rig.far.onLoop { $0.carrier?.close(code) }
        #expect(try rig.ending()?.exitCode == exitCode)
        #expect(rig.far.state.withLock { $0.hellos.count } == 1)
    }

    @Test("what passes is tried again", arguments: [1001, 1011, 1012, 1013, 4999] as [UInt16])
    func passing(_ code: UInt16) throws {
        let rig = try Rig(["--forward", "1"])
        try rig.connected()
        try rig.far.onLoop { $0.carrier?.close(code) }
        try rig.connected(2)
    }

    @Test("a file that cannot be read at the start ends the agent, and later does not")
    func unreadable() throws {
        let far = FarEnd()
        #expect(try Self.endingOf(["--token-file", "/nonexistent/token"], far)?.exitCode == 78)
        let path = try file("good")
        defer { remove(path) }
        let rig = try Rig(["--forward", "1", "--token-file", path])
        try rig.connected()
        remove(path)
        try rig.far.onLoop { $0.carrier?.close(1012) }
        try #require(eventually { rig.log.text.contains("it cannot be read") })
        try SmallFile.replace(path, with: Array("good".utf8))
        try rig.connected(2)
    }

    @Test("an enrolment is asked for with a token, and kept where only its owner reads it")
    func enrol() throws {
        let far = FarEnd()
        let gateway = try GatewayUnderTest([FarPlugin.self], settings: ["FAR_ID": far.id])
        let words = ["--url", "http://127.0.0.1:\(gateway.port())", "--name", "desk"]
        let options = try EnrolOptions(words, environment: ["GATEWAY_TOKEN": "good"])
        let issued = try Enrolment.ask(options)
        #expect(issued.name == "desk" && issued.id == "e1" && issued.credential.equals(Array("gwe_abc".utf8)))
        let path = "/tmp/gateway-enrolment-\(UInt64.random(in: 0 ... .max))"
        defer { remove(path) }
        try Enrolment.store(issued, at: path)
        #expect(SmallFile.read(path) == "gwe_abc\n")
        #expect(ChildProcess.run(["sh", "-c", "[ $(stat -c %a \(path)) = 600 ]"]) == 0)
        let refused = try EnrolOptions(words, environment: ["GATEWAY_TOKEN": "bad"])
        do throws(Ending) {
            _ = try Enrolment.ask(refused)
            Issue.record("it was enrolled")
        } catch {
            #expect(error.exitCode == 77)
        }
    }
}
