import Testing

@testable import GatewayRuntime

@Suite("Programs that the process starts")
struct ChildProcessTests {
    private func output(
        _ line: String, limit: Int = 100, within patience: Duration = .seconds(30)
    ) throws(ChildProcess.Failure) -> String {
        String(decoding: try ChildProcess.output(ofShell: line, limit: limit, within: patience), as: UTF8.self)
    }

    @Test("a line of shell is run to its end, and what it writes comes back")
    func output() throws {
        #expect(try output("printf a; sleep 0.01; printf b") == "ab")
        #expect(try output("cat") == "", "there is nothing to read")
        #expect(try output("head -c 100 /dev/zero | wc -c").contains("100"))
        #expect(try output("exec >&-; sleep 0.05") == "", "its end is waited for, not that of its output")
    }

    @Test("how it failed is told apart")
    func failures() {
        #expect(throws: ChildProcess.Failure.exited(code: 3)) { try output("printf x; exit 3") }
        #expect(throws: ChildProcess.Failure.exited(code: 127)) { try output("/nonexistent/program 2>/dev/null") }
        #expect(throws: ChildProcess.Failure.killed(signal: 9)) { try output("kill -9 $$") }
        #expect(throws: ChildProcess.Failure.tooMuch(limit: 100)) { try output("cat /dev/zero") }
    }

    @Test(
        "what takes too long is ended with everything that it started",
        arguments: ["sleep 1000 & echo $! > FILE; wait", "exec >&-; sleep 1000 & echo $! > FILE; wait"])
    func late(_ line: String) throws {
        let file = "/tmp/gateway-child-\(UInt64.random(in: 0 ... .max))"
        let line = line.split(separator: " ").map { $0 == "FILE;" ? "\(file);" : String($0) }.joined(separator: " ")
        #expect(throws: ChildProcess.Failure.late) { try output(line, within: .milliseconds(300)) }
        // The kernel may take a moment to bury it.
        let isGone = "for i in $(seq 200); do kill -0 $(cat \(file)) 2>&- || exit 0; sleep 0.05; done; exit 1"
        #expect(ChildProcess.run(["sh", "-c", isGone]) == 0)
        #expect(ChildProcess.run(["rm", file]) == 0)
    }
}
