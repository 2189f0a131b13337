/// Somebody who asked a loop to be woken.
package protocol TimerTarget: AnyObject {
    /// Called once on the loop, at or after the time asked for.
    ///
    /// - Parameter tag: What the target passed when it set the timer; tells its timers apart.
    func timerFired(tag: UInt32)
}

/// Names one set timer. Stays harmless after the timer fired or was cancelled.
package struct TimerToken: Equatable, Sendable {
    fileprivate let index: Int32
    fileprivate let generation: UInt32

    /// Names no timer.
    package static let none = TimerToken(index: -1, generation: 0)
    package var isSet: Bool { index >= 0 }
}

/// A hierarchical timing wheel: setting and cancelling cost the same however many timers wait.
///
/// Three wheels of 256 slots, 4 ms a tick: 1 s, 4.4 min and 18.6 h; a longer wait is cut into waits of 18 h. Timers fire
/// late by up to a tick, never early. Connections set one timer and let it find out that the deadline has moved, so
/// traffic costs nothing here.
package struct TimerWheel {
    static let nanosecondsPerTick: UInt64 = 4_000_000
    private static let slotBits: UInt64 = 8
    private static let slots = 256
    private static let levels = 3

    private struct Node {
        var next: Int32 = -1
        var previous: Int32 = -1
        var slot: Int32 = -1
        var generation: UInt32 = 0
        var tag: UInt32 = 0
        var tick: UInt64 = 0
        var target: (any TimerTarget)?
    }

    private var nodes: [Node] = []
    private var free: Int32 = -1
    /// One list per slot of each wheel, and one of what is due, in order.
    private var heads: [Int32]
    private var lastDue: Int32 = -1
    private var current: UInt64
    private static let dueList = slots * levels
    package private(set) var count = 0

    package init(now: MonotonicTime) {
        heads = Array(repeating: -1, count: Self.dueList + 1)
        current = now.nanoseconds / Self.nanosecondsPerTick
    }

    /// Sets a timer; `target` is kept alive until it fires or is cancelled.
    package mutating func set(_ deadline: MonotonicTime, target: any TimerTarget, tag: UInt32) -> TimerToken {
        let tick = deadline.nanoseconds / Self.nanosecondsPerTick &+ 1
        let index: Int32
        if free >= 0 {
            index = free
            free = nodes[Int(index)].next
        } else {
            index = Int32(nodes.count)
            nodes.append(Node())
        }
        nodes[Int(index)].tick = max(tick, current + 1)
        nodes[Int(index)].tag = tag
        nodes[Int(index)].target = target
        link(index)
        count += 1
        return TimerToken(index: index, generation: nodes[Int(index)].generation)
    }

    /// Forgets a timer. One that fired already, or ``TimerToken/none``, is ignored.
    package mutating func cancel(_ token: TimerToken) {
        guard token.index >= 0, token.index < nodes.count, nodes[Int(token.index)].generation == token.generation
        else { return }
        unlink(token.index)
        release(token.index)
    }

    /// Moves the wheel to `now`; what is due waits for ``popDue()``, in order of ticks, and can still be cancelled.
    package mutating func advance(to now: MonotonicTime) {
        let target = now.nanoseconds / Self.nanosecondsPerTick
        while current < target {
            guard count > 0 else {
                current = target
                return
            }
            current += 1
            let slot = Int(current & 0xFF)
            if slot == 0 { cascade() }
            collect(slot)
        }
    }

    private mutating func collect(_ slot: Int) {
        var index = heads[slot]
        while index >= 0 {
            let next = nodes[Int(index)].next
            unlink(index)
            if nodes[Int(index)].tick <= current { appendDue(index) } else { link(index) }
            index = next
        }
    }

    private mutating func appendDue(_ index: Int32) {
        nodes[Int(index)].slot = Int32(Self.dueList)
        nodes[Int(index)].next = -1
        nodes[Int(index)].previous = lastDue
        if lastDue >= 0 { nodes[Int(lastDue)].next = index } else { heads[Self.dueList] = index }
        lastDue = index
    }

    /// Takes the next timer that is due out of the wheel.
    package mutating func popDue() -> (target: any TimerTarget, tag: UInt32)? {
        let index = heads[Self.dueList]
        guard index >= 0, let target = nodes[Int(index)].target else { return nil }
        let tag = nodes[Int(index)].tag
        unlink(index)
        release(index)
        return (target, tag)
    }

    /// When ``advance(to:)`` next has work, at the latest; `nil` when no timer is set.
    package var nextDue: MonotonicTime? {
        guard count > 0 else { return nil }
        if heads[Self.dueList] >= 0 { return MonotonicTime(nanoseconds: current &* Self.nanosecondsPerTick) }
        var tick = current + 1
        let boundary = (current | 0xFF) + 1
        while tick < boundary, heads[Int(tick & 0xFF)] < 0 { tick += 1 }
        return MonotonicTime(nanoseconds: tick &* Self.nanosecondsPerTick)
    }

    private mutating func cascade() {
        let second = Int((current >> Self.slotBits) & 0xFF)
        if second == 0 { relink(slot: Self.slots * 2 + Int((current >> (2 * Self.slotBits)) & 0xFF)) }
        relink(slot: Self.slots + second)
    }

    private mutating func relink(slot: Int) {
        var index = heads[slot]
        heads[slot] = -1
        while index >= 0 {
            let next = nodes[Int(index)].next
            link(index)
            index = next
        }
    }

    private mutating func link(_ index: Int32) {
        let tick = nodes[Int(index)].tick
        let distance = tick > current ? tick - current : 0
        let slot: Int
        if distance < 256 {
            slot = Int(tick & 0xFF)
        } else if distance < 65536 {
            slot = Self.slots + Int((tick >> Self.slotBits) & 0xFF)
        } else {
            let reachable = min(tick, current + (1 << 24) - 65536)
            slot = Self.slots * 2 + Int((reachable >> (2 * Self.slotBits)) & 0xFF)
        }
        let head = heads[slot]
        nodes[Int(index)].slot = Int32(slot)
        nodes[Int(index)].previous = -1
        nodes[Int(index)].next = head
        if head >= 0 { nodes[Int(head)].previous = index }
        heads[slot] = index
    }

    private mutating func unlink(_ index: Int32) {
        let node = nodes[Int(index)]
        if node.previous >= 0 { nodes[Int(node.previous)].next = node.next } else { heads[Int(node.slot)] = node.next }
        if node.next >= 0 {
            nodes[Int(node.next)].previous = node.previous
        } else if Int(node.slot) == Self.dueList {
            lastDue = node.previous
        }
    }

    private mutating func release(_ index: Int32) {
        nodes[Int(index)].target = nil
        nodes[Int(index)].generation &+= 1
        nodes[Int(index)].next = free
        free = index
        count -= 1
    }
}
