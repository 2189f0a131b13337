import CLinux
import Glibc

/// Whoever a loop tells about a descriptor. Lives on its loop's thread only.
package protocol Channel: AnyObject {
    /// The kernel has news of the channel's descriptor. The channel may close itself here.
    func ready(_ readiness: Readiness)
    /// The loop stops: the last call. Close what is open; nothing is told any more after this.
    func loopEnds()
}

extension Channel {
    package func loopEnds() {}
}

/// A non-blocking descriptor and what its loop knows of it. Part of the channel that owns it; closed with it.
///
/// The loop keeps the channel alive from ``watch(_:for:on:)`` until ``close(on:)`` or ``surrender(on:)``.
package struct WatchedDescriptor: ~Copyable {
    package private(set) var number: CInt
    package private(set) var interest: Readiness = []
    private var generation: UInt32 = 0

    /// Takes ownership of `number`.
    package init(owning number: CInt) { self.number = number }

    deinit {
        if number >= 0 { _ = Glibc.close(number) }
    }

    /// Closes a descriptor that nobody came to own.
    package static func discard(_ number: CInt) { _ = Glibc.close(number) }

    @inline(__always) package var isOpen: Bool { number >= 0 }

    /// Starts watching, on the loop's thread. Once.
    package mutating func watch(
        _ interest: Readiness, for channel: any Channel, on loop: EventLoop
    ) throws(SystemError) {
        generation = loop.adopt(channel, descriptor: number)
        self.interest = interest
        do throws(SystemError) {
            try loop.poller.add(number, interest, generation: generation)
        } catch {
            loop.abandon(descriptor: number, generation: generation)
            generation = 0
            throw error
        }
    }

    /// Whether the kernel may have had news when this turn began that the channel was not told yet.
    ///
    /// `false` for a channel that has asked since an earlier turn means: until this one began, nothing had happened.
    package func hasNews(on loop: EventLoop) -> Bool {
        guard isOpen, generation != 0 else { return true }
        return loop.hasNews(of: number)
    }

    /// Asks for other news. Free when nothing changes.
    @inline(__always)
    package mutating func want(_ interest: Readiness, on loop: EventLoop) {
        if interest != self.interest { change(interest, on: loop) }
    }

    private mutating func change(_ interest: Readiness, on loop: EventLoop) {
        guard isOpen, generation != 0 else { return }
        self.interest = interest
        // Fails only for a descriptor that is not watched, and then there is no news to ask for.
        try? loop.poller.change(number, interest, generation: generation)
    }

    /// Gives the descriptor away: it is neither watched nor closed here any more.
    package mutating func surrender(on loop: EventLoop) -> CInt {
        let surrendered = number
        if generation != 0 {
            loop.poller.remove(number)
            loop.abandon(descriptor: number, generation: generation)
            generation = 0
        }
        number = -1
        return surrendered
    }

    /// Closes the descriptor; the loop forgets the channel at the end of its turn. Idempotent.
    package mutating func close(on loop: EventLoop) {
        guard number >= 0 else { return }
        if generation != 0 {
            loop.abandon(descriptor: number, generation: generation)
            generation = 0
        }
        _ = Glibc.close(number)
        number = -1
    }
}
