import Glibc
import Testing

@testable import GatewayRuntime

@Suite("A Unix socket for questions of this machine's user")
struct LocalServiceTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/local-service-XXXXXX\0".utf8CString)
        _ = unsafe mkdtemp(&template)
        let folder = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { _ = unsafe rmdir(folder) }
        try body(folder)
    }

    @Test("a question is answered, however long the answer, and the next one too")
    func conversation() throws {
        try withFolder { folder in
            let path = "\(folder)/control.sock"
            let service = try LocalService.open(at: path) { String(repeating: $0, count: 100_000) }
            #expect(try LocalService.ask("abc", at: path) == String(repeating: "abc", count: 100_000))
            #expect(try LocalService.ask("", at: path) == "")
            service.close()
            service.close()
            #expect(throws: SystemError("connect", code: ENOENT)) { try LocalService.ask("abc", at: path) }
        }
    }

    @Test("the file is its owner's only, and one that a dead process left is replaced")
    func file() throws {
        try withFolder { folder in
            let path = "\(folder)/control.sock"
            // What remains when a process dies: the file without anybody behind it.
            let first = try LocalService.open(at: path) { $0 }
            let kept = "\(folder)/kept"
            #expect(unsafe link(path, kept) == 0)
            first.close()
            #expect(unsafe rename(kept, path) == 0)
            let second = try LocalService.open(at: path) { _ in "second" }
            defer { second.close() }
            var status = stat()
            #expect(unsafe stat(path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
            #expect(try LocalService.ask("?", at: path) == "second")
        }
    }

    @Test("one that is too busy to be asked lives too")
    func busy() throws {
        try withFolder { folder in
            let path = "\(folder)/control.sock"
            let isAsked = Signal()
            let mayAnswer = Signal()
            let service = try LocalService.open(at: path) { question in
                isAsked.raise()
                mayAnswer.wait()
                return question
            }
            let askers = Countdown(12)
            for _ in 0..<12 {
                Threads.start("asker") {
                    _ = try? LocalService.ask("?", at: path, patience: .seconds(20))
                    askers.finishOne()
                }
            }
            isAsked.wait()
            for _ in 0..<20 {
                #expect(throws: SystemError("bind", code: EADDRINUSE)) { try LocalService.open(at: path) { $0 } }
            }
            for _ in 0..<64 { mayAnswer.raise() }
            #expect(askers.wait(atMost: .seconds(50)))
            service.close()
        }
    }

    @Test("a living one is left alone, and so is a file that is no socket")
    func taken() throws {
        try withFolder { folder in
            let path = "\(folder)/control.sock"
            let service = try LocalService.open(at: path) { $0 }
            #expect(throws: SystemError("bind", code: EADDRINUSE)) { try LocalService.open(at: path) { $0 } }
            #expect(try LocalService.ask("still", at: path) == "still")
            service.close()
            try SmallFile.replace(path, with: [1])
            #expect(throws: SystemError("bind", code: EADDRINUSE)) { try LocalService.open(at: path) { $0 } }
            #expect(try SmallFile.bytes(of: path) == [1])
            _ = unsafe unlink(path)
        }
    }

    @Test("a path that the kernel cannot hold is refused, and so is a folder that is not there")
    func paths() throws {
        let long = "/tmp/" + String(repeating: "x", count: 110)
        #expect(throws: SystemError("bind", code: ENAMETOOLONG)) { try LocalService.open(at: long) { $0 } }
        try withFolder { folder in
            let absent = "\(folder)/absent/x"
            #expect(throws: SystemError("bind", code: ENOENT)) { try LocalService.open(at: absent) { $0 } }
        }
    }

    @Test("a question that is too long is not answered")
    func limit() throws {
        try withFolder { folder in
            let path = "\(folder)/control.sock"
            let service = try LocalService.open(at: path) { $0 }
            defer { service.close() }
            let answer = try? LocalService.ask(String(repeating: "x", count: 5000), at: path)
            #expect(answer ?? "" == "")
        }
    }
}
