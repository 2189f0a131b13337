import GatewayBackplane

extension BackplaneContract {
    private static let second = Conversation.second

    static let rates: [Case] = [
        Case("a burst is granted unit by unit, and then refused with the wait for one more") { talk in
            let key = Conversation.key(1)
            for left in (0..<5).reversed() {
                let answer = try await talk.expect(true, key, .take(Conversation.slow, cost: 1), "within the burst")
                try talk.hold(answer.count == UInt64(left), "\(left) units must be left: \(answer)")
            }
            let refused = try await talk.expect(false, key, .take(Conversation.slow, cost: 1), "beyond the burst")
            try talk.holdClose(refused.retryAfter, 720 * second, "the wait for one of five an hour")
            try talk.holdClose(refused.resetAfter, 3600 * second, "the time to the whole burst")
        },
        Case("what was used comes back") { talk in
            let rate = Rate(2, per: 2 * second)
            try await talk.expect(true, Conversation.key(1), .take(rate, cost: 2), "the burst")
            let wait = try await talk.expect(false, Conversation.key(1), .take(rate, cost: 1), "a third").retryAfter
            try await talk.wait(wait + talk.driver.tolerance)
            try await talk.expect(true, Conversation.key(1), .take(rate, cost: 1), "after the wait that was told")
        },
        Case("a cost is taken whole or not at all") { talk in
            try await talk.expect(true, Conversation.key(1), .take(Conversation.slow, cost: 4), "four of five")
            let refused = try await talk.expect(
                false, Conversation.key(1), .take(Conversation.slow, cost: 2), "two of one")
            try talk.hold(refused.count == 1, "a refusal uses nothing: \(refused)")
            try await talk.expect(true, Conversation.key(1), .take(Conversation.slow, cost: 1), "the last one")
        },
        Case("asking uses nothing") { talk in
            for _ in 0..<9 {
                let answer = try await talk.ask(Conversation.key(1), .take(Conversation.slow, cost: 0))
                try talk.hold(answer.count == 5, "nothing was used: \(answer)")
            }
        },
        Case("keys and spaces do not know each other") { talk in
            let mine = Conversation.key(1)
            for other in [Conversation.key(2), Conversation.key(1, in: Conversation.otherSpace)] {
                try await talk.expect(true, mine, .take(Conversation.slow, cost: 1), "mine")
                try await talk.expect(true, other, .take(Conversation.slow, cost: 5), "all of another")
            }
            let left = try await talk.ask(mine, .take(Conversation.slow, cost: 0)).count
            try talk.hold(left == 3, "two of mine were used, \(left) are left")
        },
    ]

    static let batches: [Case] = [
        Case("several tasks are carried out in order, up to the first that is refused") { talk in
            let (first, second, third) = (Conversation.key(1), Conversation.key(2), Conversation.key(3))
            try await talk.expect(true, second, .take(Conversation.slow, cost: 5), "all of the second")
            let answers = await talk.perform([
                BackplaneTask(first, .take(Conversation.slow, cost: 1)),
                BackplaneTask(second, .take(Conversation.slow, cost: 1)),
                BackplaneTask(third, .take(Conversation.slow, cost: 1)),
            ])
            try talk.hold(answers[0]?.isGranted == true && answers[1]?.isGranted == false, "\(answers)")
            try talk.hold(answers[2] == nil, "nothing behind a refusal is carried out: \(answers)")
            let left = try await talk.ask(third, .take(Conversation.slow, cost: 0)).count
            try talk.hold(left == 5, "the third was not touched")
        },
        Case("a driver that cannot answer at once has done nothing") { talk in
            var tasks = [BackplaneTask(Conversation.key(1), .take(Conversation.slow, cost: 1))]
            let isDone = talk.driver.backplane.performAtOnce(&tasks, now: talk.driver.now())
            try talk.hold(isDone == (tasks[0].answer != nil), "an answer, and whether there is one, agree")
            let left = try await talk.ask(Conversation.key(1), .take(Conversation.slow, cost: 0)).count
            try talk.hold(left == (isDone ? 4 : 5), "used: \(5 - left)")
        },
    ]

