import CLinux
import Glibc

/// What a file is, and which state of it: two equal values mean equal bytes, as far as the file system can tell.
package struct FileFacts: Equatable, Sendable {
    package enum Kind: Sendable { case regular, folder, other }

    package let kind: Kind
    package let size: UInt64
    /// Of the content: seconds since 1970, and nanoseconds.
    package let modified: (seconds: Int64, nanoseconds: Int64)
    private let changed: (seconds: Int64, nanoseconds: Int64)
    private let node: UInt64
    private let device: UInt64

    init(_ status: stat) {
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .folder
            default: .other
            }
        size = UInt64(clamping: status.st_size)
        modified = (Int64(status.st_mtim.tv_sec), Int64(status.st_mtim.tv_nsec))
        changed = (Int64(status.st_ctim.tv_sec), Int64(status.st_ctim.tv_nsec))
        node = UInt64(status.st_ino)
        device = UInt64(status.st_dev)
    }

    package static func == (left: FileFacts, right: FileFacts) -> Bool {
        left.kind == right.kind && left.size == right.size && left.modified == right.modified
            && left.changed == right.changed && left.node == right.node && left.device == right.device
    }

    /// Whether the last change lies at least two seconds back. Before that, another may follow within the same tick of
    /// the file system's clock, and nothing here would tell.
    ///
    /// - Parameter now: Seconds since 1970.
    package func isSettled(now: Int64) -> Bool { now - max(changed.seconds, modified.seconds) >= 2 }
}

/// An open file, closed with the last reference. Reading says from where, so any number of readers may share it.
package final class OpenFile: Sendable {
    private let descriptor: CInt
    package let facts: FileFacts

    init(owning descriptor: CInt) throws(SystemError) {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            let error = SystemError("fstat")
            _ = close(descriptor)
            throw error
        }
        self.descriptor = descriptor
        facts = FileFacts(status)
    }

    deinit { _ = close(descriptor) }

    /// What the file is now: it may have been written to since it was opened.
    package func currentFacts() throws(SystemError) -> FileFacts {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw SystemError("fstat") }
        return FileFacts(status)
    }

    /// Reads up to `count` bytes from `offset`; fewer where the file ends. Blocks.
    package func read(at offset: UInt64, count: Int) throws(SystemError) -> [UInt8] {
        var failure: SystemError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let place = unsafe buffer.baseAddress.map { unsafe $0 + filled }
                let got = unsafe pread(descriptor, place, count - filled, off_t(clamping: offset) + off_t(filled))
                if got == 0 { return }
                if got > 0 {
                    filled += got
                } else if errno != EINTR {
                    failure = SystemError("pread")
                    return
                }
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// The same without ever waiting for a disk: for event loops.
    ///
    /// - Returns: `nil` when the first of the bytes is not in memory, or the file system cannot tell; then ``read(at:count:)``
    ///   does it on a worker thread. May hold fewer bytes than were asked for.
    package func readFromMemory(at offset: UInt64, count: Int) -> [UInt8]? {
        var isEnd = false
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let got = unsafe linux_read_cached(descriptor, buffer.baseAddress, count, off_t(clamping: offset))
            filled = max(got, 0)
            isEnd = got == 0
        }
        return bytes.isEmpty && !isEnd ? nil : bytes
    }
}
