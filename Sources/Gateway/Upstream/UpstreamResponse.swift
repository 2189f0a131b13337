package import GatewayBytes
package import GatewayHTTP
import GatewayRuntime
package import GatewayTransport

/// The head of an upstream's answer, and its body, still arriving.
package final class UpstreamResponse {
    package let status: Status
    package let body: UpstreamBody
    /// Where the answer came from, after no redirect was followed.
    package let url: HTTPURL
    private let head: ResponseHead
    private let bytes: [UInt8]

    init(head: ResponseHead, bytes: [UInt8], body: UpstreamBody, url: HTTPURL) {
        status = head.status
        self.head = head
        self.bytes = bytes
        self.body = body
        self.url = url
    }

    /// The first value of a field.
    package func header(_ name: HeaderName) -> String? {
        unsafe bytes.withUnsafeBytes { raw in
            guard let value = unsafe head.value(of: name, in: raw) else { return nil }
            return unsafe String(decoding: value, as: UTF8.self)
        }
    }

    /// What Content-Length said, also for HEAD.
    package var declaredLength: UInt64? { head.declaredLength }

    /// The end-to-end fields, to be passed on: without hop-by-hop fields and framing (RFC 9110 §7.6.1).
    package var endToEndFields: HeaderFields { head.endToEndFields(in: bytes) }
}

extension ResponseHead {
    func endToEndFields(in bytes: [UInt8]) -> HeaderFields {
        var fields = HeaderFields(reserving: length)
        unsafe bytes.withUnsafeBytes { raw in
            let hopByHop = unsafe HopByHopFields(of: self.fields, in: raw)
            for field in self.fields {
                guard !hopByHop.contains(field), unsafe !field.isNamed(.contentLength, in: raw)
                else { continue }
                unsafe fields.append(field, from: raw)
            }
        }
        return fields
    }
}

