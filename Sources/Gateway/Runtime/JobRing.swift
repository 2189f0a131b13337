/// Jobs that wait for their turn on one loop: a ring that grows by doubling and never shrinks.
///
/// Its length is bounded by the number of live tasks of the loop, which the connection limit bounds.
struct JobRing {
    private var slots: [UnownedJob?]
    private var first = 0
    private(set) var count = 0

    init(capacity: Int) { slots = Array(repeating: nil, count: capacity.roundedUpToPowerOfTwo) }

    @inline(__always)
    mutating func push(_ job: UnownedJob) {
        if count == slots.count { grow() }
        slots[(first &+ count) & (slots.count &- 1)] = job
        count &+= 1
    }

    @inline(__always)
    mutating func pop() -> UnownedJob? {
        guard count > 0 else { return nil }
        let job = slots[first]
        first = (first &+ 1) & (slots.count &- 1)
        count &-= 1
        return job
    }

    private mutating func grow() {
        var larger: [UnownedJob?] = []
        larger.reserveCapacity(slots.count * 2)
        for offset in 0..<count { larger.append(slots[(first + offset) & (slots.count - 1)]) }
        larger.append(contentsOf: repeatElement(nil, count: slots.count * 2 - count))
        slots = larger
        first = 0
    }
}

extension Int {
    var roundedUpToPowerOfTwo: Int { self <= 2 ? 2 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}
