import GatewayLocks
import Glibc
import Testing

@testable import GatewayRuntime

/// A server that does to the byte what a test says: one thread for each connection, with blocking sockets.
final class ScriptedServer: Sendable {
    let address: SocketAddress
    private let listener: CInt
    private let count = Counted()

    /// - Parameter script: Called for each connection with its number, from zero. What it throws ends the connection.
    init(_ script: @escaping @Sendable (Peer, Int) throws -> Void) throws {
        let listener = try Socket.listen(on: .loopback(port: 0), backlog: 64)
        _ = fcntl(listener, F_SETFL, fcntl(listener, F_GETFL, 0) & ~O_NONBLOCK)
        self.listener = listener
        address = try #require(Socket.localAddress(of: listener))
        let count = count
        Threads.start("scripted server") {
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { break }
                let number = count.next()
                Threads.start("scripted peer") {
                    let peer = Peer(connection)
                    try? script(peer, number)
                    peer.close()
                }
            }
            // Here, not by whoever stops it: this thread would go on to accept on a number that is another server's.
            close(listener)
        }
    }

    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    /// Connections so far.
    var accepted: Int { count.value }

    func url(_ path: String = "/") -> String { "http://\(address)\(path)" }
    func url(host: String, _ path: String = "/") -> String { "http://\(host):\(address.port)\(path)" }
}

/// A number that threads count up.
final class Counted: Sendable {
    private let number = Guarded(0)
    var value: Int { number.withLock { $0 } }

    /// The number before it was counted up.
    @discardableResult
    func next() -> Int {
        number.withLock {
            $0 += 1
            return $0 - 1
        }
    }
}

/// The server's end of one connection.
final class Peer {
    struct Gone: Error {}

    private var descriptor: CInt
    private var pending: [UInt8] = []

    init(_ descriptor: CInt) {
        self.descriptor = descriptor
        var patience = timeval(tv_sec: 50, tv_usec: 0)
        for name in [SO_RCVTIMEO, SO_SNDTIMEO] {
            _ = unsafe setsockopt(descriptor, SOL_SOCKET, name, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        var on: CInt = 1
        _ = unsafe setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
    }

    deinit { close() }

    private func fill() throws {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else { throw Gone() }
        pending.append(contentsOf: chunk[..<count])
    }

    /// The next request head, with its empty line.
    func readHead() throws -> String {
        while true {
            if let end = pending.indices.dropFirst(3).first(where: {
                pending[$0 - 3...$0].elementsEqual("\r\n\r\n".utf8)
            }) {
                defer { pending.removeFirst(end + 1) }
                return String(decoding: pending[...end], as: UTF8.self)
            }
            try fill()
        }
    }

    func read(_ count: Int) throws -> [UInt8] {
        while pending.count < count { try fill() }
        defer { pending.removeFirst(count) }
        return Array(pending[..<count])
    }

    /// Everything up to and with `end`.
    func read(through end: String) throws -> [UInt8] {
        let mark = Array(end.utf8)
        while true {
            if let found = pending.indices.first(where: { pending[$0...].starts(with: mark) }) {
                return try read(found + mark.count)
            }
            try fill()
        }
    }

    /// Waits for the client to go.
    ///
    /// - Returns: Whether it ended in order; `false` when it reset the connection.
    func waitForEnd() -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
            if count <= 0 { return count == 0 }
        }
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

    /// As many packets as the network makes of it.
    func writeByteByByte(_ text: String) throws { for byte in text.utf8 { try write([byte]) } }

    func answer(_ body: String, extra: String = "") throws {
        try write("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\(extra)\r\n\(body)")
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
