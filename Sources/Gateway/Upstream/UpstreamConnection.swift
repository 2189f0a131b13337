import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayTransport

/// One connection to an upstream: sends a request, reads its response, one exchange at a time.
final class UpstreamConnection {
    let stream: ByteStream
    /// The pool's record of everything about this origin; the connection is counted there until it closes.
    let origin: PooledOrigin
    private weak var pool: UpstreamPool?
    /// ``UpstreamPool/trustEpoch`` when it was dialled.
    let trustEpoch: Int
    private var permit: UpstreamPermit?

    /// In the pool: whatever arrives now is nobody's answer.
    var isIdle = false
    /// Whether it has come back to the pool, and may have died there.
    private(set) var isReused = false
    /// Bytes of an answer arrived, so the upstream has seen the request.
    private(set) var hasBegunAnswer = false

    private var parser: ResponseParser
    /// Kept from answer to answer for its memory.
    private var head = ResponseHead()
    /// What has arrived and is not used yet, after the first `used` bytes. Filled only while somebody waits for it, so
    /// never larger than a head and the loop's receive buffer.
    private var buffer: [UInt8] = []
    private var used = 0
    private var inputWait: LoopWait?
    private var isReadingHead = false
    private var ending: Ending?

    private var pump: Task<Void, Never>?
    private var pumpError: (any Error)?
    /// The pump waits for its source, so it is not the upstream that is late.
    private var pumpIsReading = false
    private var outputWaiter: Waiter?
    /// When a part of the request was last handed to the stream, or seen to have been taken.
    private var lastSending = MonotonicTime.distantFuture
    /// ``ByteStream/taken`` at the last look; `nil` once the upstream has taken all of the request, and for one whose body is
    /// not streamed, which is not looked after.
    private var takenBefore: Int64?

    private enum Ending {
        /// The upstream finished sending in order: only this ends a body that lasts until the connection ends.
        case inOrder
        case broken
    }

    /// Unsent request bytes above which a streamed body waits.
    private static let sendLimit = 256 << 10
    /// Most bytes of memory kept for the next answer.
    private static let keptCapacity = 4 << 10
    /// Most bytes received at once before the head is read.
    private static let headReceiveLimit = 32 << 10
    /// Most interim responses before a real one.
    private static let interimLimit = 8

    /// - Returns: `nil` when the stream is closed already.
    init?(
        stream: ByteStream, permit: UpstreamPermit, origin: PooledOrigin, pool: UpstreamPool, trustEpoch: Int,
        limits: HeadLimits
    ) {
        self.stream = stream
        self.permit = permit
        self.origin = origin
        self.pool = pool
        self.trustEpoch = trustEpoch
        parser = ResponseParser(limits: limits)
        guard stream.adopt(self) else { return nil }
        stream.outlivesReset = true
    }

    var isUsable: Bool { stream.isOpen && !stream.isDead && ending == nil }
    /// A part of the request has not left yet.
    private var isSending: Bool { pump != nil || stream.isCorked || stream.unsent > 0 }

    // MARK: Exchange

    /// Sends `request` and returns once the head of its response has arrived.
    ///
    /// - Parameter upgrades: Whether the request asks to switch protocols; then 101 is an answer like any other.
    func exchange(
        _ request: UpstreamRequest, timeouts: UpstreamTimeouts, upgrades: Bool = false
    ) async throws -> (head: ResponseHead, bytes: [UInt8]) {
        hasBegunAnswer = false
        guard isUsable, !hasBuffered else { throw UpstreamError.closedBeforeAnswer }
        try send(request, upgrades ? .upgrade : .keepAlive)
        return try await readHead(of: request, within: timeouts.firstByte, upgrades: upgrades)
    }

    private func send(_ request: UpstreamRequest, _ intent: ConnectionIntent) throws {
        var failure: RequestWriteError?
        stream.write { output in
            let before = output.count
            do throws(RequestWriteError) {
                try Self.appendHead(of: request, intent, to: &output)
            } catch {
                output.truncate(to: before)
                failure = error
            }
        }
        if let failure { throw UpstreamError.unsendable(failure.message) }
        if case .bytes(let bytes) = request.body { unsafe bytes.withUnsafeBytes { unsafe stream.write($0) } }
        // The kernel was asked just now whether the upstream is still there; that should not grow old.
        if !request.isRepeatable { stream.flush() }
        lastSending = stream.loop.now
        takenBefore = nil
        guard case .stream(let length, let next) = request.body else { return }
        takenBefore = .min
        pump = stream.loop.launch { await self.pumpBody(length: length, next) }
    }

