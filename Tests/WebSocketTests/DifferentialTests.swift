import GatewayBytes
import GatewayTestSupport
import GatewayWebSocket
import Testing

@Suite("Damaged streams")
struct DifferentialTests {
    /// A stream of good frames in which a few bytes were changed.
    private func stream(_ seed: UInt64) -> [UInt8] {
        var dice = noise(400, seed: seed &* 2_654_435_769 + 1)
        func roll(_ sides: Int) -> Int { Int(dice.popLast() ?? 0) % sides }
        var bytes: [UInt8] = []
        var isInMessage = false
        for _ in 0..<12 {
            let size = [0, 1, 5, 60, 125, 126, 200, 700][roll(8)]
            switch roll(5) {
            case 0: bytes += Frame.ping(noise(min(size, 125), seed: seed + 1))
            case 1: bytes += Frame.pong(noise(min(size, 125), seed: seed + 2))
            default:
                let isFinal = roll(2) == 0
                let text = prose(size, seed: seed + 3) + (roll(3) == 0 ? Array("µ€😀".utf8) : [])
                bytes += Frame(isInMessage ? 0 : UInt8(1 + roll(2)), text, fin: isFinal).bytes
                isInMessage = !isFinal
            }
        }
        for _ in 0..<roll(4) { bytes[(roll(256) << 8 | roll(256)) % bytes.count] ^= UInt8(1 << roll(8)) }
        return bytes
    }

    @Test("in one piece and in pieces they give the same events and the same violation", arguments: 0..<400)
    func same(_ seed: UInt64) {
        let stream = stream(seed)
        let whole = Peer().receive(stream)
        for size in [1, 2, 7, 64, 129] {
            #expect(Peer().receive(stream, inPiecesOf: size) == whole, "seed \(seed), pieces of \(size)")
        }
    }

    @Test("compressed ones never crash a reader, and cost it no more than its limit", arguments: 0..<200)
    func compressed(_ seed: UInt64) throws {
        let keeps = seed % 2 == 0
        let limits = MessageLimits(message: .kibibytes(8))
        let settings = (deflateSettings(peer: keeps), deflateSettings(own: keeps))
        let pair = try Pair(server: settings.0, client: settings.1, limits: limits)
        var stream = (0..<4).flatMap { pair.fromClient(.text, prose(1500, seed: seed + $0)) }
        let dice = noise(8, seed: seed + 77)
        stream[(Int(dice[0]) << 4) % stream.count] ^= 1 << (dice[1] % 8)
        stream[(Int(dice[2]) << 3) % stream.count] ^= 1 << (dice[3] % 8)
        for size in [stream.count, 1, 50] {
            let reader = try Pair(server: settings.0, client: settings.1, limits: limits)
            for case .message(_, let bytes) in reader.server.receive(stream, inPiecesOf: size) {
                #expect(bytes.count <= 8192)
            }
        }
    }
}
