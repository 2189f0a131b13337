/// Counts of durations in nanoseconds, 64 steps to every power of two: a percentile is at most 1.6 % too high.
struct Histogram {
    private static let steps = 64
    private static let stepBits = 6

    private var counts = [Int](repeating: 0, count: steps * (65 - stepBits))
    private(set) var total = 0
    private(set) var maximum: UInt64 = 0

    @inline(__always)
    mutating func record(_ value: UInt64) {
        counts[Self.index(of: value)] += 1
        total += 1
        maximum = max(maximum, value)
    }

    /// The value that `fraction` of the recorded ones do not exceed; zero when nothing was recorded.
    func percentile(_ fraction: Double) -> UInt64 {
        let wanted = Int((Double(total) * fraction).rounded(.up))
        var seen = 0
        for (index, count) in counts.enumerated() where count > 0 {
            seen += count
            if seen >= wanted { return min(Self.upperEdge(of: index), maximum) }
        }
        return maximum
    }

    /// Values below `steps` have a bucket each; above, the leading bit picks the row and the next six bits the step.
    private static func index(of value: UInt64) -> Int {
        guard value >= UInt64(steps) else { return Int(value) }
        let shift = 63 - value.leadingZeroBitCount - stepBits
        return (shift << stepBits) + Int(value >> UInt64(shift))
    }

    private static func upperEdge(of index: Int) -> UInt64 {
        guard index >= 2 * steps else { return UInt64(index) }
        let shift = UInt64((index >> stepBits) - 1)
        let step = UInt64(index) & UInt64(steps - 1) | UInt64(steps)
        return (step + 1) << shift - 1
    }
}
