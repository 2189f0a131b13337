import CLinux
package import GatewayBytes

/// One thread, one epoll, and everything that lives on them: channels, timers, tasks, buffers.
///
/// A turn: wait for events; for each, tell its channel and run the jobs that made ready; fire timers; take the inbox;
/// run jobs; release what was closed. The loop is the executor of its tasks, so code under it is single-threaded
/// without locks, and a job enqueued from its own thread is a ring push.
///
/// Safe: every stored property but `inbox` and the constants is touched by the loop's thread only, once
/// ``run()`` has begun; before that only by the thread that builds it.
@safe package final class EventLoop: @unchecked Sendable {
    /// Position among the loops of the process, from zero.
    package let index: Int
    package let limits: RuntimeLimits
    /// Blocking work goes here.
    package let workers: WorkerPool

    /// Read once per turn; good to within that turn.
    package private(set) var now: MonotonicTime
    /// Received bytes are parsed in place here. Contents live until the loop next reads anything.
    package let receiveBuffer: UnsafeMutableRawBufferPointer
    /// Counts the fillings of ``receiveBuffer``; whoever borrows from it compares in debug builds.
    package private(set) var receiveGeneration: UInt64 = 0

    /// For relays between sockets.
    package let pipes: PipePool

    let poller: Poller
    private let inbox: Inbox
    private var inboxDescriptor: WatchedDescriptor
    private var ring = JobRing(capacity: 256)
    private var timers: TimerWheel
    private var table: [Slot] = []
    /// The kernel had as many events at the beginning of this turn as are taken at once, and perhaps more.
    private var isBatchFull = false
    private var retired: [any Channel] = []
    private var lastGeneration: UInt32 = 0
    private var corks: [Cork] = []
    private var deferred: [(any TimerTarget, UInt32)] = []
    /// Output of those who named themselves by ``corkOutput(of:)``, one after the other, until the turn ends.
    package var output: OutputBuffer
    private var stopping = false
    private var turnEnded: MonotonicTime
    private let slowTurn: UInt64
    private let report: @Sendable (RuntimeReport) -> Void
    /// Holds the loop, so it is let go when the loop ends.
    private var actor: LoopActor?

    private struct Slot {
        var channel: (any Channel)?
        var generation: UInt32 = 0
        /// The kernel told of it at the beginning of this turn, and the channel was not told yet.
        var hasNews = false
    }

    /// Builds the loop on the calling thread; ``run()`` binds it to its own.
    ///
    /// - Parameter report: Told what an operator should know. Called on the loop.
    package init(
        index: Int, limits: RuntimeLimits = RuntimeLimits(), workers: WorkerPool,
        report: @escaping @Sendable (RuntimeReport) -> Void = { _ in }
    ) throws(SystemError) {
        self.index = index
        self.limits = limits
        self.workers = workers
        self.report = report
        now = .read()
        turnEnded = now
        slowTurn = limits.slowTurn.wholeNanoseconds
        timers = TimerWheel(now: now)
        pipes = PipePool(limit: limits.idlePipes)
        poller = try Poller.make(capacity: limits.eventsPerTurn)
        let wake = eventfd(0, linux_eventfd_flags)
        guard wake >= 0 else { throw SystemError("eventfd") }
        inboxDescriptor = WatchedDescriptor(owning: wake)
        inbox = Inbox(wake: wake)
        output = OutputBuffer(capacity: limits.outputBuffer.bytes)
        unsafe receiveBuffer = .allocate(byteCount: limits.receiveBuffer.bytes, alignment: 64)
    }

    deinit { unsafe receiveBuffer.deallocate() }

    /// The loop whose thread is asking, if any.
    package static var current: EventLoop? { CurrentLoop.get() }

    @inline(__always)
    package var isCurrent: Bool { CurrentLoop.get() === self }

    /// Runs until ``stop()``. Blocks the calling thread, which becomes the loop's.
    package func run() {
        CurrentLoop.set(self)
        do throws(SystemError) {
            try inboxDescriptor.watch(.readable, for: inbox, on: self)
        } catch {
            report(.cannotStart(loop: index, error))
            stopping = true
        }
        while !stopping { turn() }
        for slot in table { slot.channel?.loopEnds() }
        runJobs(limit: limits.jobsPerTurn)
        flushCorks()
        letGo()
        CurrentLoop.set(nil)
    }

    /// Breaks the cycles between the loop and what lives on it. The inbox stays open as long as the loop lives: other
    /// threads may still write to it, and its number must not come to mean another file.
    private func letGo() {
        actor = nil
        deferred = []
        retired = []
        timers = TimerWheel(now: now)
        table = []
    }

    /// Ends ``run()`` after the current turn; channels that are still open are closed. Any thread.
    package func stop() { submit { self.stopping = true } }

    private func turn() {
        let count = poller.wait(timeout: patience)
        let began = MonotonicTime.read()
        now = began
        isBatchFull = count == limits.eventsPerTurn
        for position in 0..<count {
            let event = poller.event(position)
            if table[Int(event.descriptor)].generation == event.generation {
                table[Int(event.descriptor)].hasNews = true
            }
        }
        for position in 0..<count {
            let event = poller.event(position)
            deliver(event.readiness, to: event.descriptor, generation: event.generation)
        }
        fireTimers()
        for work in inbox.take() { work.run(on: self) }
        runDeferred()
        runJobs(limit: limits.jobsPerTurn)
        flushCorks()
        if !retired.isEmpty { retired.removeAll(keepingCapacity: true) }
        watchTurn(began)
    }

    private var patience: UInt64? {
        if ring.count > 0 || stopping || !deferred.isEmpty { return 0 }
        guard let next = timers.nextDue else { return nil }
        return next.nanoseconds(since: turnEnded)
    }

    @inline(__always)
    private func deliver(_ readiness: Readiness, to descriptor: CInt, generation: UInt32) {
        let slot = table[Int(descriptor)]
        guard slot.generation == generation, let channel = slot.channel else { return }
        table[Int(descriptor)].hasNews = false
        channel.ready(readiness)
        // Bounded, so that a task that keeps waking itself cannot keep the others from their events.
        runJobs(limit: limits.jobsPerEvent)
    }

    private func fireTimers() {
        timers.advance(to: now)
        // One at a time: a timer that an earlier one cancels must not fire any more.
        while let (target, tag) = timers.popDue() {
            target.timerFired(tag: tag)
            runJobs(limit: limits.jobsPerEvent)
        }
    }

    private func runDeferred() {
        guard !deferred.isEmpty else { return }
        let batch = deferred
        deferred.removeAll(keepingCapacity: true)
        for (target, tag) in batch {
            target.timerFired(tag: tag)
            runJobs(limit: limits.jobsPerEvent)
        }
    }

    private func watchTurn(_ began: MonotonicTime) {
        turnEnded = .read()
        let spent = turnEnded.nanoseconds(since: began)
        guard spent > slowTurn else { return }
        report(.slowTurn(loop: index, milliseconds: Int(spent / 1_000_000)))
    }

    // MARK: Channels

    func adopt(_ channel: any Channel, descriptor: CInt) -> UInt32 {
        let place = Int(descriptor)
        if place >= table.count { table.append(contentsOf: repeatElement(Slot(), count: place + 64 - table.count)) }
        lastGeneration = lastGeneration == .max ? 1 : lastGeneration + 1
        table[place] = Slot(channel: channel, generation: lastGeneration)
        return lastGeneration
    }

    func abandon(descriptor: CInt, generation: UInt32) {
        let place = Int(descriptor)
        guard place < table.count, table[place].generation == generation, let channel = table[place].channel else {
            return
        }
        table[place] = Slot()
        retired.append(channel)
    }

    /// See ``WatchedDescriptor/hasNews(on:)``.
    func hasNews(of descriptor: CInt) -> Bool {
        // What did not fit into a full batch comes with the next.
        isBatchFull || table[Int(descriptor)].hasNews
    }

    /// The receive buffer is about to be filled again: whatever borrowed from it must have been detached by now.
    @inline(__always)
    package func willReceive() { receiveGeneration &+= 1 }

    // MARK: Timers

    package func setTimer(at deadline: MonotonicTime, for target: any TimerTarget, tag: UInt32 = 0) -> TimerToken {
        timers.set(deadline, target: target, tag: tag)
    }

    package func cancelTimer(_ token: TimerToken) { timers.cancel(token) }

    /// Calls `target` later in this turn or in the next, once the caller's stack is gone.
    package func callSoon(_ target: any TimerTarget, tag: UInt32) { deferred.append((target, tag)) }

    /// Timers set and not yet fired.
    package var timerCount: Int { timers.count }

    // MARK: Output

    /// Bytes of one owner in ``output``: from `start` to the next one's, or to the end.
    private struct Cork {
        let owner: any Corked
        let start: Int
    }

    /// Names the owner of what is appended to ``output`` from here on. It is sent when the turn ends, or sooner when many
    /// have something there: one after the other, since peers are woken once for all of them (docs/decisions/0006).
    @inline(__always)
    package func corkOutput(of owner: any Corked) {
        if let last = corks.last, last.owner === owner { return }
        if owner.isCorked || corks.count >= limits.corkedOutputs { flushCorks() }
        owner.isCorked = true
        corks.append(Cork(owner: owner, start: output.count))
    }

    /// Sends what `owner` has in ``output`` now.
    package func flushOutput(of owner: any Corked) {
        guard owner.isCorked else { return }
        guard let last = corks.last, last.owner === owner else { return flushCorks() }
        corks.removeLast()
        send(last, upTo: output.count)
        output.truncate(to: last.start)
        shrinkOutput()
    }

    /// Sends all that is in ``output``.
    package func flushCorks() {
        guard !corks.isEmpty else { return }
        for place in corks.indices {
            let next = place + 1
            send(corks[place], upTo: next < corks.count ? corks[next].start : output.count)
        }
        corks.removeAll(keepingCapacity: true)
        output.removeAll()
        shrinkOutput()
    }

    @inline(__always)
    private func send(_ cork: Cork, upTo end: Int) {
        cork.owner.isCorked = false
        unsafe output.withUnsafeBytes {
            unsafe cork.owner.sendCorked(UnsafeRawBufferPointer(rebasing: $0[cork.start..<end]))
        }
    }

    /// Gives back memory that one large write has claimed.
    @inline(__always)
    private func shrinkOutput() {
        guard output.isEmpty, output.capacity > limits.outputBuffer.bytes * 8 else { return }
        output = OutputBuffer(capacity: limits.outputBuffer.bytes)
    }

    // MARK: Work

    /// Runs `work` on the loop in one of its next turns. Any thread; order of one thread's submissions is kept.
    package func submit(_ work: @escaping @Sendable () -> Void) { inbox.put(.work(work)) }

    /// Starts `operation` as a task that stays on this loop. Must be called on the loop.
    ///
    /// `operation` may capture what lives on the loop: it never leaves its thread. Write it without a capture list: this
    /// compiler takes isolation away from closures that have one (docs/decisions/0004).
    @discardableResult
    package func launch(_ operation: @escaping () async -> Void) -> Task<Void, Never> {
        // Safe: the task runs on `actor`, whose executor is this loop, the thread that owns all that was captured.
        nonisolated(unsafe) let operation = operation
        let actor = actor ?? LoopActor(loop: self)
        self.actor = actor
        return actor.assumeIsolated { unsafe $0.start(operation) }
    }

    /// Runs what has become ready, at once: for a channel whose bytes in the loop's buffer must be used before it
    /// returns. Only from a channel's own callbacks.
    @inline(__always)
    package func runReadyJobs() { runJobs(limit: limits.jobsPerEvent) }

    @inline(__always)
    func runJobs(limit: Int) {
        var left = limit
        while left > 0, let job = ring.pop() {
            unsafe job.runSynchronously(
                isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
            left -= 1
        }
    }
}

/// Who may hold bytes in a loop's shared output buffer.
package protocol Corked: AnyObject {
    /// Whether it does. The loop's to set.
    var isCorked: Bool { get set }

    /// Sends `bytes`, takes them over, or drops them if it was closed meanwhile. Must not write to the loop's output.
    func sendCorked(_ bytes: UnsafeRawBufferPointer)
}

extension EventLoop: SerialExecutor, TaskExecutor {
    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isCurrent { ring.push(job) } else { inbox.put(.job(job)) }
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        unsafe UnownedSerialExecutor(ordinary: self)
    }

    package func asUnownedTaskExecutor() -> UnownedTaskExecutor { unsafe UnownedTaskExecutor(ordinary: self) }

    package func isIsolatingCurrentContext() -> Bool? { isCurrent }

    package func checkIsolated() { precondition(isCurrent, "not on the event loop this belongs to") }
}

/// The actor that tasks of a loop are isolated to, so that the compiler keeps them on it.
package actor LoopActor {
    private nonisolated let loop: EventLoop

    init(loop: EventLoop) { self.loop = loop }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    /// Isolated to the loop and preferring it: isolation is what makes a suspension cheap, and the preference keeps code
    /// on the loop that has lost its isolation (docs/decisions/0004).
    func start(_ operation: @escaping () async -> Void) -> Task<Void, Never> {
        // Safe: see ``EventLoop/launch(_:)``.
        nonisolated(unsafe) let operation = operation
        return Task(executorPreference: loop) { unsafe await self.perform(operation) }
    }

    /// A task with a preference does not inherit the isolation of where it was made; this method gives it ours.
    private func perform(_ operation: () async -> Void) async { await operation() }
}
