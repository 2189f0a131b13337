import GatewayBytes
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
    package var endToEndFields: HeaderFields {
        var fields = HeaderFields(reserving: bytes.count)
        unsafe bytes.withUnsafeBytes { raw in
            for field in head.fields {
                guard unsafe !head.fields.isHopByHop(field, in: raw),
                    unsafe !field.isNamed(.contentLength, in: raw)
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

    private enum Rest {
        case none
        case length(UInt64)
        case chunked(ChunkedDecoder)
        case untilClose
    }

    private let connection: UpstreamConnection
    private let idle: Duration
    private let keepAlive: Bool
    private var rest: Rest
    private var queued: [UInt8]?

    /// Most bytes handed over at once.
    private static let chunkLimit = 128 << 10

    init(framing: ResponseFraming, keepAlive: Bool, connection: UpstreamConnection, idle: Duration) {
        self.connection = connection
        self.idle = idle
        self.keepAlive = keepAlive
        switch framing {
        case .none, .tunnel: (rest, length) = (.none, 0)
        case .length(let count): (rest, length) = (count == 0 ? .none : .length(count), count)
        case .chunked: (rest, length) = (.chunked(ChunkedDecoder()), nil)
        case .untilClose: (rest, length) = (.untilClose, nil)
        }
        if case .none = rest { connection.finish(reusable: keepAlive && framing != .tunnel) }
    }

    /// The next bytes as they arrive; `nil` at the end.
    ///
    /// - Throws: ``UpstreamError/bodyIncomplete`` when the connection ends within the body; never a short body that looks
    ///   whole. ``UpstreamError/idleTimedOut`` when nothing arrives for too long.
    package func next() async throws -> [UInt8]? {
        while true {
            switch rest {
            case .none: return nil
            case .length(let left):
                let wanted = Int(min(left, UInt64(Self.chunkLimit)))
                guard let bytes = try await connection.take(limit: wanted, idle: idle) else {
                    throw incomplete()
                }
                let after = left - UInt64(bytes.count)
                if after == 0 { finish() } else { rest = .length(after) }
                return bytes
            case .untilClose:
                guard let bytes = try await connection.take(limit: Self.chunkLimit, idle: idle) else {
                    rest = .none
                    connection.close()
                    return nil
                }
                return bytes
            case .chunked(let decoder):
                guard let bytes = try await connection.take(limit: Self.chunkLimit, idle: idle) else {
                    throw incomplete()
                }
                let data = try dechunk(bytes, decoder)
                if !data.isEmpty { return data }
            }
        }
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
            rest = .none
            connection.close()
            throw UpstreamError.malformed(error.message)
        }
    }

    private func incomplete() -> UpstreamError {
        rest = .none
        connection.close()
        return .bodyIncomplete
    }

    private func finish() {
        rest = .none
        connection.finish(reusable: keepAlive)
    }

    /// The whole body, if it is small.
    ///
    /// - Throws: ``UpstreamError/bodyTooLarge(limit:)``, and what ``next()`` throws.
    package func collect(limit: Int) async throws -> [UInt8] {
        if let length, length > UInt64(limit) {
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
        if case .none = rest { return }
        rest = .none
        connection.close()
    }

    // MARK: Splice

    /// Below this, copying through the process is cheaper than setting up a pipe.
    private static let spliceMinimum: UInt64 = 64 << 10

    /// Whether the rest may go from socket to socket inside the kernel.
    package var canSplice: Bool {
        guard case .length(let left) = rest else { return false }
        return left >= Self.spliceMinimum && !connection.stream.isSecure
    }

    /// Moves the rest of the body into `sink` without copying it through the process.
    ///
    /// - Parameter sink: A plain stream without unsent output.
    /// - Returns: Bytes moved.
    package func splice(into sink: ByteStream, writeTimeout: Duration) async throws -> Int {
        guard case .length(let total) = rest else { return 0 }
        var left = total
        while let bytes = connection.takeBuffered(limit: Int(clamping: left)) {
            left -= UInt64(bytes.count)
            sink.write { $0.append(bytes) }
        }
        try await sink.drainCompletely(patience: writeTimeout)
        connection.stream.deadline = .distantFuture
        do throws(RelayError) {
            let relay = try SpliceRelay(from: connection.stream, to: sink, patience: max(idle, writeTimeout))
            try await relay.run(left)
        } catch {
            rest = .none
            connection.close()
            switch error {
            case .sourceEnded: throw UpstreamError.bodyIncomplete
            case .sinkClosed: throw CancellationError()
            case .stalled: throw UpstreamError.idleTimedOut
            case .system(let error): throw UpstreamError.connectFailed(error.reason)
            }
        }
        finish()
        return Int(clamping: total)
    }
}
