/// What a session's messages travel on: a WebSocket. All calls come on the session's loop.
package protocol TunnelCarrier: AnyObject {
    /// Bytes that it has taken and not yet sent.
    var unsentBytes: Int { get }
    func send(text: [UInt8])
    func send(binary: UnsafeRawBufferPointer)
}

/// Streams between a gateway and one of its agents, multiplexed over one carrier at a time.
///
/// Both ends are this type. It does no I/O: messages come by ``receive(text:)`` and ``receive(binary:)`` and leave by the
/// carrier. Without a carrier everything stays as it is, and goes on over the next one: each end keeps the bytes that the
/// other has not acknowledged, which are never more than the credit. Confined to one loop.
///
/// - SeeAlso: docs/TUNNEL-PROTOCOL.md
package final class TunnelSession {
    package enum Role: Sendable { case gateway, agent }

    package let role: Role
    package let terms: TunnelTerms
    package private(set) var streams: [UInt32: TunnelStream] = [:]
    /// The newest stream opened: at the agent, by the gateway.
    package private(set) var newest: UInt32 = 0
    /// Bytes of messages under way to the carrier above which data waits here, where streams take turns.
    private let carrierBacklog: Int
    /// At the agent: who serves a stream that the gateway opens; `nil` refuses it.
    private let accept: (TunnelStream) -> (any TunnelStreamHandler)?

    private weak var carrier: (any TunnelCarrier)?
    /// Streams with something to send, in turn.
    private var queue: [TunnelStream] = []
    /// Over all streams: written and not acknowledged, received and not consumed.
    private var outstanding = 0
    private var held = 0
    private var scratch: [UInt8] = []
    /// At the agent: the last word about streams that have ended without a carrier; no more than were open when it went.
    private var lastWords: [UInt32: TunnelMessage] = [:]

    /// - Parameters:
    ///   - carrierBacklog: Unsent bytes of the carrier at which data waits.
    ///   - accept: At the agent: called for each stream that the gateway opens.
    package init(
        role: Role, terms: TunnelTerms, carrierBacklog: Int = 128 << 10,
        accept: @escaping (TunnelStream) -> (any TunnelStreamHandler)? = { _ in nil }
    ) {
        self.role = role
        self.terms = terms
        self.carrierBacklog = carrierBacklog
        self.accept = accept
    }

    package var isAttached: Bool { carrier != nil }

    // MARK: Carriers

    /// The first carrier, or the next after ``detach()``, once both ends have exchanged their positions.
    package func attach(_ carrier: any TunnelCarrier) {
        self.carrier = carrier
        pump()
    }

    /// The carrier is gone. Streams wait for the next.
    package func detach() {
        carrier = nil
        for stream in queue { stream.isQueued = false }
        queue = []
    }

    /// All streams of this end, for the other to send again from.
    package var positions: [StreamPosition] { streams.values.map(\.position).sorted { $0.stream < $1.stream } }

    /// Takes a new carrier and sends again what the other end lacks. At the gateway `resumed` must be the first message
    /// on it: this sends it.
    ///
    /// - Parameters:
    ///   - positions: What the other end has received.
    ///   - newest: At the gateway: the newest stream that the agent has seen.
    package func resume(on carrier: any TunnelCarrier, positions: [StreamPosition], newest: UInt32 = .max) {
        detach()
        let theirs = Dictionary(positions.map { ($0.stream, $0) }) { first, _ in first }
        let all = streams.values.sorted { $0.id < $1.id }
        let continuations = all.map { prepare($0, theirs[$0.id], newest: newest) }
        self.carrier = carrier
        switch role {
        case .gateway: sendControl(.resumed(self.positions))
        case .agent:
            // What has ended here since it said where it stood: its last word found no carrier.
            for position in positions where position.stream <= self.newest && streams[position.stream] == nil {
                sendControl(lastWords[position.stream] ?? .reset(position.stream, .lost, "the stream ended meanwhile"))
            }
        }
        lastWords = [:]
        // Heads before anything that could make a stream send bytes.
        for (stream, next) in zip(all, continuations) {
            switch next {
            case .open: open(stream)
            case .goOn(let hasHead):
                if role == .agent, !hasHead, let answer = stream.answer { sendControl(.head(stream.id, answer)) }
                // What was consumed since the agent said where it stood: its report found no carrier.
                if stream.input.isComplete || role == .agent && stream.input.consumed > 0 { report(stream) }
                enqueueOnly(stream)
            case .complete, .lost, .misfit: break
            }
        }
        for (stream, next) in zip(all, continuations) {
            switch next {
            case .open, .goOn: break
            case .complete: finish(stream, nil)
            case .lost: finish(stream, .lost, "the other end no longer knows the stream")
            case .misfit: fail(stream, .offset, "the stream cannot be continued where it stopped")
            }
        }
        tellAllOfRoom()
        pump()
    }

    /// What becomes of a stream with a new carrier.
    private enum Continuation {
        /// The agent has never seen it.
        case open
        case goOn(hasHead: Bool)
        /// The other end has everything, and has forgotten it: only its last report was lost.
        case complete
        case lost
        /// What the other end has is not what is kept here.
        case misfit
    }

    private func prepare(_ stream: TunnelStream, _ position: StreamPosition?, newest: UInt32) -> Continuation {
        guard let position else {
            if role == .gateway, stream.id > newest {
                // One that was answered was seen: opened again, it would be executed twice.
                guard !stream.isAnswered else { return .misfit }
                return stream.output.rewind(to: 0, receivedEnd: false) ? .open : .misfit
            }
            return stream.input.isComplete && stream.output.isEndSent ? .complete : .lost
        }
        guard let freed = stream.output.acknowledge(position.consumed, ended: false) else { return .misfit }
        outstanding -= freed
        guard stream.output.rewind(to: position.received, receivedEnd: position.ended) else { return .misfit }
        return .goOn(hasHead: position.hasHead)
    }

    /// Sends what is queued as far as the carrier takes it; also called when its backlog has left.
    package func pump() {
        while let carrier, carrier.unsentBytes < carrierBacklog, !queue.isEmpty {
            let stream = queue.removeFirst()
            stream.isQueued = false
            guard stream.isOpen, stream.output.isPending else { continue }
            unsafe stream.output.sendNext(atMost: terms.dataFrame) { payload, offset, ends in
                unsafe send(DataFrame(stream: stream.id, offset: offset, ends: ends), payload, on: carrier)
            }
            enqueueOnly(stream)
        }
    }

    private func send(_ frame: DataFrame, _ payload: UnsafeRawBufferPointer, on carrier: any TunnelCarrier) {
        let size = DataFrame.size + payload.count
        if scratch.count < size { scratch = [UInt8](repeating: 0, count: size) }
        unsafe scratch.withUnsafeMutableBytes { bytes in
            unsafe frame.write(to: bytes)
            unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[DataFrame.size..<size]).copyMemory(from: payload)
            unsafe carrier.send(binary: UnsafeRawBufferPointer(rebasing: bytes[..<size]))
        }
    }

    // MARK: Streams

    /// Opens a stream; at the gateway.
    ///
    /// - Parameter ends: Whether the request has no body.
    /// - Returns: `nil` when the session has as many streams as it may, or has used up their numbers.
    package func open(
        _ request: StreamRequest, ends: Bool, handler: any TunnelStreamHandler
    ) -> TunnelStream? {
        guard role == .gateway, streams.count < terms.streams, newest < .max else { return nil }
        newest += 1
        let stream = TunnelStream(id: newest, request: request, session: self)
        stream.handler = handler
        if ends { stream.output.end() }
        streams[stream.id] = stream
        open(stream)
        return stream
    }

    private func open(_ stream: TunnelStream) {
        let ends = stream.output.isEnded && stream.output.written == 0
        if ends { stream.output.endAtOpening() }
        sendControl(.open(stream.id, stream.request, ends: ends))
        enqueueOnly(stream)
    }

    /// Ends every stream: the session is over.
    package func end(_ reason: TunnelReset, _ message: String) {
        detach()
        for stream in streams.values.sorted(by: { $0.id < $1.id }) { finish(stream, reason, message) }
    }

    func room(of stream: TunnelStream) -> Int {
        guard !stream.output.isEnded else { return 0 }
        return max(0, min(terms.streamWindow - stream.output.outstanding, terms.sessionWindow - outstanding))
    }

    func write(_ bytes: UnsafeRawBufferPointer, to stream: TunnelStream) -> Int {
        let count = min(bytes.count, room(of: stream))
        guard count > 0 else { return 0 }
        unsafe stream.output.write(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        outstanding += count
        enqueue(stream)
        return count
    }

    func enqueue(_ stream: TunnelStream) {
        enqueueOnly(stream)
        pump()
    }

    private func enqueueOnly(_ stream: TunnelStream) {
        guard stream.isOpen, stream.output.isPending, !stream.isQueued else { return }
        stream.isQueued = true
        queue.append(stream)
    }

    func sendControl(_ message: TunnelMessage) { carrier?.send(text: message.text) }

    /// Sends what is about no stream, if there is a carrier.
    package func tell(_ message: TunnelMessage) { sendControl(message) }

    func consumed(_ count: Int, of stream: TunnelStream) {
        stream.input.consume(count)
        held -= count
        if stream.input.isComplete {
            report(stream)
            finishIfComplete(stream)
        } else if stream.input.isReportDue(window: terms.streamWindow) {
            report(stream)
        }
    }

    private func report(_ stream: TunnelStream) {
        stream.input.noteReport()
        sendControl(.window(stream.id, consumed: stream.input.consumed, ended: stream.input.isComplete))
    }

    func reset(_ stream: TunnelStream, _ reason: TunnelReset, _ message: String) {
        stream.handler = nil
        fail(stream, reason, message)
    }

    /// Tells both sides.
    private func fail(_ stream: TunnelStream, _ reason: TunnelReset, _ message: String) {
        sayLast(.reset(stream.id, reason, message), of: stream)
        finish(stream, reason, message)
    }

    /// Sends what ends a stream, or keeps it for the next carrier.
    private func sayLast(_ message: TunnelMessage, of stream: TunnelStream) {
        if carrier != nil { return sendControl(message) }
        if role == .agent, stream.isOpen { lastWords[stream.id] = message }
    }

    private func finishIfComplete(_ stream: TunnelStream) {
        guard stream.input.isComplete, stream.output.isComplete else { return }
        if carrier == nil { sayLast(.window(stream.id, consumed: stream.input.consumed, ended: true), of: stream) }
        finish(stream, nil)
    }

    private func finish(_ stream: TunnelStream, _ reason: TunnelReset?, _ message: String = "") {
        guard streams.removeValue(forKey: stream.id) != nil else { return }
        let wasExhausted = outstanding >= terms.sessionWindow
        outstanding -= stream.output.outstanding
        held -= stream.input.held
        stream.session = nil
        let handler = stream.handler
        stream.handler = nil
        handler?.finished(reason, message: message)
        if wasExhausted { tellAllOfRoom() }
    }

    private func tellAllOfRoom() {
        for stream in streams.values.sorted(by: { $0.id < $1.id }) where room(of: stream) > 0 {
            stream.handler?.roomGrew()
        }
    }

    // MARK: Messages

    /// Takes a text message that concerns streams.
    ///
    /// - Returns: What is not for the session: `hello`, `welcome`, `resumed`, `drain` and messages of unknown types.
    /// - Throws: When the peer broke the protocol: the carrier is to be closed and the session ended.
    package func receive(text: [UInt8]) throws(TunnelViolation) -> TunnelMessage? {
        let message = try TunnelMessage(text)
        switch message {
        case .open(let id, let request, let ends): try opened(id, request, ends)
        case .head(let id, let answer): try answered(id, answer)
        case .window(let id, let consumed, let ended): try acknowledged(id, consumed, ended)
        case .reset(let id, let reason, let text):
            try checkKnown(id)
            if let stream = streams[id] { finish(stream, reason, text) }
        case .hello, .welcome, .resumed, .drain, .other: return message
        }
        return nil
    }

    /// Takes a binary message.
    ///
    /// - Throws: As ``receive(text:)``.
    package func receive(binary message: UnsafeRawBufferPointer) throws(TunnelViolation) {
        let frame = unsafe try DataFrame(message)
        try checkKnown(frame.stream)
        // One that this end has just reset: its sender did not know.
        guard let stream = streams[frame.stream] else { return }
        let payload = unsafe UnsafeRawBufferPointer(rebasing: message[DataFrame.size...])
        guard role == .agent || stream.isAnswered else { throw TunnelViolation("bytes came before their head") }
        guard !stream.input.isEnded else { throw TunnelViolation("bytes came behind their end") }
        guard frame.offset == stream.input.received else {
            return fail(stream, .offset, "expected byte \(stream.input.received), not \(frame.offset)")
        }
        guard stream.input.held + payload.count <= terms.streamWindow else {
            return fail(stream, .flow, "more than \(terms.streamWindow) bytes were sent without credit")
        }
        guard held + payload.count <= terms.sessionWindow else {
            throw TunnelViolation("more than \(terms.sessionWindow) bytes were sent without credit")
        }
        stream.input.receive(payload.count, ends: false)
        held += payload.count
        if unsafe !payload.isEmpty { unsafe stream.handler?.received(payload) }
        // Only now: a handler that uses up bytes at once must hear of the end before the stream is complete.
        guard frame.ends, stream.isOpen else { return }
        stream.input.receive(0, ends: true)
        inputEnded(stream)
    }

    private func inputEnded(_ stream: TunnelStream) {
        stream.handler?.inputEnded()
        // If bytes are still held, the last consumption reports.
        if stream.isOpen, stream.input.isComplete {
            report(stream)
            finishIfComplete(stream)
        }
    }

    private func opened(_ id: UInt32, _ request: StreamRequest, _ ends: Bool) throws(TunnelViolation) {
        guard role == .agent else { throw TunnelViolation("only the gateway opens streams") }
        guard id > newest else { throw TunnelViolation("stream \(id) was opened before") }
        newest = id
        guard streams.count < terms.streams else {
            return sendControl(.reset(id, .overloaded, "at most \(terms.streams) streams at once"))
        }
        let stream = TunnelStream(id: id, request: request, session: self)
        if ends { stream.input.receive(0, ends: true) }
        streams[id] = stream
        guard let handler = accept(stream) else {
            return reset(stream, .refused, "the agent does not offer this")
        }
        // It may have reset the stream at once.
        if stream.isOpen { stream.handler = handler }
        // Not acknowledged: the answer's head does that.
        if ends { stream.handler?.inputEnded() }
    }

    private func answered(_ id: UInt32, _ answer: StreamAnswer) throws(TunnelViolation) {
        guard role == .gateway else { throw TunnelViolation("only an agent answers streams") }
        try checkKnown(id)
        guard let stream = streams[id] else { return }
        guard !stream.isAnswered else { throw TunnelViolation("stream \(id) was answered before") }
        stream.isAnswered = true
        if stream.output.written == 0, stream.output.isEndSent { _ = stream.output.acknowledge(0, ended: true) }
        stream.handler?.answered(answer)
    }

    private func acknowledged(_ id: UInt32, _ consumed: UInt64, _ ended: Bool) throws(TunnelViolation) {
        try checkKnown(id)
        guard let stream = streams[id] else { return }
        guard acknowledge(stream, consumed, ended: ended) else {
            throw TunnelViolation("stream \(id): bytes were acknowledged that were never sent")
        }
        finishIfComplete(stream)
    }

    private func acknowledge(_ stream: TunnelStream, _ consumed: UInt64, ended: Bool) -> Bool {
        let wasExhausted = outstanding >= terms.sessionWindow
        guard let freed = stream.output.acknowledge(consumed, ended: ended) else { return false }
        outstanding -= freed
        if wasExhausted { tellAllOfRoom() } else if freed > 0 { stream.handler?.roomGrew() }
        return true
    }

    private func checkKnown(_ id: UInt32) throws(TunnelViolation) {
        guard id <= newest else { throw TunnelViolation("stream \(id) was never opened") }
    }
}
