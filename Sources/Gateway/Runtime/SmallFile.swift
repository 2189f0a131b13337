import CLinux
import Glibc
import Synchronization

/// Whole files of bounded size, for settings, keys and state. Blocks: at start-up, or on a worker thread.
package enum SmallFile {
    /// The file as text; `nil` when it cannot be read.
    package static func read(_ path: String) -> String? {
        (try? bytes(of: path)).map { String(decoding: $0, as: UTF8.self) }
    }

    /// - Parameter limit: A larger file is refused with `EFBIG`.
    package static func bytes(of path: String, limit: Int = 1 << 20) throws(SystemError) -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError("open") }
        defer { _ = close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("read")
            }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[0..<count])
            guard bytes.count <= limit else { throw SystemError("read", code: EFBIG) }
        }
    }

    /// Replaces the file in one step: readers see the old content or the new, never half.
    ///
    /// - Parameter mode: Permissions of the new file, such as 0o600, whatever the umask.
    package static func replace(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o600) throws(SystemError) {
        let number = replacements.wrappingAdd(1, ordering: .relaxed).newValue
        let temporary = "\(path).\(getpid()).\(number).new"
        // Left behind by a process of the same number that died; O_EXCL follows no link that somebody put there.
        _ = unsafe unlink(temporary)
        let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(0o600))
        guard descriptor >= 0 else { throw SystemError("open") }
        do throws(SystemError) {
            defer { _ = close(descriptor) }
            guard fchmod(descriptor, mode_t(mode)) == 0 else { throw SystemError("fchmod") }
            try write(bytes, to: descriptor)
            guard fsync(descriptor) == 0 else { throw SystemError("fsync") }
            guard unsafe rename(temporary, path) == 0 else { throw SystemError("rename") }
        } catch {
            _ = unsafe unlink(temporary)
            throw error
        }
    }

    /// Makes an empty file that only this user can read and write, or takes everybody else's rights to the one there.
    ///
    /// One that exists is not opened: closing it would let go of the locks that this process holds on it (fcntl(2)).
    package static func makePrivate(_ path: String) throws(SystemError) {
        let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(0o600))
        if descriptor >= 0 {
            _ = close(descriptor)
            return
        }
        guard errno == EEXIST else { throw SystemError("open") }
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw SystemError("stat") }
        guard status.st_mode & 0o077 != 0 else { return }
        guard unsafe chmod(path, 0o600) == 0 else { throw SystemError("chmod") }
    }

    /// Tells apart the temporary files of threads that replace the same file at once.
    private static let replacements = Atomic<UInt64>(0)

    private static func write(_ bytes: [UInt8], to descriptor: CInt) throws(SystemError) {
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { raw in
                unsafe Glibc.write(descriptor, raw.baseAddress.map { unsafe $0 + written }, raw.count - written)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("write")
            }
            written += count
        }
    }
}
