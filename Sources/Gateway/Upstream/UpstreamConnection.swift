import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayTransport

/// One connection to an upstream: sends a request, reads its response, one exchange at a time.
@safe final class UpstreamConnection {
    let stream: ByteStream
    let origin: UpstreamOrigin
    private weak var pool: UpstreamPool?
    private let limits: HeadLimits

    /// How many exchanges it has begun.
    private(set) var exchanges = 0
    private(set) var hasBegunAnswer = false

    private var parser: ResponseParser
    private var window = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    private var leftover: [UInt8] = []
    private var inputWaiter: Waiter?
    private var outputWaiter: Waiter?
    private var ended = false
    private var timedOut = false
    private var pump: Task<Void, Never>?
    private var pumpError: (any Error)?

    /// Unsent request bytes above which a streamed body waits.
    private static let sendLimit = 256 << 10
    /// Most interim responses before a real one.
    private static let interimLimit = 8

    init(stream: ByteStream, origin: UpstreamOrigin, pool: UpstreamPool, limits: HeadLimits) {
        self.stream = stream
        self.origin = origin
        self.pool = pool
        self.limits = limits
        parser = ResponseParser(limits: limits)
        stream.adopt(self)
    }

    var isReused: Bool { exchanges > 1 }
    var isUsable: Bool { stream.isOpen && !ended }

    // MARK: Exchange

    /// Sends `request` and returns once the head of its response has arrived.
    func exchange(
        _ request: UpstreamRequest, timeouts: UpstreamTimeouts
    ) async throws -> (head: ResponseHead, bytes: [UInt8]) {
        exchanges += 1
        hasBegunAnswer = false
        timedOut = false
        // Safe: touched on the loop only; cancellation from another thread comes by submission.
        nonisolated(unsafe) let shared = self
        let loop = stream.loop
        return try await withTaskCancellationHandler {
            try send(request, timeouts)
            return try await readHead(of: request, timeouts)
        } onCancel: {
            if loop.isCurrent { unsafe shared.close() } else { loop.submit { unsafe shared.close() } }
        }
    }

    private func send(_ request: UpstreamRequest, _ timeouts: UpstreamTimeouts) throws {
        var failure: RequestWriteError?
        stream.write { output in
            let before = output.count
            do throws(RequestWriteError) {
                try Self.appendHead(of: request, to: &output)
                if case .bytes(let bytes) = request.body { output.append(bytes) }
            } catch {
                output.truncate(to: before)
                failure = error
            }
        }
        if let failure { throw UpstreamError.unsendable(failure.message) }
        stream.flush()
        stream.deadline = stream.loop.now + timeouts.firstByte
        guard case .stream(let length, let next) = request.body else { return }
        pumpError = nil
        pump = stream.loop.launch { await self.pumpBody(length: length, timeouts, next) }
    }

    private static func appendHead(
        of request: UpstreamRequest, to output: inout OutputBuffer
    ) throws(RequestWriteError) {
        let host = request.host.map { Array($0.utf8) } ?? Array(request.url.authority)
        try output.appendRequestHead(
            method: request.method, target: Array(request.url.target).span, host: host.span, fields: request.fields,
            body: request.outgoingBody)
    }

    private func pumpBody(
        length: UInt64?, _ timeouts: UpstreamTimeouts, _ next: () async throws -> [UInt8]?
    ) async {
        var left = length ?? .max
        do {
            // Asked before each read: the request may be over, and its body somebody else's to read.
            while stream.isOpen, let chunk = try await next() {
                guard stream.isOpen else { return }
                guard UInt64(chunk.count) <= left else { throw UpstreamError.unsendable("the body is too long") }
                left -= length == nil ? 0 : UInt64(chunk.count)
                stream.write { length == nil ? $0.appendChunk(chunk.span) : $0.append(chunk) }
                stream.deadline = stream.loop.now + timeouts.firstByte
                if stream.unsent > Self.sendLimit { await drained() }
            }
            guard stream.isOpen else { return }
            guard length == nil || left == 0 else { throw UpstreamError.unsendable("the body is too short") }
            if length == nil { stream.write { $0.appendLastChunk() } }
            pump = nil
        } catch {
            // The upstream must not take half a body for a whole one.
            pumpError = error
            stream.abort()
        }
    }

    private func drained() async {
        stream.flush()
        while stream.isOpen, stream.unsent > Self.sendLimit { await suspend { outputWaiter = $0 } }
    }

    private func readHead(
        of request: UpstreamRequest, _ timeouts: UpstreamTimeouts
    ) async throws -> (head: ResponseHead, bytes: [UInt8]) {
        var head = ResponseHead()
        for _ in 0..<Self.interimLimit {
            parser.reset()
            while true {
                if let bytes = try parse(&head, request.method) {
                    if head.isInterim { break }
                    guard head.status != .switchingProtocols else {
                        throw UpstreamError.malformed("it switches protocols, which was not asked for")
                    }
                    return (head, bytes)
                }
                try await arrival(.firstByteTimedOut, .closedBeforeAnswer)
            }
        }
        throw UpstreamError.malformed("too many interim responses")
    }

