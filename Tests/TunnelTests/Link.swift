import GatewayBytes
import GatewayTunnel

/// One direction of a carrier in memory: messages wait until the test delivers them.
final class MemoryCarrier: TunnelCarrier {
    enum Message {
        case text([UInt8])
        case binary([UInt8])
    }

    private(set) var waiting: [Message] = []
    private(set) var taken = 0

    var unsentBytes: Int {
        waiting.reduce(0) { sum, message in
            switch message {
            case .text(let bytes), .binary(let bytes): sum + bytes.count
            }
        }
    }

    func send(text: [UInt8]) { waiting.append(.text(text)) }

    func send(binary: UnsafeRawBufferPointer) { unsafe waiting.append(.binary(Array(binary))) }

    func takeFirst() -> Message? {
        guard !waiting.isEmpty else { return nil }
        taken += 1
        return waiting.removeFirst()
    }
}

/// A gateway's and an agent's session with a carrier between them, which the test can cut.
final class Link {
    private(set) var gateway: TunnelSession
    private(set) var agent: TunnelSession
    private(set) var toAgent = MemoryCarrier()
    private(set) var toGateway = MemoryCarrier()
    private(set) var accepted: [UInt32: StreamEnd] = [:]
    /// What the sessions returned as not theirs.
    private(set) var unclaimed: [TunnelMessage] = []
    private var agentsSession: () -> TunnelSession? = { nil }

    init(_ terms: TunnelTerms = TunnelTerms(), refusing: Bool = false) {
        gateway = TunnelSession(role: .gateway, terms: terms)
        let box = Accepted()
        agent = TunnelSession(role: .agent, terms: terms) { stream in
            guard !refusing else { return nil }
            let end = StreamEnd()
            end.stream = stream
            box.link?.accepted[stream.id] = end
            return end
        }
        box.link = self
        gateway.attach(toAgent)
        agent.attach(toGateway)
    }

    // A stream and its end hold each other until it has finished.
    deinit {
        gateway.end(.lost, "the test is over")
        agent.end(.lost, "the test is over")
    }

    private final class Accepted {
        weak var link: Link?
    }

    func open(_ request: StreamRequest = .tcp(port: 22), ends: Bool = false) -> StreamEnd? {
        let end = StreamEnd()
        end.stream = gateway.open(request, ends: ends, handler: end)
        return end.stream == nil ? nil : end
    }

    /// Delivers one message in one direction, if one waits.
    func deliver(toAgent: Bool) throws -> Bool {
        guard let message = (toAgent ? self.toAgent : toGateway).takeFirst() else { return false }
        let receiver = toAgent ? agent : gateway
        switch message {
        case .text(let text):
            if let unclaimed = try receiver.receive(text: text) { self.unclaimed.append(unclaimed) }
        case .binary(let bytes): unsafe try bytes.withUnsafeBytes { unsafe try receiver.receive(binary: $0) }
        }
        (toAgent ? gateway : agent).pump()
        return true
    }

    /// Delivers until nothing waits.
    func settle() throws {
        for _ in 0..<100_000 {
            let forth = try deliver(toAgent: true)
            let back = try deliver(toAgent: false)
            if !forth, !back { return }
        }
        throw TunnelViolation("the sessions never came to rest")
    }

    /// What is under way is lost, and both ends notice.
    func cut() {
        gateway.detach()
        agent.detach()
        toAgent = MemoryCarrier()
        toGateway = MemoryCarrier()
    }

    /// What `hello` and `resumed` do, by way of their texts.
    ///
    /// - Parameter meanwhile: What happens at the agent while it waits for `resumed`.
    func resume(meanwhile: () -> Void = {}) throws {
        let resumption = TunnelHello.Resumption(
            session: "s", secret: .init("x"), newest: agent.newest, positions: agent.positions)
        let hello = TunnelHello(name: "desk", software: "", offersHTTP: true, ports: [], resumption: resumption)
        guard case .hello(let read) = try TunnelMessage(TunnelMessage.hello(hello).text),
            let resumption = read.resumption
        else { throw TunnelViolation("the hello is not what was written") }
        meanwhile()
        gateway.resume(on: toAgent, positions: resumption.positions, newest: resumption.newest)
        guard case .text(let text)? = toAgent.takeFirst(), case .resumed(let positions) = try TunnelMessage(text) else {
            throw TunnelViolation("the gateway did not begin with its positions")
        }
        agent.resume(on: toGateway, positions: positions)
    }
}

/// Records one end of a stream, and consumes what arrives unless told not to.
final class StreamEnd: TunnelStreamHandler {
    var stream: TunnelStream?
    var consumes = true
    var onInputEnded: (() -> Void)?
    private(set) var answers: [StreamAnswer] = []
    private(set) var bytes: [UInt8] = []
    private(set) var isInputEnded = false
    private(set) var roomsGrown = 0
    private(set) var endings: [TunnelReset?] = []
    private var unwritten: ArraySlice<UInt8> = []
    private var endsAfter = false

    func answered(_ answer: StreamAnswer) { answers.append(answer) }

    func received(_ bytes: UnsafeRawBufferPointer) {
        unsafe self.bytes.append(contentsOf: bytes)
        if consumes { stream?.consume(bytes.count) }
    }

    func inputEnded() {
        isInputEnded = true
        onInputEnded?()
    }

    func roomGrew() {
        roomsGrown += 1
        flush()
    }

    func finished(_ reason: TunnelReset?, message: String) { endings.append(reason) }

    /// Writes as there is room for it.
    func write(_ bytes: [UInt8], thenEnd: Bool = false) {
        unwritten += bytes
        endsAfter = endsAfter || thenEnd
        flush()
    }

    private func flush() {
        guard let stream else { return }
        while !unwritten.isEmpty {
            let count = unsafe Array(unwritten).withUnsafeBytes { unsafe stream.write($0) }
            guard count > 0 else { return }
            unwritten = unwritten.dropFirst(count)
        }
        if endsAfter { stream.end() }
    }
}

/// The same every time for one seed.
struct Dice: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}

/// Bytes whose order and completeness show.
func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8 &+ seed) }
}
