import Foundation
import Glibc
import Testing

@testable import GatewayRuntime

@Suite("Time")
struct TimeTests {
    @Test("durations in whole nanoseconds saturate at both ends")
    func duration() {
        #expect(Duration.seconds(-1).wholeNanoseconds == 0)
        #expect(Duration.nanoseconds(-1).wholeNanoseconds == 0)
        #expect(Duration.milliseconds(1_500).wholeNanoseconds == 1_500_000_000)
        #expect(Duration.seconds(Int64.max).wholeNanoseconds == .max)
        let edge = Duration(secondsComponent: 18_446_744_073, attosecondsComponent: 999_999_999_000_000_000)
        #expect(edge.wholeNanoseconds == .max)
    }

    @Test("a moment plus a very long time is never")
    func saturation() {
        let moment = MonotonicTime(nanoseconds: .max - 5)
        #expect(moment + .nanoseconds(5) == .distantFuture)
        #expect(moment + .seconds(1) == .distantFuture)
        #expect(MonotonicTime.distantFuture + .seconds(1) == .distantFuture)
        #expect(moment + .seconds(-1) == moment)
    }

    @Test("the time since a later moment is zero, and the clock does not go back")
    func since() {
        let (early, late) = (MonotonicTime(nanoseconds: 5), MonotonicTime(nanoseconds: 9))
        #expect(late.nanoseconds(since: early) == 4)
        #expect(early.nanoseconds(since: late) == 0)
        #expect(early < late)
        let first = MonotonicTime.read()
        #expect(first <= MonotonicTime.read())
    }
}

@Suite("Resources")
struct ResourceTests {
    @Test(
        "cpu.max is read as processors, rounded up",
        arguments: [
            ("200000 100000\n", 2), ("150000 100000\n", 2), ("50000 100000", 1), ("max 100000\n", nil), ("", nil),
            ("100000", nil), ("0 100000", nil), ("100000 0", nil), ("-1 100000", nil), ("a b", nil),
            ("9223372036854775807 1", Int.max),
        ] as [(String, Int?)])
    func cpuMax(_ text: String, _ expected: Int?) { #expect(Resources.processors(cpuMax: text) == expected) }

    @Test("the unified group is found among others")
    func groupPath() {
        #expect(Resources.cgroupPath(in: "12:cpu:/x\n0::/kubepods/pod1/c2\n") == "/kubepods/pod1/c2")
        #expect(Resources.cgroupPath(in: "0::/\n") == "/")
        #expect(Resources.cgroupPath(in: "12:cpu:/x\n") == nil)
    }

    @Test("limits of the groups around one's own count too")
    func ancestors() {
        #expect(Resources.ancestors(of: "/a/b/c") == ["/a/b/c", "/a/b", "/a", ""])
        #expect(Resources.ancestors(of: "/") == [""])
    }

    @Test("there is at least one processor, and a descriptor limit")
    func counts() {
        #expect(Resources.processorCount() >= 1)
        #expect(Resources.raiseDescriptorLimit() >= 256)
    }
}

@Suite("Small files")
struct SmallFileTests {
    private func inFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("small-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.path)
    }