    /// Parses a head out of what has arrived; its bytes, or `nil` when more must come.
    private func parse(_ head: inout ResponseHead, _ method: Method) throws -> [UInt8]? {
        do throws(ResponseError) {
            if leftover.isEmpty {
                guard unsafe !window.isEmpty else { return nil }
                guard try unsafe parser.parse(window, answering: method, into: &head) else { return nil }
                let bytes = unsafe Array(window[..<head.length])
                unsafe window = UnsafeRawBufferPointer(rebasing: window[head.length...])
                return bytes
            }
            let isWhole = try parseLeftover(&head, method)
            guard isWhole else { return nil }
            let bytes = Array(leftover[..<head.length])
            leftover.removeFirst(head.length)
            return bytes
        } catch {
            throw UpstreamError.malformed(error.message)
        }
    }

    private func parseLeftover(_ head: inout ResponseHead, _ method: Method) throws(ResponseError) -> Bool {
        let bytes = leftover
        return try parser.parse(bytes.span, answering: method, into: &head)
    }

    // MARK: Input

    /// The next bytes that arrived, at most `limit`; `nil` at the end of the stream.
    func take(limit: Int, idle: Duration) async throws -> [UInt8]? {
        while true {
            if let bytes = takeBuffered(limit: limit) { return bytes }
            if ended { return nil }
            stream.deadline = stream.loop.now + idle
            try await arrival(.idleTimedOut, nil)
        }
    }

    /// Bytes that have arrived already, at most `limit`.
    func takeBuffered(limit: Int) -> [UInt8]? {
        if !leftover.isEmpty {
            guard leftover.count > limit else {
                defer { leftover = [] }
                return leftover
            }
            defer { leftover.removeFirst(limit) }
            return Array(leftover[..<limit])
        }
        guard unsafe !window.isEmpty else { return nil }
        let count = unsafe min(limit, window.count)
        let bytes = unsafe Array(window[..<count])
        unsafe window = UnsafeRawBufferPointer(rebasing: window[count...])
        return bytes
    }

    /// Gives back what was taken too much: the beginning of nothing, or of trailing garbage.
    func putBack(_ bytes: ArraySlice<UInt8>) { leftover.insert(contentsOf: bytes, at: 0) }

    var hasBuffered: Bool { unsafe !leftover.isEmpty || !window.isEmpty }

    private func arrival(_ late: UpstreamError, _ early: UpstreamError?) async throws {
        if let pumpError { throw pumpError }
        if ended {
            if let early { throw timedOut ? late : early }
            return
        }
        stream.resumeInput()
        await suspend { inputWaiter = $0 }
        if Task.isCancelled { throw CancellationError() }
        if timedOut { throw late }
    }

    // MARK: End

    /// The response was read to its end: keeps the connection for the next request, or closes it.
    func finish(reusable: Bool) {
        guard reusable, pump == nil, isUsable, !hasBuffered, let pool else { return close() }
        stream.deadline = .distantFuture
        pool.takeBack(self)
    }

    func close() {
        pump?.cancel()
        stream.close()
    }
}

extension UpstreamConnection: ByteStreamHandler {
    func streamOpened() {}

    func streamReadable() {
        guard inputWaiter != nil else {
            // Idle in the pool, or its reader is busy. Idle, anything that arrives ends it.
            if let pool, pool.isIdle(self) { return close() }
            return stream.pauseInput()
        }
        switch stream.receive(after: leftover) {
        case .bytes(let total, _):
            hasBegunAnswer = true
            leftover.removeAll(keepingCapacity: false)
            unsafe window = UnsafeRawBufferPointer(rebasing: stream.loop.receiveBuffer[..<total])
            inputWaiter.wake()
            stream.loop.runReadyJobs()
            settle()
        case .wouldBlock: return
        case .end:
            ended = true
            stream.pauseInput()
            inputWaiter.wake()
        case .failed: stream.close()
        }
    }

    private func settle() {
        guard unsafe !window.isEmpty else { return }
        unsafe leftover.append(contentsOf: window)
        unsafe window = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    func streamPeerFinished() {
        if let pool, pool.isIdle(self) { close() }
    }

    func streamDrained() { outputWaiter.wake() }

    func streamDeadline() {
        timedOut = true
        stream.close()
    }

    func streamClosed(_ reason: StreamEnd) {
        ended = true
        pump?.cancel()
        pool?.forget(self)
        inputWaiter.wake()
        outputWaiter.wake()
    }
}
