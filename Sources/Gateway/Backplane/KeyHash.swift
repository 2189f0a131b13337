/// Where keys go in the tables of one process. Seeded anew in each, so that nobody can choose keys that crowd together.
struct KeyHash: Sendable {
    private let seeds: (UInt64, UInt64, UInt64)

    init() {
        var random = SystemRandomNumberGenerator()
        seeds = (random.next(), random.next(), random.next() | 1)
    }

    /// Folds the key by full-width products: each bit of it reaches each bit of the result.
    @inline(__always)
    func callAsFunction(_ space: UInt64, _ high: UInt64, _ low: UInt64) -> UInt64 {
        Self.fold(Self.fold(high ^ seeds.0, low ^ seeds.1) ^ space, seeds.2)
    }

    @inline(__always)
    private static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }
}
