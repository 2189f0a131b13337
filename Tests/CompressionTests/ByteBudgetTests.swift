import Foundation
import GatewayBytes
import GatewayCompression
import Testing

@Suite("Byte budget")
struct ByteBudgetTests {
    @Test("it gives to the last byte and not one more")
    func exact() {
        let budget = ByteBudget(limit: .bytes(100))
        #expect(budget.reserve(60))
        #expect(budget.hasRoom(for: 40))
        #expect(!budget.hasRoom(for: 41))
        #expect(!budget.reserve(41))
        #expect(budget.inUse == .bytes(60))
        #expect(budget.reserve(40))
        #expect(!budget.reserve(1))
        budget.release(100)
        #expect(budget.inUse == .zero)
    }

    @Test("a request larger than the limit is refused, whatever the size")
    func tooLarge() {
        let budget = ByteBudget(limit: .zero)
        #expect(budget.reserve(0))
        #expect(!budget.reserve(1))
        #expect(!budget.hasRoom(for: Int.max))
    }

    @Test("threads never get more than the limit together")
    func threads() {
        let budget = ByteBudget(limit: .bytes(1000))
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for _ in 0..<2000 where budget.reserve(400) {
                // Others in the middle of a refused attempt may show for a moment.
                budget.release(400)
            }
        }
        #expect(budget.inUse == .zero)
    }

    @Test("a limit that falls below what is in use grants nothing until enough was given back")
    func lowered() {
        let budget = ByteBudget(limit: .bytes(100))
        #expect(budget.reserve(80))
        budget.limit = .bytes(50)
        #expect(!budget.reserve(1))
        budget.release(60)
        #expect(budget.reserve(30))
        #expect(!budget.reserve(1))
    }
}
