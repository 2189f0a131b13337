import GatewayHTTP
import GatewayTunnel
import Testing

@Suite("Tunnel session")
struct SessionTests {
    private func get(_ target: String = "/api/tags") -> StreamRequest {
        .http(StreamHTTPRequest(method: "GET", target: target, fields: HeaderFields(), length: nil))
    }

    @Test("a request and its answer pass, and both ends forget the stream")
    func exchange() throws {
        let link = Link()
        let consumer = try #require(link.open(get(), ends: true))
        try link.settle()
        let agent = try #require(link.accepted[1])
        #expect(agent.isInputEnded)
        agent.stream?.answer(StreamAnswer(status: .ok, length: 5))
        agent.write(Array("hello".utf8), thenEnd: true)
        try link.settle()
        #expect(consumer.answers.map(\.status) == [.ok])
        #expect(consumer.bytes == Array("hello".utf8) && consumer.isInputEnded)
        #expect(consumer.endings == [nil] && agent.endings == [nil])
        #expect(link.gateway.streams.isEmpty && link.agent.streams.isEmpty)
    }

    @Test("bytes go both ways at once, many times the window")
    func bothWays() throws {
        let link = Link()
        let up = pattern(1_500_000, seed: 1)
        let down = pattern(2_000_000, seed: 2)
        let consumer = try #require(link.open())
        consumer.write(up, thenEnd: true)
        try link.settle()
        let agent = try #require(link.accepted[1])
        agent.stream?.answer(StreamAnswer(status: .ok))
        agent.write(down, thenEnd: true)
        try link.settle()
        #expect(agent.bytes == up && consumer.bytes == down)
        #expect(consumer.endings == [nil] && agent.endings == [nil])
    }

    @Test("what the agent consumes while it waits for its resumption counts")
    func consumedMeanwhile() throws {
        let link = Link()
        let consumer = try #require(link.open())
        try link.settle()
        let agent = try #require(link.accepted[1])
        agent.consumes = false
        consumer.write(pattern(1 << 20), thenEnd: true)
        try link.settle()
        #expect(consumer.stream?.room == 0)
        link.cut()
        try link.resume {
            agent.stream?.consume(agent.bytes.count)
            agent.consumes = true
        }
        try link.settle()
        #expect(agent.bytes == pattern(1 << 20) && agent.isInputEnded)
    }

    @Test("a stream that ends at the agent while that waits for its resumption ends at the gateway, and why is told")
    func endedMeanwhile() throws {
        let link = Link()
        let consumer = try #require(link.open())
        let other = try #require(link.open())
        try link.settle()
        link.cut()
        // One that the agent has never seen is opened, as before.
        let unseen = try #require(link.open())
        try link.resume { link.accepted[1]?.stream?.reset(.broken, "the port went away") }
        try link.settle()
        #expect(consumer.endings == [.broken])
        #expect(other.endings.isEmpty && unseen.endings.isEmpty)
        #expect(link.gateway.streams.count == 2 && link.agent.streams.count == 2)
    }

    @Test("a stream that completes at the agent while that waits for its resumption completes at the gateway")
    func completedMeanwhile() throws {
        let link = Link()
        let consumer = try #require(link.open())
        try link.settle()
        let agent = try #require(link.accepted[1])
        agent.consumes = false
        consumer.write(pattern(1000), thenEnd: true)
        agent.stream?.answer(StreamAnswer(status: .ok))
        agent.write(pattern(10), thenEnd: true)
        try link.settle()
        link.cut()
        try link.resume { agent.stream?.consume(1000) }
        try link.settle()
        #expect(agent.endings == [nil] && consumer.endings == [nil])
    }

    @Test("a reader that does not consume holds its sender to the window, and nobody else")
    func slowReader() throws {
        let link = Link()
        let slow = try #require(link.open())
        let quick = try #require(link.open())
        for end in [slow, quick] { end.write([], thenEnd: true) }
        try link.settle()
        slow.consumes = false
        let slowAgent = try #require(link.accepted[1])
        let quickAgent = try #require(link.accepted[2])
        for end in [slowAgent, quickAgent] {
            end.stream?.answer(StreamAnswer(status: .ok))
            end.write(pattern(1 << 20), thenEnd: true)
        }
        try link.settle()
        #expect(slow.bytes.count == link.agent.terms.streamWindow)
        #expect(slowAgent.stream?.room == 0)
        #expect(quick.bytes == pattern(1 << 20) && quick.endings == [nil])
        slow.consumes = true
        slow.stream?.consume(link.agent.terms.streamWindow)
        try link.settle()
        #expect(slow.bytes == pattern(1 << 20) && slow.endings == [nil])
    }

    @Test("streams share the session's window, and go on when another gives some back")
    func sessionWindow() throws {
        var terms = TunnelTerms()
        terms.streamWindow = 1000
        terms.sessionWindow = 1500
        #expect(terms.letsOneStreamStallOthers)
        let link = Link(terms)
        let first = try #require(link.open())
        let second = try #require(link.open())
        try link.settle()
        for id: UInt32 in [1, 2] {
            let agent = try #require(link.accepted[id])
            agent.consumes = false
        }
        first.write(pattern(1000), thenEnd: true)
        second.write(pattern(1000), thenEnd: true)
        try link.settle()
        #expect(link.accepted[1]?.bytes.count == 1000 && link.accepted[2]?.bytes.count == 500)
        link.accepted[1]?.stream?.consume(1000)
        try link.settle()
        #expect(link.accepted[2]?.bytes == pattern(1000))
    }

