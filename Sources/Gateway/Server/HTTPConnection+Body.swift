import GatewayHTTP
import GatewayRuntime
import GatewayTransport
import PluginKit

/// Where the body of the current request stands.
struct BodyState {
    enum Rest {
        case none
        case length(UInt64)
        /// Boxed: the decoder is large, and most requests have no body to copy it around for.
        indirect case chunked(ChunkedDecoder)
    }

    var rest: Rest = .none
    var declared: UInt64? = 0
    var received: UInt64 = 0
    /// The client waits for 100 Continue before it sends.
    var expectsContinue = false
    var lastProgress = MonotonicTime(nanoseconds: 0)
    /// When more of it must have come, while somebody waits for that.
    var due = MonotonicTime.distantFuture

    init() {}

    init(framing: BodyFraming, expectsContinue: Bool) {
        switch framing {
        case .none: rest = .none
        case .length(let length):
            rest = length == 0 ? .none : .length(length)
            declared = length
        case .chunked:
            rest = .chunked(ChunkedDecoder())
            declared = nil
        }
        self.expectsContinue = expectsContinue && !isComplete
    }

    var isComplete: Bool {
        if case .none = rest { return true }
        return false
    }
}

extension HTTPConnection: RequestBodySource {
    var declaredBodyLength: UInt64? { body.declared }

    func nextBodyChunk() async throws -> [UInt8]? {
        while true {
            if body.isComplete { return nil }
            // A second reader at the same time would get the first one's bytes, and never wake it.
            if isClosed || inputWaiter != nil { throw CancellationError() }
            if let chunk = try takeChunk() {
                try countBody(chunk)
                return chunk
            }
            if body.isComplete { return nil }
            if sawEndOfInput {
                reply.mustClose = true
                throw GatewayFault(.badRequest, "body_incomplete", "The connection ended before the request body did.")
            }
            if timedOut { throw bodyTimeout() }
            inviteBody()
            body.due = stream.loop.now + settings.bodyTimeout
            armDeadline()
            await input()
            body.due = .distantFuture
            armDeadline()
        }
    }

    private func countBody(_ chunk: [UInt8]) throws {
        body.received += UInt64(chunk.count)
        guard body.received <= UInt64(settings.maxBody.bytes) else {
            reply.mustClose = true
            throw GatewayFault.contentTooLarge(limit: settings.maxBody.bytes)
        }
    }

    private func bodyTimeout() -> GatewayFault {
        reply.mustClose = true
        return GatewayFault(.requestTimeout, "body_timeout", "The request body made no progress.")
    }

    private func inviteBody() {
        // Once the final response has begun, an interim one would stand in the middle of it.
        guard body.expectsContinue, reply.plan == nil else { return }
        body.expectsContinue = false
        stream.write { $0.append("HTTP/1.1 100 Continue\r\n\r\n") }
        stream.flush()
    }

    /// Decodes what has arrived; `nil` when more must arrive first.
    private func takeChunk() throws -> [UInt8]? {
        if !leftover.isEmpty {
            let (chunk, used) = try unsafe leftover.withUnsafeBytes { raw in
                unsafe try decode(UnsafeRawBufferPointer(rebasing: raw[leftoverUsed...]))
            }
            useLeftover(used)
            return chunk
        }
        guard unsafe !window.isEmpty else { return nil }
        let (chunk, used) = try unsafe decode(window)
        unsafe window = UnsafeRawBufferPointer(rebasing: window[used...])
        return chunk
    }

    private func decode(_ input: UnsafeRawBufferPointer) throws -> ([UInt8]?, Int) {
        // Who sends without waiting for the invitation needs none.
        body.expectsContinue = false
        switch body.rest {
        case .none: return (nil, 0)
        case .length(let left):
            let count = Int(min(left, UInt64(input.count)))
            body.rest = UInt64(count) == left ? .none : .length(left - UInt64(count))
            return (count == 0 ? nil : unsafe Array(input[..<count]), count)
        case .chunked(var decoder):
            do throws(ChunkError) {
                let decoded = try unsafe Self.dechunk(input, with: &decoder)
                body.rest = decoded.isComplete ? .none : .chunked(decoder)
                return (decoded.bytes.isEmpty ? nil : decoded.bytes, decoded.consumed)
            } catch {
                reply.mustClose = true
                let refusal = RequestError.chunk(error)
                throw GatewayFault(refusal.status, "bad_chunk", error.message)
            }
        }
    }

    private static func dechunk(
        _ input: UnsafeRawBufferPointer, with decoder: inout ChunkedDecoder
    ) throws(ChunkError) -> (bytes: [UInt8], consumed: Int, isComplete: Bool) {
        var bytes: [UInt8] = []
        var offset = 0
        while true {
            switch try unsafe decoder.next(input, from: &offset) {
            case .data(let range): unsafe bytes.append(contentsOf: input[range])
            case .needMore: return (bytes, offset, false)
            case .end: return (bytes, offset, true)
            }
        }
    }

    /// Reads past the chunks that are here already of a body that no handler read. If they are none, the answer is what
    /// this returns: a request is not good because nobody looked at the rest of it (RFC 9112 §7.1, §11.2).
    func refusalOfUnreadBody(of request: Request, before response: Response) -> Response? {
        guard case .chunked = body.rest, response.body.isWhole, !body.expectsContinue, inputWaiter == nil else {
            return nil
        }
        var discarded = 0
        do {
            while discarded <= settings.discardLimit.bytes, let chunk = try takeChunk() {
                try countBody(chunk)
                discarded += chunk.count
            }
        } catch let fault as GatewayFault {
            return fault.response(requestID: request.id)
        } catch {}
        return nil
    }

    /// Reads past what is left of a body nobody wanted; `false` if that is too much, and the connection must close.
    func discardBody() async -> Bool {
        guard !body.isComplete else { return true }
        // A client that waits for 100 Continue was never invited to send: whether it does is anybody's guess.
        guard !body.expectsContinue, canDiscardBody else { return false }
        var discarded = 0
        do {
            while let chunk = try await nextBodyChunk() {
                discarded += chunk.count
                guard discarded <= settings.discardLimit.bytes else { return false }
            }
            return true
        } catch {
            return false
        }
    }

    /// Whether more is here than the rest of the current request's body.
    var hasNextRequest: Bool {
        guard hasInput else { return false }
        return switch body.rest {
        case .none: true
        case .length(let left): unsafe UInt64(leftover.count - leftoverUsed + window.count) > left
        case .chunked: false
        }
    }

    /// Whether what is known of the unread rest is small enough to read past it.
    var canDiscardBody: Bool {
        guard case .length(let left) = body.rest else { return true }
        return left <= UInt64(settings.discardLimit.bytes)
    }
}

extension ResponseBody {
    /// Nothing of it is still to be made while the request's body is read.
    fileprivate var isWhole: Bool {
        switch self {
        case .empty, .literal, .bytes: true
        case .stream, .upstream, .webSocket: false
        }
    }
}