    static let strikes: [Case] = [
        Case("strikes add up, and the last one begins a block that ends when it was said to") { talk in
            let (key, rule) = (Conversation.key(1), Conversation.rule)
            for number in 1...2 {
                let answer = try await talk.expect(true, key, .strike(rule, adding: 1), "strike \(number)")
                try talk.hold(answer.count == UInt64(number), "\(answer)")
                try talk.hold(answer.retryAfter == 0, "who is not blocked waits for nothing: \(answer)")
            }
            let block = try await talk.expect(false, key, .strike(rule, adding: 1), "the third")
            try talk.holdClose(block.retryAfter, rule.hold, "the block")
            try await talk.wait(5 * second)
            let later = try await talk.expect(false, key, .strike(rule, adding: 1), "while blocked")
            try talk.holdClose(later.retryAfter, rule.hold - 5 * second, "no strike moves the end")
            try await talk.wait(later.retryAfter + talk.driver.tolerance)
            let free = try await talk.expect(true, key, .strike(rule, adding: 0), "after the block")
            try talk.hold(free.count == 0, "all is forgotten: \(free)")
        },
        Case("strikes are forgotten when their window ends") { talk in
            let key = Conversation.key(1)
            try await talk.expect(true, key, .strike(Conversation.rule, adding: 2), "two")
            try await talk.wait(Conversation.rule.window + talk.driver.tolerance)
            let next = try await talk.expect(true, key, .strike(Conversation.rule, adding: 1), "in the next window")
            try talk.hold(next.count == 1, "\(next)")
        },
        Case("asking for strikes adds none") { talk in
            let key = Conversation.key(1)
            for _ in 0..<5 { try await talk.expect(true, key, .strike(Conversation.rule, adding: 0), "a question") }
            let answer = try await talk.ask(key, .strike(Conversation.rule, adding: 1))
            try talk.hold(answer.count == 1, "\(answer)")
        },
    ]

    private static func hold(_ lease: UInt64, of limit: UInt64 = 2) -> BackplaneOperation {
        .hold(lease: LeaseID(lease), limit: limit, lasting: 10 * second)
    }

    static let leases: [Case] = [
        Case("as many places are given as there are, and one that comes back is given again") { talk in
            let key = Conversation.key(1)
            let first = try await talk.expect(true, key, hold(1), "the first")
            try talk.hold(first.count == 1, "one is left: \(first)")
            try await talk.expect(true, key, hold(2), "the second")
            try await talk.expect(false, key, hold(3), "a third of two")
            try await talk.expect(true, Conversation.key(2), hold(4), "somebody else's")
            try await talk.expect(true, key, .release(lease: LeaseID(1)), "giving back")
            try await talk.expect(true, key, hold(3), "the place that came back")
        },
        Case("who holds a place keeps it when all are taken") { talk in
            let key = Conversation.key(1)
            for lease in 1...2 { try await talk.expect(true, key, hold(UInt64(lease)), "lease \(lease)") }
            for lease in 1...2 { try await talk.expect(true, key, hold(UInt64(lease)), "lease \(lease) again") }
            try await talk.expect(false, key, hold(3), "a third")
        },
        Case("a place that nobody asks for again is free in time, and one that is asked for stays") { talk in
            let key = Conversation.key(1)
            try await talk.expect(true, key, hold(1), "one whose holder is gone")
            try await talk.expect(true, key, hold(2), "one that is kept")
            try await talk.wait(6 * second)
            try await talk.expect(true, key, hold(2), "asked for again")
            try await talk.wait(4 * second + talk.driver.tolerance)
            try await talk.expect(true, key, hold(3), "the place of the one who is gone")
            try await talk.expect(false, key, hold(4), "the other is still held")
        },
        Case("giving back what one does not hold changes nothing") { talk in
            let key = Conversation.key(1)
            for lease in 1...2 { try await talk.expect(true, key, hold(UInt64(lease)), "lease \(lease)") }
            try await talk.expect(true, key, .release(lease: LeaseID(9)), "never refused")
            try await talk.expect(true, Conversation.key(2), .release(lease: LeaseID(1)), "another key's")
            try await talk.expect(false, key, hold(3), "nothing came free")
        },
        Case("a limit that was lowered gives no place before there are fewer holders") { talk in
            let key = Conversation.key(1)
            for lease in 1...2 { try await talk.expect(true, key, hold(UInt64(lease)), "lease \(lease)") }
            try await talk.expect(false, key, hold(3, of: 1), "one of one, with two held")
            try await talk.expect(true, key, .release(lease: LeaseID(1)), "giving back")
            try await talk.expect(false, key, hold(3, of: 1), "one of one, with one held")
        },
    ]

    static let together: [Case] = [
        Case("many who ask at the same time get no unit and no place twice") { talk in
            let rate = Rate(100, per: 3600 * second)
            let granted = await withTaskGroup(of: (Int, Int).self) { group in
                for asker in 0..<8 {
                    group.addTask {
                        var granted = (units: 0, places: 0)
                        for turn in 0..<50 {
                            let lease = UInt64(asker * 1000 + turn)
                            let answers = await talk.perform([
                                BackplaneTask(Conversation.key(1), .take(rate, cost: 1)),
                                BackplaneTask(
                                    Conversation.key(2),
                                    .hold(lease: LeaseID(lease), limit: 30, lasting: 3600 * second)),
                            ])
                            if answers[0]?.isGranted == true { granted.units += 1 }
                            if answers[1]?.isGranted == true { granted.places += 1 }
                        }
                        return granted
                    }
                }
                return await group.reduce(into: (units: 0, places: 0)) { sum, one in
                    sum.units += one.0
                    sum.places += one.1
                }
            }
            try talk.hold(granted.units == 100, "100 units, \(granted.units) granted")
            try talk.hold(granted.places == 30, "30 places, \(granted.places) given")
        }
    ]
}
