package import GatewayBytes

/// What an access log line tells besides the bytes of the request.
package struct AccessRecord: Sendable {
    package var status: Int
    /// Body bytes received and sent.
    package var received: Int
    package var sent: Int
    /// From the first byte of the head to the last byte of the answer.
    package var microseconds: Int
    /// The x of HTTP/1.x.
    package var minorVersion: Int

    package init(status: Int, received: Int, sent: Int, microseconds: Int, minorVersion: Int = 1) {
        self.status = status
        self.received = received
        self.sent = sent
        self.microseconds = microseconds
        self.minorVersion = minorVersion
    }
}

/// The access log of one event loop: lines gather here and go to the sink together.
///
/// Formatting one line allocates nothing, and takes its time stamp from a text kept per second. The owner calls
/// ``flush()`` from a timer, so that a quiet gateway's lines appear, and before the loop ends.
package final class AccessLogBuffer {
    private var buffer: OutputBuffer
    private var lines = 0
    private let format: LogFormat
    private let sink: LogSink
    private let threshold: Int

    // Everything before the request id, but for the milliseconds: built once a second.
    private let service: [UInt8]
    private var second = Int64.min
    private var stamp: [UInt8] = []

    /// - Parameter threshold: Bytes that gather before they go to the sink by themselves.
    package init(format: LogFormat, service: String = "gateway", sink: LogSink, threshold: ByteCount = .kibibytes(32)) {
        self.format = format
        self.sink = sink
        self.threshold = threshold.bytes
        buffer = OutputBuffer(capacity: threshold.bytes + 4096)
        var escaped = OutputBuffer(capacity: 64)
        escaped.append(escaping: service, as: .json)
        self.service = unsafe escaped.withUnsafeBytes { unsafe Array($0) }
    }

    /// Appends one line.
    ///
    /// - Parameter path: Without the query.
    /// - Parameter query: Without the question mark and **already redacted**; empty for none.
    /// - Parameter route: The plugin or route that answered; empty if none did.
    /// - Parameter trace: The id of the trace that the request belongs to; empty for none. JSON only.
    /// - Parameter now: The loop's cached wall clock.
    package func record(
        _ record: AccessRecord, method: Span<UInt8>, path: Span<UInt8>, query: Span<UInt8>, requestID: Span<UInt8>,
        remote: Span<UInt8>, route: Span<UInt8>, trace: Span<UInt8> = Span(), at now: WallTime
    ) {
        if now.seconds != second { startSecond(now) }
        // Six bytes is the longest escape of one byte; 512 cover names, numbers and punctuation.
        let names = requestID.count + remote.count + route.count + trace.count
        let foreign = method.count + path.count + query.count + names
        unsafe buffer.appendInPlace(room: 512 + stamp.count + 6 * foreign) { free in
            guard var line = unsafe LineCursor(free) else { return 0 }
            switch format {
            case .json:
                unsafe writeJSON(
                    record, method, path, query, requestID, remote, route, trace, now.milliseconds, to: &line)
            case .text:
                unsafe writeText(record, method, path, query, requestID, remote, route, to: &line)
            }
            unsafe line.put(0x0A)
            return unsafe line.count
        }
        lines += 1
        if buffer.count >= threshold { flush() }
    }

    /// Hands all lines to the sink.
    package func flush() {
        guard lines > 0 else { return }
        sink.submit(buffer, lines: lines)
        buffer.removeAll()
        lines = 0
    }

    /// Builds what all lines of one second share.
    private func startSecond(_ now: WallTime) {
        second = now.seconds
        switch format {
        case .json:
            stamp = Array("{\"timestamp\":\"".utf8) + WallTime(seconds: now.seconds).rfc3339
            stamp += "\",\"level\":\"INFO\",\"service\":\"".utf8 + service
            stamp += "\",\"component\":\"access\",\"message\":\"request\",\"correlationId\":\"".utf8
        case .text:
            stamp = Array(" - - [".utf8) + now.commonLog + Array("] \"".utf8)
        }
    }

    @unsafe @inline(__always)
    private func writeJSON(
        _ record: AccessRecord, _ method: Span<UInt8>, _ path: Span<UInt8>, _ query: Span<UInt8>,
        _ requestID: Span<UInt8>, _ remote: Span<UInt8>, _ route: Span<UInt8>, _ trace: Span<UInt8>,
        _ milliseconds: Int, to line: inout LineCursor
    ) {
        unsafe line.put(stamp)
        unsafe line.patch(milliseconds: milliseconds, at: Self.millisecondsAt)
        unsafe line.put(escaping: requestID)
        if !trace.isEmpty {
            unsafe line.put("\",\"traceId\":\"")
            unsafe line.put(escaping: trace)
        }
        unsafe line.put("\",\"remote\":\"")
        unsafe line.put(escaping: remote)
        unsafe line.put("\",\"method\":\"")
        unsafe line.put(escaping: method)
        unsafe line.put("\",\"path\":\"")
        unsafe line.put(escaping: path)
        if !query.isEmpty {
            unsafe line.put("\",\"query\":\"")
            unsafe line.put(escaping: query)
        }
        unsafe line.put("\",\"route\":\"")
        unsafe line.put(escaping: route)
        unsafe line.put("\",\"status\":")
        unsafe line.put(decimal: record.status)
        unsafe line.put(",\"bytesReceived\":")
        unsafe line.put(decimal: record.received)
        unsafe line.put(",\"bytesSent\":")
        unsafe line.put(decimal: record.sent)
        unsafe line.put(",\"durationUs\":")
        unsafe line.put(decimal: record.microseconds)
        unsafe line.put(UInt8(ascii: "}"))
    }

    /// Where the milliseconds stand after `{"timestamp":"2026-01-02T03:04:05.`.
    private static let millisecondsAt = 34

    /// The common log format, then duration, route and id in place of referrer and agent.
    @unsafe @inline(__always)
    private func writeText(
        _ record: AccessRecord, _ method: Span<UInt8>, _ path: Span<UInt8>, _ query: Span<UInt8>,
        _ requestID: Span<UInt8>, _ remote: Span<UInt8>, _ route: Span<UInt8>, to line: inout LineCursor
    ) {
        if remote.isEmpty { unsafe line.put(UInt8(ascii: "-")) } else { unsafe line.put(escaping: remote) }
        unsafe line.put(stamp)
        unsafe line.put(escaping: method)
        unsafe line.put(UInt8(ascii: " "))
        unsafe line.put(escaping: path)
        if !query.isEmpty {
            unsafe line.put(UInt8(ascii: "?"))
            unsafe line.put(escaping: query)
        }
        unsafe line.put(" HTTP/1.")
        unsafe line.put(decimal: record.minorVersion)
        unsafe line.put("\" ")
        unsafe line.put(decimal: record.status)
        unsafe line.put(UInt8(ascii: " "))
        unsafe line.put(decimal: record.sent)
        unsafe line.put(UInt8(ascii: " "))
        unsafe line.put(decimal: record.microseconds)
        unsafe line.put("us ")
        if route.isEmpty { unsafe line.put(UInt8(ascii: "-")) } else { unsafe line.put(escaping: route) }
        unsafe line.put(UInt8(ascii: " "))
        if requestID.isEmpty { unsafe line.put(UInt8(ascii: "-")) } else { unsafe line.put(escaping: requestID) }
    }
}
