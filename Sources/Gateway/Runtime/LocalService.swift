import CLinux
import Glibc
import Synchronization

/// Answers questions of programs on this machine by a Unix socket: one line in, some text back, and the end.
///
/// For the user whose process this is and for root, nobody else: the file's mode says so, and so does who the kernel
/// says is asking. One asker at a time, on a thread that blocks; nothing of this touches a loop.
package final class LocalService: Sendable {
    package typealias Answering = @Sendable (_ question: String) -> String

    private let path: String
    private let listener: CInt
    private let answer: Answering
    private let isOpen = Atomic<Bool>(true)

    private enum Limits {
        static let question = 256
        static let answer = 4 << 20
        /// How long an asker may take to ask, and to take its answer, in seconds.
        static let patience = 5
        static let backlog: CInt = 8
    }

    /// Opens the socket and starts answering.
    ///
    /// A file that a dead process left at `path` is replaced. Folders are not made.
    ///
    /// - Parameter answer: Called on the service's thread; may block.
    /// - Throws: `EADDRINUSE` when a living process answers there, `ENAMETOOLONG` over 107 bytes of path.
    package static func open(at path: String, answer: @escaping Answering) throws(SystemError) -> LocalService {
        if isSocket(path) {
            guard isDead(path) else { throw SystemError("bind", code: EADDRINUSE) }
            _ = unsafe unlink(path)
        }
        let descriptor = try stream()
        do throws(SystemError) {
            let status = try unsafe withAddress(path) { unsafe bind(descriptor, $0, $1) }
            guard status == 0 else { throw SystemError("bind") }
            guard unsafe chmod(path, 0o600) == 0 else { throw SystemError("chmod") }
            guard listen(descriptor, Limits.backlog) == 0 else { throw SystemError("listen") }
        } catch {
            _ = Glibc.close(descriptor)
            throw error
        }
        let service = LocalService(path: path, listener: descriptor, answer: answer)
        guard Threads.start("control", { service.serve() }) else {
            service.close()
            _ = Glibc.close(descriptor)
            throw SystemError("pthread_create", code: EAGAIN)
        }
        return service
    }

    private init(path: String, listener: CInt, answer: @escaping Answering) {
        self.path = path
        self.listener = listener
        self.answer = answer
    }

    /// Takes no more questions and removes the file. Whoever is being answered still is.
    package func close() {
        guard isOpen.exchange(false, ordering: .relaxed) else { return }
        _ = unsafe unlink(path)
        // Wakes the thread, which closes the descriptor: its number must not come to mean another file meanwhile.
        _ = shutdown(listener, CInt(SHUT_RDWR))
    }

    private func serve() {
        while isOpen.load(ordering: .relaxed) {
            let asker = accept4(listener, nil, nil, CInt(SOCK_CLOEXEC.rawValue))
            if asker >= 0 {
                talk(to: asker)
                _ = Glibc.close(asker)
            } else if errno != EINTR, errno != ECONNABORTED, isOpen.load(ordering: .relaxed) {
                // No descriptor is free, perhaps.
                Threads.sleep(.milliseconds(100))
            }
        }
        _ = Glibc.close(listener)
    }

    private func talk(to asker: CInt) {
        let user = linux_peer_user(asker)
        guard user == 0 || user == Int(geteuid()) else { return }
        Self.limitWaits(of: asker, seconds: Limits.patience)
        guard let question = try? Self.read(asker, limit: Limits.question, through: UInt8(ascii: "\n")) else { return }
        try? Self.write(Array(answer(String(decoding: question, as: UTF8.self)).utf8), to: asker)
    }

    // MARK: The other end

    /// Asks the service at `path`. Blocks.
    ///
    /// - Parameters:
    ///   - question: One line, without its end.
    ///   - patience: How long to wait for each part of the answer, in whole seconds.
    package static func ask(
        _ question: String, at path: String, patience: Duration = .seconds(60)
    ) throws(SystemError) -> String {
        let descriptor = try connect(to: path)
        defer { _ = Glibc.close(descriptor) }
        limitWaits(of: descriptor, seconds: Int(patience.components.seconds))
        try write(Array("\(question)\n".utf8), to: descriptor)
        return String(decoding: try read(descriptor, limit: Limits.answer), as: UTF8.self)
    }

    /// Whether nobody listens behind the file. One who is too busy, or does not talk to this user, lives.
    private static func isDead(_ path: String) -> Bool {
        do throws(SystemError) {
            _ = Glibc.close(try connect(to: path, waits: false))
            return false
        } catch {
            return error.code == ECONNREFUSED || error.code == ENOENT
        }
    }

    /// - Parameter waits: Whether to wait for somebody who has too many askers already.
    private static func connect(to path: String, waits: Bool = true) throws(SystemError) -> CInt {
        let descriptor = try stream()
        if waits {
            limitWaits(of: descriptor, seconds: Limits.patience)
        } else {
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        }
        do throws(SystemError) {
            let status = try unsafe withAddress(path) { unsafe Glibc.connect(descriptor, $0, $1) }
            guard status == 0 else { throw SystemError("connect") }
            return descriptor
        } catch {
            _ = Glibc.close(descriptor)
            throw error
        }
    }

    // MARK: System calls

    private static func stream() throws(SystemError) -> CInt {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemError("socket") }
        return descriptor
    }

    private static func isSocket(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) throws(SystemError) -> CInt {
        var address = sockaddr_un()
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw SystemError("bind", code: ENAMETOOLONG)
        }
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        return unsafe withUnsafeBytes(of: &address) { raw in
            let bound = unsafe raw.assumingMemoryBound(to: sockaddr.self)
            return unsafe body(bound.baseAddress.unsafelyUnwrapped, socklen_t(raw.count))
        }
    }

    private static func limitWaits(of descriptor: CInt, seconds: Int) {
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, size)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, size)
    }

    /// Reads through `mark`, which is left out, or to the end.
    private static func read(
        _ descriptor: CInt, limit: Int, through mark: UInt8? = nil
    ) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("recv")
            }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            if let mark, let end = bytes.firstIndex(of: mark) { return Array(bytes[..<end]) }
            guard bytes.count <= limit else { throw SystemError("recv", code: EMSGSIZE) }
        }
    }

    private static func write(_ bytes: [UInt8], to descriptor: CInt) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { raw in
                unsafe send(descriptor, raw.baseAddress.map { unsafe $0 + done }, raw.count - done, CInt(MSG_NOSIGNAL))
            }
            if count >= 0 {
                done += count
            } else if errno != EINTR {
                throw SystemError("send")
            }
        }
    }
}
