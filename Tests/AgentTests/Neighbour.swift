import GatewayLocks
import GatewayTestSupport
import Glibc
import Testing

@testable import GatewayRuntime

/// A server on this machine that does to the byte what a test says: a thread for each connection.
final class Neighbour: Sendable {
    let port: UInt16
    private let listener: CInt
    private let heads = Guarded<[String]>([])

    /// - Parameter script: Called for each connection. What it throws ends the connection.
    init(_ script: @escaping @Sendable (Talk) throws -> Void) throws {
        let listener = try Socket.listen(on: .loopback(port: 0), backlog: 64)
        _ = fcntl(listener, F_SETFL, fcntl(listener, F_GETFL, 0) & ~O_NONBLOCK)
        self.listener = listener
        port = try #require(Socket.localAddress(of: listener)?.port)
        let heads = heads
        Threads.start("neighbour") {
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                Threads.start("neighbour's") {
                    let talk = Talk(connection) { head in heads.withLock { $0.append(head) } }
                    try? script(talk)
                    talk.close()
                }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    var url: String { "http://127.0.0.1:\(port)" }

    /// The heads of all requests so far.
    var requests: [String] { heads.withLock { $0 } }

    /// Answers every request alike, and keeps the connection.
    static func answering(_ answer: String) throws -> Neighbour {
        try Neighbour { talk in
            while true {
                _ = try talk.readHead()
                try talk.write(answer)
            }
        }
    }
}

/// One connection at the neighbour's.
final class Talk {
    struct Gone: Error {}

    private var descriptor: CInt
    private var pending: [UInt8] = []
    private let note: (String) -> Void

    init(_ descriptor: CInt, _ note: @escaping (String) -> Void) {
        self.descriptor = descriptor
        self.note = note
        var patience = timeval(tv_sec: 50, tv_usec: 0)
        for name in [SO_RCVTIMEO, SO_SNDTIMEO] {
            _ = unsafe setsockopt(descriptor, SOL_SOCKET, name, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    private func fill() throws {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else { throw Gone() }
        pending.append(contentsOf: chunk[..<count])
    }

    /// The next request head, with its empty line.
    func readHead() throws -> String {
        let head = String(decoding: try read(through: "\r\n\r\n"), as: UTF8.self)
        note(head)
        return head
    }

    func read(_ count: Int) throws -> [UInt8] {
        while pending.count < count { try fill() }
        defer { pending.removeFirst(count) }
        return Array(pending[..<count])
    }

    func read(through end: String) throws -> [UInt8] {
        let mark = Array(end.utf8)
        while true {
            if let found = pending.indices.first(where: { pending[$0...].starts(with: mark) }) {
                return try read(found + mark.count)
            }
            try fill()
        }
    }

    /// Everything up to the peer's end.
    func readToEnd() -> [UInt8] {
        while (try? fill()) != nil {}
        return pending
    }

    func write(_ text: String) throws { try write(Array(text.utf8)) }

    func write(_ bytes: [UInt8]) throws {
        var done = 0
        while done < bytes.count {
            let rest = Array(bytes[done...])
            let count = unsafe send(descriptor, rest, rest.count, Int32(MSG_NOSIGNAL))
            guard count > 0 else { throw Gone() }
            done += count
        }
    }

    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    func reset() {
        Socket.resetOnClose(descriptor)
        close()
    }

    func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }
}