    private func mode(of path: String) throws -> Int {
        try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test("what is written is read back, with the permissions asked for", arguments: [0o600, 0o644, 0o666] as [UInt32])
    func roundTrip(_ permissions: UInt32) throws {
        try inFolder { folder in
            let path = "\(folder)/state"
            try SmallFile.replace(path, with: Array("one".utf8), mode: permissions)
            try SmallFile.replace(path, with: Array("two".utf8), mode: permissions)
            #expect(SmallFile.read(path) == "two")
            #expect(try mode(of: path) == Int(permissions))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["state"])
        }
    }

    @Test("a file made private is empty and its user's only; one that is there keeps what is in it")
    func makePrivate() throws {
        try inFolder { folder in
            let path = "\(folder)/facts"
            try SmallFile.makePrivate(path)
            #expect(try SmallFile.bytes(of: path).isEmpty)
            #expect(try mode(of: path) == 0o600)
            try SmallFile.replace(path, with: Array("kept".utf8), mode: 0o644)
            try SmallFile.makePrivate(path)
            #expect(SmallFile.read(path) == "kept")
            #expect(try mode(of: path) == 0o600)
            #expect(throws: SystemError.self) { try SmallFile.makePrivate("\(folder)/missing/facts") }
        }
    }

    @Test("readers see one content or another, never half, while threads replace it")
    func atomic() throws {
        try inFolder { folder in
            let path = "\(folder)/state"
            let contents = (0..<4).map { [UInt8](repeating: UInt8(ascii: "a") + $0, count: 100_000) }
            try SmallFile.replace(path, with: contents[0])
            let done = Countdown(4)
            for content in contents {
                Threads.start("writer") {
                    for _ in 0..<20 {
                        do { try SmallFile.replace(path, with: content) } catch { Issue.record(error) }
                    }
                    done.finishOne()
                }
            }
            for _ in 0..<100 {
                let seen = try SmallFile.bytes(of: path)
                #expect(seen.count == 100_000 && seen.allSatisfy { $0 == seen[0] })
            }
            #expect(done.wait(atMost: .seconds(60)))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["state"])
        }
    }

    @Test("a link is replaced, not followed, and a failure leaves nothing behind")
    func links() throws {
        try inFolder { folder in
            let target = "\(folder)/target"
            try SmallFile.replace(target, with: [1])
            try FileManager.default.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: target)
            try SmallFile.replace("\(folder)/link", with: [2])
            #expect(try SmallFile.bytes(of: target) == [1])
            #expect(try SmallFile.bytes(of: "\(folder)/link") == [2])

            try FileManager.default.createDirectory(atPath: "\(folder)/taken/in", withIntermediateDirectories: true)
            #expect(throws: SystemError.self) { try SmallFile.replace("\(folder)/taken", with: [3]) }
            #expect(throws: SystemError("open", code: ENOENT)) { try SmallFile.replace("\(folder)/none/x", with: [3]) }
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["link", "taken", "target"])
        }
    }

    @Test("a file larger than the limit is refused", arguments: [(10, true), (11, false)])
    func limit(_ size: Int, _ isTaken: Bool) throws {
        try inFolder { folder in
            let path = "\(folder)/f"
            try SmallFile.replace(path, with: [UInt8](repeating: 7, count: size))
            if isTaken {
                #expect(try SmallFile.bytes(of: path, limit: 10).count == size)
            } else {
                #expect(throws: SystemError("read", code: EFBIG)) { try SmallFile.bytes(of: path, limit: 10) }
            }
        }
    }

    @Test("what is not there or no file is an error", arguments: ["/nonexistent/file", "/"])
    func missing(_ path: String) {
        #expect(throws: SystemError.self) { try SmallFile.bytes(of: path) }
        #expect(SmallFile.read(path) == nil)
    }
}

@Suite("Programs that are run")
struct ProgramTests {
    @Test("start with no signal blocked, and are ended by SIGPIPE as any program is")
    func signals() {
        Resources.ignoreBrokenPipes()
        var blocked = sigset_t()
        var before = sigset_t()
        _ = unsafe sigemptyset(&blocked)
        _ = unsafe sigaddset(&blocked, SIGTERM)
        #expect(unsafe pthread_sigmask(SIG_BLOCK, &blocked, &before) == 0)
        defer { _ = unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
        // SIGPIPE is the thirteenth bit. The C library ignores two signals of its own in whatever it starts.
        for line in ["SigBlk:.0{16}", "SigIgn:.[0-9a-f]{12}[02468ace][0-9a-f]{3}"] {
            #expect(ChildProcess.run(["grep", "-Eq", "^\(line)$", "/proc/self/status"]) == 0, "\(line)")
        }
    }

    @Test("tell how they ended")
    func endings() {
        #expect(ChildProcess.run(["sh", "-c", "exit 7"]) == 7)
        #expect(ChildProcess.run(["sh", "-c", "kill -9 $$"]) == nil)
        #expect(ChildProcess.run(["/nonexistent/program"]) == nil)
    }
}
