import CLinux
import Glibc
import Synchronization

/// The files below one folder, and nothing else: no path and no link leads out.
///
/// Blocks: call it on a worker thread. The folder is opened anew each time, so one that a link was switched to another
/// folder, as deployments do, is followed.
package struct FileTree: Sendable {
    package let root: String

    package init(root: String) { self.root = root }

    /// Opens a file or folder for reading.
    ///
    /// - Parameter path: Relative to the root, without a NUL. Empty names the root itself.
    /// - Throws: ``SystemError``; ``SystemError/isAbsence`` when there is nothing to be served.
    package func open(_ path: [UInt8]) throws(SystemError) -> OpenFile {
        let folder = unsafe linux_open_folder(root)
        guard folder >= 0 else { throw SystemError("open") }
        defer { _ = close(folder) }
        let name = (path.isEmpty ? [UInt8(ascii: ".")] : path).map { CChar(bitPattern: $0) } + [0]
        guard !name.dropLast().contains(0) else { throw SystemError("openat2", code: ENOENT) }
        let descriptor = try Self.beneath.load(ordering: .relaxed) ? confined(folder, name) : checked(folder, name)
        return try OpenFile(owning: descriptor)
    }

    /// Whether the kernel, and the container around this process, let openat2(2) through.
    private static let beneath = Atomic<Bool>(true)
    /// A file renamed while its path is walked makes the kernel ask for another try.
    private static let attempts = 4

    private func confined(_ folder: CInt, _ name: [CChar]) throws(SystemError) -> CInt {
        for _ in 0..<Self.attempts {
            let descriptor = unsafe linux_open_beneath(folder, name)
            if descriptor >= 0 { return descriptor }
            switch errno {
            case EAGAIN, EINTR: continue
            case ENOSYS, EPERM:
                Self.beneath.store(false, ordering: .relaxed)
                return try checked(folder, name)
            default: throw SystemError("openat2")
            }
        }
        throw SystemError("openat2", code: EAGAIN)
    }

    /// Opens first and asks the kernel afterwards where that led: no time passes between the check and the use.
    func checked(_ folder: CInt, _ name: [CChar]) throws(SystemError) -> CInt {
        let descriptor = unsafe linux_open_below(folder, name)
        guard descriptor >= 0 else { throw SystemError("openat") }
        guard let base = Self.place(of: folder), let place = Self.place(of: descriptor),
            place == base || place.starts(with: base == [UInt8(ascii: "/")] ? base : base + [UInt8(ascii: "/")])
        else {
            _ = close(descriptor)
            throw SystemError("openat", code: EXDEV)
        }
        return descriptor
    }

    private static func place(of descriptor: CInt) -> [UInt8]? {
        var place = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = unsafe readlink("/proc/self/fd/\(descriptor)", &place, place.count)
        // A path that fills all the room may have been cut.
        guard length > 0, length < place.count else { return nil }
        return place[..<length].map { UInt8(bitPattern: $0) }
    }
}

extension SystemError {
    /// Nothing that this process may read, or may show, lies at the path.
    package var isAbsence: Bool {
        switch code {
        case ENOENT, ENOTDIR, EXDEV, ELOOP, EACCES, ENAMETOOLONG, EINVAL, ENXIO, ENODEV: true
        default: false
        }
    }
}