    private static func appendHead(
        of request: UpstreamRequest, _ intent: ConnectionIntent, to output: inout OutputBuffer
    ) throws(RequestWriteError) {
        let host = request.host.map { ArraySlice($0.utf8) } ?? request.url.authority
        try output.appendRequestHead(
            method: request.method, target: request.url.target.span, host: host.span, fields: request.fields,
            body: request.outgoingBody, connection: intent)
    }

    private func pumpBody(length: UInt64?, _ next: () async throws -> [UInt8]?) async {
        var left = length ?? .max
        do {
            while let chunk = try await read(next) {
                guard stream.isOpen else { return }
                guard UInt64(chunk.count) <= left else { throw UpstreamError.unsendable("the body is too long") }
                if length != nil { left -= UInt64(chunk.count) }
                stream.write { length == nil ? $0.appendChunk(chunk.span) : $0.append(chunk) }
                lastSending = stream.loop.now
                if stream.unsent > Self.sendLimit { await drained() }
            }
            guard stream.isOpen else { return }
            guard length == nil || left == 0 else { throw UpstreamError.unsendable("the body is too short") }
            if length == nil { stream.write { $0.appendLastChunk() } }
            lastSending = stream.loop.now
            pump = nil
        } catch {
            // The upstream must not take half a body for a whole one.
            pumpError = error
            stream.abort()
        }
    }

    private func read(_ next: () async throws -> [UInt8]?) async throws -> [UInt8]? {
        pumpIsReading = true
        defer { pumpIsReading = false }
        return try await next()
    }

    private func drained() async {
        // Looked at again when the task has suspended: that may take a turn.
        while mustDrain { await suspend { if mustDrain { outputWaiter = $0 } else { $0.resume() } } }
    }

    private var mustDrain: Bool { stream.isOpen && stream.unsent > Self.sendLimit }

    private func readHead(
        of request: UpstreamRequest, within patience: Duration, upgrades: Bool
    ) async throws -> (head: ResponseHead, bytes: [UInt8]) {
        isReadingHead = true
        defer { isReadingHead = false }
        for _ in 0..<Self.interimLimit {
            parser.reset()
            while try !parseHead(answering: request.method) { try await headArrival(within: patience) }
            if head.isInterim {
                buffer.removeFirst(head.length)
                continue
            }
            let bytes = Array(buffer[..<head.length])
            guard upgrades || head.status != .switchingProtocols else {
                throw UpstreamError.malformed("it switches protocols, which was not asked for")
            }
            use(head.length)
            return (head, bytes)
        }
        throw UpstreamError.malformed("too many interim responses")
    }

    private func parseHead(answering method: Method) throws -> Bool {
        let bytes = buffer
        do throws(ResponseError) {
            return try parser.parse(bytes.span, answering: method, into: &head)
        } catch {
            throw UpstreamError.malformed(error.message)
        }
    }

    /// Waits for more of the head. Time runs from the end of the request; while that is under way, from its last
    /// progress.
    @inline(__always)
    private func headArrival(within patience: Duration) async throws {
        while true {
            if let pumpError { throw pumpError }
            guard ending == nil else {
                // What has begun to answer has seen the request: that is no reason to send it again.
                throw hasBegunAnswer ? UpstreamError.malformed("it ends within its head") : .closedBeforeAnswer
            }
            noteTaken()
            let due = requestProgress + patience
            guard due > stream.loop.now else { throw UpstreamError.firstByteTimedOut }
            switch await arrival(until: look(before: due, within: patience)) {
            case .woken: return
            case .cancelled: throw CancellationError()
            case .late: continue
            }
        }
    }

    /// When the request last made progress; now, while it waits for its own source: then it is not the upstream that is late.
    private var requestProgress: MonotonicTime { pumpIsReading ? stream.loop.now : lastProgress }

    /// Until when to wait for what is due then. While the upstream still takes a streamed request its time has not begun,
    /// and nothing tells when that is over.
    private func look(before due: MonotonicTime, within patience: Duration) -> MonotonicTime {
        guard takenBefore != nil else { return due }
        return min(due, stream.loop.now + min(patience / 8, .seconds(1)))
    }

    /// Whether the upstream has all of the request. May cost system calls.
    func hasDelivered() -> Bool {
        noteTaken()
        return !isSending && takenBefore == nil
    }

    private func noteTaken() {
        guard let before = takenBefore else { return }
        let taken = stream.taken
        if taken > before { lastSending = stream.loop.now }
        takenBefore = pump == nil && !stream.isOwed ? nil : taken
    }

    private var lastProgress: MonotonicTime { max(lastSending, stream.lastSent) }

    // MARK: Input

