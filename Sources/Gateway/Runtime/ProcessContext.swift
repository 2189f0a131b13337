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
    package static var isErrorTerminal: Bool { isatty(2) != 0 }

    /// What this machine calls itself, with or without a domain; empty if it has no name.
    package static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&name, name.count - 1) == 0 else { return "" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

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
}