    @Test("a reset ends both ends with its reason, and late bytes are nobody's")
    func reset() throws {
        let link = Link()
        let consumer = try #require(link.open())
        try link.settle()
        let agent = try #require(link.accepted[1])
        agent.stream?.answer(StreamAnswer(status: .ok))
        agent.write(pattern(1000))
        consumer.stream?.reset(.cancelled)
        try link.settle()
        #expect(agent.endings == [.cancelled] && consumer.endings.isEmpty)
        #expect(consumer.bytes.isEmpty && link.gateway.streams.isEmpty && link.agent.streams.isEmpty)
    }

    @Test("what an agent does not offer is refused, and too many streams are not opened")
    func refusals() throws {
        let refusing = Link(refusing: true)
        let refused = try #require(refusing.open())
        try refusing.settle()
        #expect(refused.endings == [.refused])

        var terms = TunnelTerms()
        terms.streams = 2
        let link = Link(terms)
        _ = try #require(link.open())
        let second = try #require(link.open())
        #expect(link.open() == nil)
        second.stream?.reset(.cancelled)
        #expect(link.open() != nil)
    }

    @Test("the session's end is told to every stream once")
    func sessionEnds() throws {
        let link = Link()
        let ends = try (0..<3).map { _ in try #require(link.open()) }
        link.gateway.end(.lost, "gone")
        #expect(ends.allSatisfy { $0.endings == [.lost] })
        #expect(ends.allSatisfy { $0.stream?.isOpen == false && $0.stream?.room == 0 })
        link.gateway.end(.lost, "gone")
        #expect(ends.allSatisfy { $0.endings == [.lost] })
    }

    @Test("streams continue over a new carrier wherever the old one was cut", arguments: 0..<60)
    func cutAnywhere(seed: Int) throws {
        var dice = Dice(seed: UInt64(seed + 1))
        var terms = TunnelTerms()
        terms.streamWindow = Int.random(in: 500...5000, using: &dice)
        terms.dataFrame = Int.random(in: 100...2000, using: &dice)
        let link = Link(terms)
        let up = (0..<4).map { pattern(Int.random(in: 0...20_000, using: &dice), seed: $0) }
        let down = (0..<4).map { pattern(Int.random(in: 0...20_000, using: &dice), seed: $0 + 9) }
        let consumers = try up.map { body in
            let end = try #require(link.open(ends: body.isEmpty))
            if !body.isEmpty { end.write(body, thenEnd: true) }
            return end
        }
        var answered: Set<UInt32> = []
        var cuts = 0
        for step in 0..<20_000 {
            let forth = try link.deliver(toAgent: Bool.random(using: &dice))
            let back = try link.deliver(toAgent: Bool.random(using: &dice))
            for (id, agent) in link.accepted where answered.insert(id).inserted {
                agent.stream?.answer(StreamAnswer(status: .ok))
                agent.write(down[Int(id) - 1], thenEnd: true)
            }
            if cuts < 12, step == 5 || Int.random(in: 0..<25, using: &dice) == 0 {
                cuts += 1
                link.cut()
                try link.resume()
            } else if !forth, !back, link.toAgent.waiting.isEmpty, link.toGateway.waiting.isEmpty {
                break
            }
        }
        #expect(cuts > 0 && link.accepted.count == 4)
        for (index, consumer) in consumers.enumerated() {
            let agent = try #require(link.accepted[UInt32(index + 1)])
            #expect(agent.bytes == up[index] && consumer.bytes == down[index])
            #expect(consumer.answers.count == 1, "a request is executed and answered once")
            #expect(consumer.endings == [nil] && agent.endings == [nil])
        }
        #expect(link.gateway.streams.isEmpty && link.agent.streams.isEmpty)
    }

    @Test("a request that never reached the agent is sent with the next carrier, once")
    func openLost() throws {
        let link = Link()
        link.cut()
        let consumer = try #require(link.open(get(), ends: true))
        try link.resume()
        try link.settle()
        #expect(link.accepted.count == 1 && link.accepted[1]?.isInputEnded == true)
        link.accepted[1]?.stream?.answer(StreamAnswer(status: .noContent))
        link.accepted[1]?.write([], thenEnd: true)
        try link.settle()
        #expect(consumer.endings == [nil])
    }

    @Test("a stream that the other end has lost ends as lost")
    func lostStream() throws {
        let link = Link()
        let consumer = try #require(link.open())
        try link.settle()
        link.gateway.resume(on: link.toAgent, positions: [], newest: 1)
        #expect(consumer.endings == [.lost])
    }

    @Test("positions that cannot be continued from break their stream alone")
    func badPosition() throws {
        let link = Link()
        let consumer = try #require(link.open())
        let other = try #require(link.open())
        try link.settle()
        var positions = link.agent.positions
        positions[0].received = 77
        link.gateway.resume(on: link.toAgent, positions: positions, newest: 2)
        #expect(consumer.endings == [.offset] && other.endings.isEmpty)
    }

    @Test("a receiver that uses up everything at once hears of the end before the stream is complete")
    func endBeforeCompletion() throws {
        let link = Link()
        let end = try #require(link.open(get(), ends: true))
        try link.settle()
        let served = try #require(link.accepted[1])
        served.stream?.answer(StreamAnswer(status: .ok))
        served.write(pattern(10), thenEnd: true)
        try link.settle()
        #expect(end.isInputEnded && end.bytes == pattern(10) && end.endings == [nil])
        #expect(served.endings == [nil])
    }

    @Test("a stream that was answered is never opened again, whatever the agent says it has seen")
    func neverTwice() throws {
        let link = Link()
        let end = try #require(link.open(get(), ends: true))
        try link.settle()
        link.accepted[1]?.stream?.answer(StreamAnswer(status: .ok))
        try link.settle()
        link.cut()
        link.gateway.resume(on: link.toAgent, positions: [], newest: 0)
        #expect(end.endings == [.offset] && link.gateway.streams.isEmpty)
    }
}
