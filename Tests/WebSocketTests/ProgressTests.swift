import GatewayWebSocket
import Testing

@Suite("Progress of a message")
struct ProgressTests {
    private let ping = Frame(9, [1, 2, 3]).bytes

    @Test("an idle reader has no message to finish, and neither has one between messages")
    func idle() {
        let peer = Peer()
        #expect(peer.unfinishedSince(1) == nil)
        _ = peer.receive(Frame(1, [97]).bytes + Frame(1, [97], fin: false).bytes + Frame(0, [97]).bytes)
        #expect(peer.unfinishedSince(2) == nil)
    }

    @Test("payload and further frames are progress, asking is not")
    func growth() {
        let peer = Peer()
        let frame = Frame(2, [1, 2, 3, 4]).bytes
        _ = peer.receive(Array(frame[..<7]))
        #expect(peer.unfinishedSince(10) == 10)
        #expect(peer.unfinishedSince(20) == 10)
        _ = peer.receive(Array(frame[7..<8]))
        #expect(peer.unfinishedSince(30) == 30)
        _ = peer.receive(Array(frame[8...]))
        #expect(peer.unfinishedSince(40) == nil)

        _ = peer.receive(Frame(1, [97], fin: false).bytes)
        #expect(peer.unfinishedSince(50) == 50)
        _ = peer.receive(Frame(0, [], fin: false).bytes)
        #expect(peer.unfinishedSince(60) == 60)
    }

    @Test("pings are not progress, whole or in pieces", arguments: 1...9)
    func pings(size: Int) {
        let peer = Peer()
        _ = peer.receive(Frame(1, [97], fin: false).bytes)
        #expect(peer.unfinishedSince(10) == 10)
        for now in 11..<20 as Range<UInt64> {
            for start in stride(from: 0, to: ping.count, by: size) {
                _ = peer.receive(Array(ping[start..<min(start + size, ping.count)]))
                #expect(peer.unfinishedSince(now) == 10)
            }
        }
    }

    @Test("part of a head is a message to finish, and so is part of a ping", arguments: 1..<9)
    func head(size: Int) {
        let peer = Peer()
        _ = peer.receive(Array(ping[..<size]))
        #expect(peer.unfinishedSince(10) == 10)
        #expect(peer.unfinishedSince(20) == 10)
    }

    @Test("while nobody reads the time does not run")
    func restart() {
        let peer = Peer()
        peer.restartPatience(5)
        #expect(peer.unfinishedSince(5) == nil)
        _ = peer.receive(Frame(1, [97], fin: false).bytes)
        #expect(peer.unfinishedSince(10) == 10)
        peer.restartPatience(30)
        #expect(peer.unfinishedSince(40) == 30)
    }
}
