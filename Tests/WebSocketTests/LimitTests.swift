import GatewayBytes
import GatewayCompression
import GatewayTestSupport
import GatewayWebSocket
import Testing

@Suite("Limits on what a peer may send")
struct LimitTests {
    @Test("a frame over its limit is refused at its head, before any of it is kept")
    func frameLimit() {
        let limits = MessageLimits(frame: .kibibytes(1), message: .kibibytes(64))
        #expect(Peer(limits: limits).receive(Frame.binary(noise(1024))) == [.message(.binary, noise(1024))])
        let peer = Peer(limits: limits)
        let head = Array(Frame.binary(noise(1025))[..<8])
        #expect(peer.receive(head) == [.violation(.frameTooBig(limit: 1024))])
        #expect(peer.codecs.assemblyBudget.inUse == .zero)
    }

    @Test("a claim of exabytes costs nothing")
    func hugeClaim() {
        let peer = Peer()
        let head: [UInt8] = [0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4]
        #expect(peer.receive(head) == [.violation(.frameTooBig(limit: 1 << 20))])
    }

    @Test("storage grows with what has arrived, not with what was claimed")
    func growth() {
        let peer = Peer(limits: MessageLimits(frame: .mebibytes(64)))
        let stream = Frame.binary(noise(100), fin: true)
        var head: [UInt8] = [0x82, 0xFF] + Array(Frame.shortest(64 << 20)[1...]) + [0, 0, 0, 0]
        head += stream
        _ = peer.receive(head)
        #expect(peer.isMidMessage)
        #expect(peer.codecs.assemblyBudget.inUse < .bytes(1024))
        for _ in 0..<50 { _ = peer.receive(noise(1000)) }
        #expect(peer.codecs.assemblyBudget.inUse.bytes <= 2 * 51_000)
    }

    @Test("a message over its limit is refused at the head of the fragment that would make it so")
    func messageLimit() {
        let limits = MessageLimits(frame: .kibibytes(4), message: .bytes(1000))
        #expect(
            Peer(limits: limits).receive(Array(Frame.binary(noise(1001))[..<8])) == [
                .violation(.messageTooBig(limit: 1000))
            ])
        let start = Frame.binary(noise(600), fin: false)
        let exact = Frame.more(noise(400))
        #expect(Peer(limits: limits).receive(start + exact) == [.message(.binary, noise(600) + noise(400))])
        let tooLong = Array(Frame.more(noise(401))[..<8])
        #expect(Peer(limits: limits).receive(start + tooLong) == [.violation(.messageTooBig(limit: 1000))])
        #expect(
            Peer(limits: limits).receive(start + tooLong, inPiecesOf: 1) == [.violation(.messageTooBig(limit: 1000))])
    }

    @Test("fragments are counted, so that empty ones cannot go on for ever")
    func fragments() {
        let limits = MessageLimits(fragments: 5)
        let ok = Frame.text([], fin: false) + [3, 2, 1].flatMap { _ in Frame.more([], fin: false) } + Frame.more([])
        #expect(Peer(limits: limits).receive(ok) == [.message(.text, [])])
        let many = Frame.text([], fin: false) + (0..<5).flatMap { _ in Frame.more([], fin: false) }
        #expect(Peer(limits: limits).receive(many) == [.violation(.tooManyFragments(limit: 5))])
        #expect(Peer(limits: limits).receive(ok + ok) == [.message(.text, []), .message(.text, [])])
    }

    @Test("messages in assembly share a budget, and the one that passes it is told to try again")
    func assemblyBudget() {
        let codecs = makeCodecs(assembly: .kibibytes(10))
        let first = Peer(codecs: codecs)
        let second = Peer(codecs: codecs)
        #expect(first.receive(Frame.binary(noise(6000), fin: false)) == [])
        #expect(second.receive(Frame.binary(noise(6000), fin: false)) == [.violation(.assemblyBudgetExhausted)])
        #expect(first.receive(Frame.more([1])) == [.message(.binary, noise(6000) + [1])])
        #expect(codecs.assemblyBudget.inUse == .zero)
        #expect(Peer(codecs: codecs).receive(Frame.binary(noise(20_000))) == [.message(.binary, noise(20_000))])
    }

    @Test("a socket that dies in the middle of a message gives its share back")
    func budgetReleased() {
        let codecs = makeCodecs()
        do {
            let peer = Peer(codecs: codecs)
            _ = peer.receive(Frame.binary(noise(6000), fin: false))
            #expect(codecs.assemblyBudget.inUse > .zero)
        }
        #expect(codecs.assemblyBudget.inUse == .zero)
    }

    @Test("a frame over the warning threshold is reported once")
    func warning() {
        let peer = Peer(limits: MessageLimits(frameWarning: .bytes(1000)))
        _ = peer.receive(Frame.binary(noise(1000)))
        #expect(peer.codecs.takeLargeFrame() == nil)
        _ = peer.receive(Frame.binary(noise(1001)) + Frame.binary(noise(1500)))
        #expect(peer.codecs.takeLargeFrame() == 1500)
        #expect(peer.codecs.takeLargeFrame() == nil)
    }

    @Test("large messages come through whole, in fragments of every size", arguments: [64, 256, 4096, 65_536, 1 << 20])
    func large(_ fragment: Int) {
        let message = prose(1 << 20)
        var stream: [UInt8] = []
        for start in stride(from: 0, to: message.count, by: fragment) {
            let end = min(start + fragment, message.count)
            stream += Frame(start == 0 ? 1 : 0, Array(message[start..<end]), fin: end == message.count).bytes
        }
        #expect(Peer().receive(stream, inPiecesOf: 65_536) == [.message(.text, message)])
    }

    @Test("limits have their documented defaults")
    func defaults() {
        let limits = MessageLimits()
        #expect(limits.frame == 1 << 20 && limits.message == 1 << 20)
        #expect(limits.frameWarning == 512 << 10)
        #expect(MessageLimits(frame: .kibibytes(2)).message == 2048)
    }
}

@Suite("What an idle socket keeps")
struct SizeTests {
    @Test("a reader, a heartbeat and a close state together fit in a cache line")
    func sizes() {
        #expect(MemoryLayout<MessageReader>.size <= 32)
        #expect(MemoryLayout<Heartbeat>.size <= 24)
        #expect(MemoryLayout<CloseHandshake>.size == 1)
        #expect(MemoryLayout<UTF8Validator>.size <= 4)
        #expect(MemoryLayout<DeflateParameters>.size <= 8)
    }
}
