import CLinux
import Glibc

/// What each body of a run must be: some bytes over and over, up to a length.
///
/// The bytes of a large body come from a file whose length is no power of two, so that a server that drops or repeats
/// a buffer is found out, and which is small enough to compare with from the processor's cache.
struct ExpectedBody {
    private let bytes: [UInt8]
    let length: Int

    init(text: String) {
        bytes = Array(text.utf8)
        length = bytes.count
    }

    init(file path: String, length: Int) throws(Fault) {
        bytes = try Self.read(path)
        self.length = length
        guard !bytes.isEmpty else { throw Fault("\(path) is empty") }
    }

    /// Whether `piece` is what stands at `offset` of the body.
    func matches(_ piece: Span<UInt8>, at offset: Int) -> Bool {
        guard offset + piece.count <= length else { return false }
        var done = 0
        while done < piece.count {
            let start = (offset + done) % bytes.count
            let count = min(bytes.count - start, piece.count - done)
            guard areEqual(piece.extracting(done..<(done + count)), bytes.span.extracting(start..<(start + count)))
            else { return false }
            done += count
        }
        return true
    }

    private static func read(_ path: String) throws(Fault) -> [UInt8] {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Fault(call: path) }
        defer { _ = close(file) }
        var result: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = unsafe block.withUnsafeMutableBytes { unsafe Glibc.read(file, $0.baseAddress, $0.count) }
            guard count >= 0 else { throw Fault(call: path) }
            guard count > 0 else { return result }
            result += block[..<count]
        }
    }
}
