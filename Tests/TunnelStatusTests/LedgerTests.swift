import Testing

@testable import TunnelPlugin

@Suite("Figures by user")
struct LedgerTests {
    private func traffic(requests: Int = 0, to: Int = 0, from: Int = 0) -> AgentTraffic {
        let traffic = AgentTraffic()
        (traffic.requests.value, traffic.bytesToAgent.value, traffic.bytesFromAgent.value) = (requests, to, from)
        return traffic
    }

    @Test("agents that are connected are asked, and those that left are remembered")
    func sums() {
        let ledger = UserLedger(limit: 10)
        let (first, second) = (traffic(requests: 1, to: 10), traffic(requests: 2, from: 5))
        ledger.joined("ada", first)
        ledger.joined("ada", second)
        first.requests.add(3)
        first.answered(after: 1500)
        #expect(ledger.figures(of: "ada").agents == 2)
        #expect(ledger.figures(of: "ada").requests == 6)
        ledger.left("ada", first)
        second.requests.add()
        let figures = ledger.figures(of: "ada")
        #expect((figures.agents, figures.requests, figures.bytesToAgents, figures.bytesFromAgents) == (1, 7, 10, 5))
        #expect((figures.answers, figures.answerMicroseconds) == (1, 1500))
        #expect(figures.newestAnswer > 1_000_000_000)
    }

    @Test("a user who is not known has nothing, and an agent that left twice is counted once")
    func unknown() {
        let ledger = UserLedger(limit: 10)
        #expect(ledger.figures(of: "nobody") == UserLedger.Figures())
        let agent = traffic(requests: 1)
        ledger.joined("ada", agent)
        ledger.left("ada", agent)
        ledger.left("ada", agent)
        #expect(ledger.total.requests == 1)
    }

    @Test("the longest gone are forgotten beyond the limit; connected users never, and totals do not shrink")
    func forgetting() {
        let ledger = UserLedger(limit: 2)
        let stays = traffic(requests: 1)
        ledger.joined("stays", stays)
        for user in ["a", "b", "c", "d"] {
            let agent = traffic(requests: 10)
            ledger.joined(user, agent)
            ledger.left(user, agent)
        }
        #expect(ledger.count == 3)
        #expect(["a", "b", "c", "d", "stays"].map { ledger.figures(of: $0).requests } == [0, 0, 10, 10, 1])
        #expect(ledger.total.requests == 41)
        #expect(ledger.activeUsers == 1)
    }

    @Test("who comes back is not the longest gone any more")
    func comingBack() {
        let ledger = UserLedger(limit: 2)
        for user in ["a", "b", "a", "c"] {
            let agent = traffic(requests: 1)
            ledger.joined(user, agent)
            ledger.left(user, agent)
        }
        #expect(["a", "b", "c"].map { ledger.figures(of: $0).requests } == [2, 0, 1])
    }

    @Test("a user who comes and goes for ever leaves no trail")
    func trail() {
        let ledger = UserLedger(limit: 1)
        for _ in 0..<1000 {
            let agent = traffic(requests: 1)
            ledger.joined("a", agent)
            ledger.left("a", agent)
        }
        #expect(ledger.figures(of: "a").requests == 1000)
        #expect(ledger.placesInLine < 20)
    }

    @Test("the busiest come first, as many as asked for")
    func busiest() {
        let ledger = UserLedger(limit: 10)
        for (user, requests) in [("a", 1), ("b", 3), ("c", 2)] { ledger.joined(user, traffic(requests: requests)) }
        #expect(ledger.busiest(2).map(\.user) == ["b", "c"])
    }
}
