/// What a socket says and how a reply to it is judged. One value serves all sockets of a run; what it has to remember of
/// one socket is in a ``Progress``.
protocol Exchange {
    /// Sent once after connecting; empty when there is no handshake.
    var opening: [UInt8] { get }

    /// The bytes of one operation.
    var request: [UInt8] { get }

    /// Reads the answer to ``opening``.
    ///
    /// - Returns: Its length, or `nil` when it is not complete.
    /// - Throws: When the server did not agree to what was asked.
    func accept(_ input: Span<UInt8>) throws(Fault) -> Int?

    /// Reads the next thing the server said. Nothing is consumed by halves, but for bodies that are longer than a buffer.
    mutating func digest(_ input: Span<UInt8>, _ progress: inout Progress) throws(Fault) -> Event

    /// Facts for the report that only the protocol knows.
    var facts: [(String, Int)] { get }
}

/// How much of a reply has been read and found right.
struct Progress {
    var isInBody = false
    var bodyRead = 0
    var bodyLeft = 0
}

enum Event {
    case incomplete
    /// A piece of a reply that goes on; right so far.
    case part(byteCount: Int)
    /// The right reply to ``Exchange/request``, or the rest of it.
    case reply(byteCount: Int)
    /// Something besides replies, with what must be sent back at once (may be empty).
    case aside(byteCount: Int, answer: [UInt8])
}

/// The same fixed HTTP/1.1 request again and again on a kept-alive connection.
struct HTTPExchange: Exchange {
    let request: [UInt8]
    /// What every body must be; `nil` takes any body of the declared length.
    let expectedBody: ExpectedBody?
    let opening: [UInt8] = []
    private(set) var lastReplyLength = 0

    init(method: String, path: String, headers: [String], expectedBody: ExpectedBody?) {
        let lines = ["\(method) \(path) HTTP/1.1"] + headers + ["", ""]
        request = Array(lines.joined(separator: "\r\n").utf8)
        self.expectedBody = expectedBody
    }

    func accept(_ input: Span<UInt8>) throws(Fault) -> Int? { 0 }

    mutating func digest(_ input: Span<UInt8>, _ progress: inout Progress) throws(Fault) -> Event {
        var start = 0
        if !progress.isInBody {
            guard let head = try ReplyHead.parse(input) else { return .incomplete }
            progress = try begin(head)
            start = head.byteCount
        }
        let end = start + min(progress.bodyLeft, input.count - start)
        if let expectedBody, !expectedBody.matches(input.extracting(start..<end), at: progress.bodyRead) {
            throw Fault("a body of \(progress.bodyRead + progress.bodyLeft) bytes is not the expected one")
        }
        progress.bodyRead += end - start
        progress.bodyLeft -= end - start
        guard progress.bodyLeft == 0 else { return .part(byteCount: end) }
        progress = Progress()
        return .reply(byteCount: end)
    }

    private mutating func begin(_ head: ReplyHead) throws(Fault) -> Progress {
        guard head.status == 200 else { throw Fault("status \(head.status) instead of 200") }
        guard let length = head.contentLength else { throw Fault("a reply has no Content-Length") }
        if let expectedBody, length != expectedBody.length {
            throw Fault("a body of \(length) bytes is not the expected one")
        }
        lastReplyLength = head.byteCount + length
        return Progress(isInBody: true, bodyRead: 0, bodyLeft: length)
    }

    var facts: [(String, Int)] { [("requestBytes", request.count), ("replyBytes", lastReplyLength)] }
}