    /// The next bytes that arrived, at most `limit`; `nil` at the end of the stream, if it came in order.
    ///
    /// - Parameter idle: How long to wait for them. A reader that is slow itself costs the upstream nothing.
    func take(limit: Int, idle: Duration) async throws -> [UInt8]? {
        var since = stream.loop.now
        while true {
            if let bytes = takeBuffered(limit: limit) { return bytes }
            if let pumpError { throw pumpError }
            switch ending {
            case .inOrder: return nil
            case .broken: throw UpstreamError.bodyIncomplete
            case nil: break
            }
            noteTaken()
            let due = max(since, requestProgress) + idle
            guard due > stream.loop.now else { throw UpstreamError.idleTimedOut }
            switch await arrival(until: look(before: due, within: idle)) {
            case .woken: since = stream.loop.now
            case .late: continue
            case .cancelled: throw CancellationError()
            }
        }
    }

    /// Bytes that have arrived already, at most `limit`.
    func takeBuffered(limit: Int) -> [UInt8]? {
        guard hasBuffered else { return nil }
        let count = min(limit, buffer.count - used)
        if used == 0, count == buffer.count, count > Self.keptCapacity {
            defer { buffer = [] }
            return buffer
        }
        let bytes = Array(buffer[used..<used + count])
        use(count)
        return bytes
    }

    private func use(_ count: Int) {
        used += count
        guard used == buffer.count else { return }
        // The next answer is likely to be as large.
        buffer.removeAll(keepingCapacity: buffer.capacity <= Self.keptCapacity)
        used = 0
    }

    /// Gives back what was taken too much: what follows a body is nobody's answer, and spoils the connection.
    func putBack(_ bytes: ArraySlice<UInt8>) {
        buffer = Array(bytes) + buffer[used...]
        used = 0
    }

    private var hasBuffered: Bool { used < buffer.count }

    /// Whether `count` bytes have arrived that nobody has taken.
    func hasBuffered(_ count: UInt64) -> Bool { UInt64(buffer.count - used) >= count }

    /// Moves `count` bytes that have arrived to the back of `output`.
    func takeBuffered(_ count: Int, into output: inout OutputBuffer) {
        unsafe buffer.withUnsafeBytes {
            unsafe output.append(UnsafeRawBufferPointer(rebasing: $0[used..<used + count]))
        }
        use(count)
    }

    /// Suspends until something arrived or the connection ended.
    private func arrival(until deadline: MonotonicTime) async -> LoopWait.Outcome {
        stream.resumeInput()
        let wait = LoopWait()
        inputWait = wait
        defer { if inputWait === wait { inputWait = nil } }
        return await wait.run(on: stream.loop, until: deadline)
    }

    private func wakeReader() {
        inputWait?.wake()
        inputWait = nil
    }

    // MARK: End

    /// The response was read to its end: keeps the connection for the next request, or closes it.
    func finish(reusable: Bool) {
        stream.flush()
        // Whoever answers before the request is over may not have read it: what follows would be taken for its rest.
        guard reusable, !isSending, isUsable, !hasBuffered, let pool else { return close() }
        // Whether it said more than its answer is asked by the pool, when the next request is about to go out.
        isReused = true
        pool.takeBack(self)
    }

    func close() {
        pump?.cancel()
        stream.close()
    }

    /// Leaves the stream to whoever speaks another protocol over it from here on: it is no longer the pool's.
    ///
    /// - Returns: What has arrived behind the head of the answer, and the leave to have the connection open.
    func surrender() -> (early: [UInt8], permit: UpstreamPermit?) {
        pool?.forget(self)
        pool = nil
        return (takeBuffered(limit: .max) ?? [], permit.take())
    }
}

extension UpstreamConnection: ByteStreamHandler {
    func streamOpened() {}

    func streamReadable() {
        if isIdle {
            // A session ticket is read and is no news; bytes nobody asked for, or the end, end it.
            if case .wouldBlock = stream.receive() { return }
            return close()
        }
        guard inputWait != nil else { return stream.pauseInput() }
        // What comes with a head is copied; of a large body the rest may then go from socket to socket.
        let room = unsafe isReadingHead ? Self.headReceiveLimit : stream.loop.receiveBuffer.count
        switch stream.receive(atMost: room) {
        case .bytes(let count, _):
            hasBegunAnswer = true
            unsafe buffer.append(contentsOf: stream.loop.receiveBuffer[..<count])
            wakeReader()
        case .wouldBlock: return
        case .end:
            ending = .inOrder
            stream.pauseInput()
            wakeReader()
        case .failed: stream.close()
        }
    }

    func streamPeerFinished() {
        if isIdle { close() }
    }

    func streamDrained() { outputWaiter.wake() }

    func streamDeadline() {}

    func streamClosed(_ reason: StreamEnd) {
        if ending == nil { ending = .broken }
        pump?.cancel()
        permit = nil
        pool?.forget(self)
        wakeReader()
        outputWaiter.wake()
    }
}
