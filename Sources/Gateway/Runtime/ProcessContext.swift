import CLinux
import Glibc

/// The process as its starter sees it: environment, standard streams, exit code.
package enum ProcessContext {
    /// The environment; of repeated names the first counts, as in getenv(3).
    package static var environment: [String: String] {
        var result: [String: String] = [:]
        var entry = unsafe environ
        while let raw = unsafe entry.pointee {
            let text = unsafe String(cString: raw)
            if let split = text.firstIndex(of: "=") {
                let name = String(text[..<split])
                if result[name] == nil { result[name] = String(text[text.index(after: split)...]) }
            }
            unsafe entry += 1
        }
        return result
    }

    package static func exit(_ code: Int32) -> Never { Glibc.exit(code) }

    /// Writes a line to standard error, unbuffered.
    package static func complain(_ line: String) { put(line, to: 2) }

    /// Writes a line to standard output, unbuffered: it stands there although the process goes on.
    package static func say(_ line: String) { put(line, to: 1) }

    private static func put(_ line: String, to descriptor: CInt) {
        let bytes = Array((line + "\n").utf8)
        _ = unsafe write(descriptor, bytes, bytes.count)
    }

    package static var isOutputTerminal: Bool { isatty(1) != 0 }

    /// Creates a folder and those above it; those that exist are left as they are.
    ///
    /// - Parameter mode: Permissions of folders it makes, such as 0o700.
    package static func makeFolder(_ path: String, mode: UInt32 = 0o700) throws(SystemError) {
        var prefix = ""
        for part in path.split(separator: "/") {
            prefix += (prefix.isEmpty && !path.hasPrefix("/") ? "" : "/") + part
            guard unsafe mkdir(prefix, mode_t(mode)) == 0 || errno == EEXIST else { throw SystemError("mkdir") }
        }
    }

    package static func fileExists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// Runs a program to its end, without a shell, its output discarded. Blocks.
    ///
    /// It starts with no signal blocked or ignored, whatever this process does with them.
    ///
    /// - Parameter arguments: The program, looked up in PATH, and what it is given.
    /// - Returns: Its exit code; `nil` when it could not be started or was killed.
    package static func run(_ arguments: [String]) -> Int32? {
        var actions = unsafe posix_spawn_file_actions_t()
        _ = unsafe posix_spawn_file_actions_init(&actions)
        defer { _ = unsafe posix_spawn_file_actions_destroy(&actions) }
        for descriptor in [CInt(0), 1, 2] {
            _ = unsafe posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
        }
        var attributes = posix_spawnattr_t()
        _ = unsafe posix_spawnattr_init(&attributes)
        defer { _ = unsafe posix_spawnattr_destroy(&attributes) }
        var (none, all) = (sigset_t(), sigset_t())
        _ = unsafe sigemptyset(&none)
        _ = unsafe sigfillset(&all)
        _ = unsafe posix_spawnattr_setsigmask(&attributes, &none)
        _ = unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        _ = unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var pointers: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { for place in unsafe pointers.indices { unsafe free(pointers[place]) } }
        var child = pid_t()
        guard unsafe posix_spawnp(&child, arguments[0], &actions, &attributes, &pointers, environ) == 0 else {
            return nil
        }
        var status: CInt = 0
        while unsafe waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { return nil }
        }
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : nil
    }
}