/// The body of an upstream's answer. Read it to the end or discard it: only then does its connection serve again.
package final class UpstreamBody {
    /// Bytes that will come, if known.
    package let length: UInt64?

    /// What is still to come.
    private enum Rest {
        case length(UInt64)
        /// Boxed: the decoder is large, and most answers have no use for it.
        indirect case chunked(ChunkedDecoder)
        case untilClose

        /// How much to take at once: never more than belongs to the body, if that is known.
        func limit(_ most: Int) -> Int {
            if case .length(let left) = self { Int(min(left, UInt64(most))) } else { most }
        }
    }

    private let connection: UpstreamConnection
    private let idle: Duration
    private let keepAlive: Bool
    /// `nil` when there is nothing to read any more.
    private var rest: Rest?
    private var failure: (any Error)?
    /// See ``hold(_:)``.
    private var companion: AnyObject?

    /// Most bytes handed over at once.
    private static let chunkLimit = 128 << 10

    init(framing: ResponseFraming, keepAlive: Bool, connection: UpstreamConnection, idle: Duration) {
        self.connection = connection
        self.idle = idle
        self.keepAlive = keepAlive
        switch framing {
        case .none, .tunnel: (rest, length) = (nil, 0)
        case .length(let count): (rest, length) = (count == 0 ? nil : .length(count), count)
        case .chunked: (rest, length) = (.chunked(ChunkedDecoder()), nil)
        case .untilClose: (rest, length) = (.untilClose, nil)
        }
        if rest == nil { connection.finish(reusable: keepAlive && framing != .tunnel) }
    }

    deinit {
        guard rest != nil else { return }
        // Dropped half read: a connection that nobody reads must not stay open.
        // Safe: `loop` is a constant, and the rest is touched on that loop only.
        nonisolated(unsafe) let connection = connection
        let loop = unsafe connection.stream.loop
        if loop.isCurrent { unsafe connection.close() } else { loop.submit { unsafe connection.close() } }
    }

    /// Holds on to `companion` until the body is over, one way or another: what it stands for lasts as long.
    package func hold(_ companion: AnyObject) {
        if rest != nil { self.companion = companion }
    }

    /// The next bytes as they arrive; `nil` at the end.
    ///
    /// - Throws: ``UpstreamError/bodyIncomplete`` when the connection ends within the body; never a short body that looks
    ///   whole. ``UpstreamError/idleTimedOut`` when nothing arrives for too long. `CancellationError`. The connection is
    ///   closed then.
    package func next() async throws -> [UInt8]? {
        if let failure { throw failure }
        do {
            return try await read()
        } catch {
            fail(error)
            throw error
        }
    }

    /// Bytes that are left, if all of them have arrived: as a rule those of a body that came with its head.
    package var countAtOnce: Int? {
        guard case .length(let left) = rest, connection.hasBuffered(left) else { return nil }
        return Int(clamping: left)
    }

    /// Moves all of ``countAtOnce`` to the back of `output`. Then ``discard()`` it, once `output` is nobody's: the connection
    /// that is given back may have something in it too.
    package func takeAtOnce(into output: inout OutputBuffer) {
        guard let count = countAtOnce else { return }
        connection.takeBuffered(count, into: &output)
        rest = .length(0)
    }

    private func read() async throws -> [UInt8]? {
        while let rest {
            guard let bytes = try await connection.take(limit: rest.limit(Self.chunkLimit), idle: idle) else {
                guard case .untilClose = rest else { throw UpstreamError.bodyIncomplete }
                finish()
                return nil
            }
            let data = try consume(bytes, rest)
            if !data.isEmpty { return data }
        }
        return nil
    }

    private func consume(_ bytes: [UInt8], _ rest: Rest) throws -> [UInt8] {
        switch rest {
        case .length(let left):
            if left == UInt64(bytes.count) { finish() } else { self.rest = .length(left - UInt64(bytes.count)) }
            return bytes
        case .untilClose: return bytes
        case .chunked(let decoder): return try dechunk(bytes, decoder)
        }
    }

    private func fail(_ error: any Error) {
        rest = nil
        companion = nil
        failure = error
        connection.close()
    }

    private func dechunk(_ bytes: [UInt8], _ decoder: ChunkedDecoder) throws -> [UInt8] {
        var decoder = decoder
        var data: [UInt8] = []
        var offset = 0
        do throws(ChunkError) {
            while true {
                switch try decoder.next(bytes.span, from: &offset) {
                case .data(let range): data.append(contentsOf: bytes[range])
                case .needMore:
                    rest = .chunked(decoder)
                    return data
                case .end:
                    connection.putBack(bytes[offset...])
                    finish()
                    return data
                }
            }
        } catch {
            throw UpstreamError.malformed(error.message)
        }
    }

    private func finish() {
        rest = nil
        companion = nil
        connection.finish(reusable: keepAlive)
    }

    /// The whole body, if it is small.
    ///
    /// - Throws: ``UpstreamError/bodyTooLarge(limit:)``, and what ``next()`` throws.
    package func collect(limit: Int) async throws -> [UInt8] {
        if let length, length > UInt64(max(0, limit)) {
            discard()
            throw UpstreamError.bodyTooLarge(limit: limit)
        }
        var whole: [UInt8] = []
        while let bytes = try await next() {
            guard whole.count + bytes.count <= limit else {
                discard()
                throw UpstreamError.bodyTooLarge(limit: limit)
            }
            whole.append(contentsOf: bytes)
        }
        return whole
    }

    /// Gives up what is left, and the connection with it unless nothing is.
    package func discard() {
        guard let rest else { return }
        if case .length(0) = rest { return finish() }
        self.rest = nil
        companion = nil
        connection.close()
    }

    // MARK: Splice

    /// Below this, copying through the process is cheaper than setting up a pipe.
    private static let spliceMinimum: UInt64 = 64 << 10

    /// Whether the rest may go from socket to socket inside the kernel. Not before the upstream has all of the request:
    /// the stream is the relay's alone, an upstream that answers as it reads would wait for the rest of its request, and
    /// while it reads, its answer may pause for longer than a relay allows.
    package var canSplice: Bool {
        guard case .length(let left) = rest else { return false }
        return left >= Self.spliceMinimum && !connection.stream.isSecure && connection.hasDelivered()
    }

    /// Moves the rest of the body into `sink` without copying it through the process.
    ///
    /// - Parameters:
    ///   - sink: A plain stream on the same loop.
    ///   - writeTimeout: How long the sink may take nothing.
    /// - Returns: Bytes moved.
    /// - Throws: As ``next()``; `CancellationError` also when the sink's peer left. ``RelayError/sinkStalled`` when it
    ///   took nothing for too long; the sink has been reset then.
    package func splice(into sink: ByteStream, writeTimeout: Duration) async throws -> Int {
        guard case .length(let total) = rest else { return 0 }
        do {
            var left = total
            while left > 0, let bytes = connection.takeBuffered(limit: Int(clamping: left)) {
                left -= UInt64(bytes.count)
                unsafe bytes.withUnsafeBytes { unsafe sink.write($0) }
            }
            try await sink.drainCompletely(patience: writeTimeout)
            try await relay(left, into: sink, writeTimeout)
        } catch {
            let reason = Self.reason(error)
            fail(reason)
            throw reason
        }
        finish()
        return Int(clamping: total)
    }

    private func relay(_ count: UInt64, into sink: ByteStream, _ writeTimeout: Duration) async throws {
        guard count > 0 else { return }
        let relay: SpliceRelay
        do throws(RelayError) {
            let patience = SpliceRelay.Patience(source: idle, sink: writeTimeout)
            relay = try SpliceRelay(from: connection.stream, to: sink, patience: patience)
        } catch {
            // No pipe to be had: descriptors may be short. Copying needs none.
            return try await copy(count, into: sink, writeTimeout)
        }
        do throws(RelayError) {
            try await relay.run(count)
        } catch {
            if error == .sinkStalled { sink.abort() }
            throw error
        }
    }

    private func copy(_ count: UInt64, into sink: ByteStream, _ writeTimeout: Duration) async throws {
        var left = count
        while left > 0 {
            let limit = Int(min(left, UInt64(Self.chunkLimit)))
            guard let bytes = try await connection.take(limit: limit, idle: idle) else {
                throw UpstreamError.bodyIncomplete
            }
            left -= UInt64(bytes.count)
            unsafe bytes.withUnsafeBytes { unsafe sink.write($0) }
            try await sink.drainCompletely(patience: writeTimeout)
        }
    }

    private static func reason(_ error: any Error) -> any Error {
        switch error as? RelayError {
        case .sourceEnded: UpstreamError.bodyIncomplete
        case .sourceStalled: UpstreamError.idleTimedOut
        case .sinkStalled: RelayError.sinkStalled
        case .sinkClosed, .cancelled: CancellationError()
        case .system(let error): UpstreamError.connectFailed(error.reason)
        case nil: error
        }
    }
}
