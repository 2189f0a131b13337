import GatewayBytes
import GatewayCompression
import GatewayTestSupport
import GatewayWebSocket

/// An event with its bytes copied out, so that whole runs can be compared.
enum Seen: Equatable, CustomStringConvertible {
    case message(MessageKind, [UInt8])
    case ping([UInt8])
    case pong([UInt8])
    case close(CloseCode?, [UInt8])
    case violation(ProtocolViolation)

    var description: String {
        switch self {
        case .message(let kind, let bytes): "message(\(kind), \(bytes.count) bytes, \(bytes.prefix(16)))"
        case .ping(let bytes): "ping(\(bytes))"
        case .pong(let bytes): "pong(\(bytes))"
        case .close(let code, let reason): "close(\(code?.description ?? "none"), \(reason))"
        case .violation(let violation): "violation(\(violation), \(violation.closeCode))"
        }
    }
}

extension OutputBuffer {
    var array: [UInt8] { unsafe withUnsafeBytes { unsafe [UInt8]($0) } }
}

/// What the process lends to a socket in tests.
func makeCodecs(
    _ settings: DeflateSettings = DeflateSettings(), compression: ByteCount = .mebibytes(64),
    assembly: ByteCount = .mebibytes(64)
) -> SharedCodecs {
    SharedCodecs(
        settings: settings, compressionBudget: CompressionBudget(limit: compression),
        assemblyBudget: ByteBudget(limit: assembly))
}

/// A reader with everything it needs, fed from arrays.
final class Peer {
    let codecs: SharedCodecs
    private var reader: MessageReader
    /// Whether a violation was thrown: from then on everything is ignored.
    private(set) var hasFailed = false

    init(
        role: Role = .server, limits: MessageLimits = MessageLimits(), codecs: SharedCodecs = makeCodecs(),
        deflate: DeflateContext? = nil
    ) {
        self.codecs = codecs
        reader = MessageReader(role: role, limits: limits, deflate: deflate)
    }

    var isMidMessage: Bool { reader.isMidMessage }
    func unfinishedSince(_ now: UInt64) -> UInt64? { reader.unfinishedSince(now: now) }
    func restartPatience(_ now: UInt64) { reader.restartPatience(now: now) }

    /// Gives the reader a receive buffer with `bytes`, and takes its events.
    func receive(_ bytes: [UInt8]) -> [Seen] {
        var copy = bytes
        var seen: [Seen] = []
        unsafe copy.withUnsafeMutableBytes { buffer in
            var input = unsafe buffer
            while let next = unsafe step(&input) { seen.append(next) }
            precondition(input.count == 0, "a reader must use all of its input")
        }
        // A reader that kept a pointer into the receive buffer would show it now.
        copy = [UInt8](repeating: 0xEE, count: copy.count)
        return seen
    }

    private func step(_ input: inout UnsafeMutableRawBufferPointer) -> Seen? {
        do throws(ProtocolViolation) {
            switch try unsafe reader.next(&input, using: codecs) {
            case .needMore: return nil
            case .message(let kind, let bytes): return unsafe .message(kind, [UInt8](bytes))
            case .ping(let bytes): return unsafe .ping([UInt8](bytes))
            case .pong(let bytes): return unsafe .pong([UInt8](bytes))
            case .close(let code, let reason): return unsafe .close(code, [UInt8](reason))
            }
        } catch {
            hasFailed = true
            return .violation(error)
        }
    }

    /// Feeds `stream` in pieces of `size` bytes.
    func receive(_ stream: [UInt8], inPiecesOf size: Int) -> [Seen] {
        stride(from: 0, to: stream.count, by: size).flatMap { start in
            receive(Array(stream[start..<min(start + size, stream.count)]))
        }
    }
}

/// Spells a frame by hand, right or wrong.
struct Frame {
    var first: UInt8
    var payload: [UInt8] = []
    var mask: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D]
    /// Length bytes to write instead of the shortest form, the first of them without the mask bit.
    var length: [UInt8]?

    init(
        _ opcode: UInt8, _ payload: [UInt8] = [], fin: Bool = true, reserved: UInt8 = 0,
        mask: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D], length: [UInt8]? = nil
    ) {
        first = opcode | reserved | (fin ? 0x80 : 0)
        self.payload = payload
        self.mask = mask
        self.length = length
    }

    var bytes: [UInt8] {
        var head = length ?? Self.shortest(payload.count)
        if mask != nil { head[0] |= 0x80 }
        let key = mask ?? []
        let body = payload.enumerated().map { key.isEmpty ? $1 : $1 ^ key[$0 % 4] }
        return [first] + head + key + body
    }

    static func shortest(_ count: Int) -> [UInt8] {
        switch count {
        case ..<126: [UInt8(count)]
        case ...0xFFFF: [126, UInt8(count >> 8), UInt8(count & 0xFF)]
        default: [127] + (0..<8).map { UInt8(truncatingIfNeeded: count >> (56 - 8 * $0)) }
        }
    }

    static func text(_ text: String, fin: Bool = true) -> [UInt8] { Frame(1, Array(text.utf8), fin: fin).bytes }
    static func text(_ bytes: [UInt8], fin: Bool = true) -> [UInt8] { Frame(1, bytes, fin: fin).bytes }
    static func binary(_ bytes: [UInt8], fin: Bool = true) -> [UInt8] { Frame(2, bytes, fin: fin).bytes }
    static func more(_ bytes: [UInt8], fin: Bool = true) -> [UInt8] { Frame(0, bytes, fin: fin).bytes }
    static func ping(_ bytes: [UInt8] = []) -> [UInt8] { Frame(9, bytes).bytes }
    static func pong(_ bytes: [UInt8] = []) -> [UInt8] { Frame(10, bytes).bytes }
    static func close(_ code: UInt16? = nil, _ reason: [UInt8] = []) -> [UInt8] {
        Frame(8, (code.map { [UInt8($0 >> 8), UInt8($0 & 0xFF)] } ?? []) + reason).bytes
    }
}

/// ASCII text that a compressor can shorten, and that differs from one seed to the next.
func prose(_ size: Int, seed: UInt64 = 7) -> [UInt8] {
    let words = ["gateway ", "socket ", "frame ", "{\"id\": ", "message, ", "window ", "12345 ", "close\n"]
    var bytes: [UInt8] = []
    for byte in noise(size / 4 + 8, seed: seed) {
        bytes += words[Int(byte & 7)].utf8
        if bytes.count >= size { break }
    }
    return Array(bytes.prefix(size))
}
