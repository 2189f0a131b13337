import CLinux
import Glibc

/// What tells one state of a file from another without reading it.
///
/// Links are followed, so a folder that is switched as a whole, as deployments do, shows as another inode. The time of
/// the last status change covers what keeps size and modification time: a copy with preserved times, new permissions.
package struct FileStamp: Hashable, Sendable {
    private let device: UInt64
    private let inode: UInt64
    private let size: Int64
    private let modified: [Int]
    private let changed: [Int]

    /// Blocks on the disk: at start-up, or on a worker thread.
    ///
    /// - Returns: `nil` when there is no such file, or it may not be looked at.
    package static func of(_ path: String) -> FileStamp? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        return FileStamp(
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
            modified: [status.st_mtim.tv_sec, status.st_mtim.tv_nsec],
            changed: [status.st_ctim.tv_sec, status.st_ctim.tv_nsec])
    }
}
