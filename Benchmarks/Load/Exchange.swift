/// What a socket says and how a reply to it is judged. One value serves all sockets of a run: it keeps nothing per socket.
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

    /// Reads the next thing the server said. Nothing is consumed by halves.
    mutating func digest(_ input: Span<UInt8>) throws(Fault) -> Event

    /// Facts for the report that only the protocol knows.
    var facts: [(String, Int)] { get }
}

enum Event {
    case incomplete
    /// The right reply to ``Exchange/request``.
    case reply(byteCount: Int)
    /// Something besides replies, with what must be sent back at once (may be empty).
    case aside(byteCount: Int, answer: [UInt8])
}

/// The same fixed HTTP/1.1 request again and again on a kept-alive connection.
struct HTTPExchange: Exchange {
    let request: [UInt8]
    /// What every body must be; `nil` takes any body of the declared length.
    let expectedBody: [UInt8]?
    let opening: [UInt8] = []
    private(set) var lastReplyLength = 0

    init(method: String, path: String, headers: [String], expectedBody: [UInt8]?) {
        let lines = ["\(method) \(path) HTTP/1.1"] + headers + ["", ""]
        request = Array(lines.joined(separator: "\r\n").utf8)
        self.expectedBody = expectedBody
    }

    func accept(_ input: Span<UInt8>) throws(Fault) -> Int? { 0 }

    mutating func digest(_ input: Span<UInt8>) throws(Fault) -> Event {
        guard let head = try ReplyHead.parse(input) else { return .incomplete }
        guard head.status == 200 else { throw Fault("status \(head.status) instead of 200") }
        guard let length = head.contentLength else { throw Fault("a reply has no Content-Length") }
        let end = head.byteCount + length
        guard input.count >= end else { return .incomplete }
        if let expectedBody, !areEqual(input.extracting(head.byteCount..<end), expectedBody) {
            throw Fault("a body of \(length) bytes is not the expected one")
        }
        lastReplyLength = end
        return .reply(byteCount: end)
    }

    var facts: [(String, Int)] { [("requestBytes", request.count), ("replyBytes", lastReplyLength)] }
}
