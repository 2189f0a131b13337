import CLinux
import Glibc

/// Programs that this process starts. They begin with no signal blocked or ignored, whatever this process does with
/// them. Everything here blocks.
package enum ChildProcess {
    /// Why a program's output cannot be used.
    package enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
        case notStarted(SystemError)
        case late
        case tooMuch(limit: Int)
        case exited(code: Int32)
        case killed(signal: Int32)

        package var description: String {
            switch self {
            case .notStarted(let error): "it cannot be started: \(error.reason)"
            case .late: "it took too long and was ended"
            case .tooMuch(let limit): "it wrote more than \(limit) bytes and was ended"
            case .exited(let code): "it ended with exit code \(code)"
            case .killed(let signal): "it was ended by signal \(signal)"
            }
        }
    }

    /// Runs a program to its end, without a shell, its output discarded.
    ///
    /// - Parameter arguments: The program, looked up in PATH, and what it is given.
    /// - Returns: Its exit code; `nil` when it could not be started or was killed.
    package static func run(_ arguments: [String]) -> Int32? {
        guard let child = try? spawn(arguments, output: nil, group: false) else { return nil }
        var status: CInt = 0
        while unsafe waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { return nil }
        }
        return try? exitCode(of: status)
    }

    /// Runs a line of shell and returns what it writes to its standard output. Its standard input is empty, its standard
    /// error is this process's.
    ///
    /// - Parameters:
    ///   - limit: Most bytes of output.
    ///   - patience: How long it may run. One that takes longer, or writes more, is killed with everything it started.
    /// - Throws: Also when it ends with another code than 0.
    package static func output(
        ofShell line: String, limit: Int, within patience: Duration
    ) throws(Failure) -> [UInt8] {
        let deadline = MonotonicTime.read() + patience
        var ends: (CInt, CInt) = (-1, -1)
        let status = unsafe withUnsafeMutableBytes(of: &ends) { raw in
            unsafe pipe2(raw.assumingMemoryBound(to: CInt.self).baseAddress, CInt(O_CLOEXEC))
        }
        guard status == 0 else { throw .notStarted(SystemError("pipe2")) }
        let (readEnd, writeEnd) = ends
        defer { _ = close(readEnd) }
        let child: pid_t
        do throws(SystemError) {
            defer { _ = close(writeEnd) }
            child = try spawn(["/bin/sh", "-c", line], output: writeEnd, group: true)
        } catch {
            throw .notStarted(error)
        }
        do throws(Failure) {
            let bytes = try read(readEnd, limit: limit, until: deadline)
            let code = try exitCode(of: try reap(child, until: deadline))
            guard code == 0 else { throw .exited(code: code) }
            return bytes
        } catch {
            if error == .late || error == .tooMuch(limit: limit) { end(child) }
            throw error
        }
    }

    /// - Parameters:
    ///   - output: Its standard output; `nil` discards that, and standard error too.
    ///   - group: Whether it leads a process group of its own.
    private static func spawn(_ arguments: [String], output: CInt?, group: Bool) throws(SystemError) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        _ = unsafe posix_spawn_file_actions_init(&actions)
        defer { _ = unsafe posix_spawn_file_actions_destroy(&actions) }
        for descriptor in output == nil ? [CInt(0), 1, 2] : [0] {
            _ = unsafe posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
        }
        if let output { _ = unsafe posix_spawn_file_actions_adddup2(&actions, output, 1) }
        var attributes = posix_spawnattr_t()
        _ = unsafe posix_spawnattr_init(&attributes)
        defer { _ = unsafe posix_spawnattr_destroy(&attributes) }
        var (none, all) = (sigset_t(), sigset_t())
        _ = unsafe sigemptyset(&none)
        _ = unsafe sigfillset(&all)
        _ = unsafe posix_spawnattr_setsigmask(&attributes, &none)
        _ = unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (group ? POSIX_SPAWN_SETPGROUP : 0)
        _ = unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
        var pointers: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { for place in unsafe pointers.indices { unsafe free(pointers[place]) } }
        var child = pid_t()
        let status = unsafe posix_spawnp(&child, arguments[0], &actions, &attributes, &pointers, environ)
        guard status == 0 else { throw SystemError("posix_spawn", code: status) }
        return child
    }

    /// Everything up to the end of the pipe.
    private static func read(_ pipe: CInt, limit: Int, until deadline: MonotonicTime) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            var news = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
            let left = deadline.nanoseconds(since: .read()) / 1_000_000
            guard unsafe poll(&news, 1, CInt(clamping: left)) != 0 || left > 0 else { throw .late }
            guard news.revents != 0 else { continue }
            let count = unsafe Glibc.read(pipe, &chunk, chunk.count)
            if count == 0 { return bytes }
            if count > 0 { bytes += chunk[..<count] }
            guard bytes.count <= limit else { throw .tooMuch(limit: limit) }
        }
    }

    /// Waits for the program's end, which usually comes with that of its output.
    private static func reap(_ child: pid_t, until deadline: MonotonicTime) throws(Failure) -> CInt {
        var status: CInt = 0
        while true {
            let outcome = unsafe waitpid(child, &status, WNOHANG)
            if outcome == child { return status }
            guard outcome == 0 || errno == EINTR else { throw .notStarted(SystemError("waitpid")) }
            guard MonotonicTime.read() < deadline else { throw .late }
            Threads.sleep(.milliseconds(2))
        }
    }

    private static func end(_ child: pid_t) {
        _ = kill(-child, SIGKILL)
        var status: CInt = 0
        while unsafe waitpid(child, &status, 0) < 0, errno == EINTR {}
    }

    private static func exitCode(of status: CInt) throws(Failure) -> Int32 {
        guard status & 0x7F == 0 else { throw .killed(signal: status & 0x7F) }
        return (status >> 8) & 0xFF
    }
}
