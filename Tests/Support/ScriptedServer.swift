import GatewayLocks
package import GatewayRuntime
import Glibc

/// A server on this machine that does to the byte what a test says: one thread for each connection, with blocking sockets.
package final class ScriptedServer: Sendable {
    package let address: SocketAddress
    private let listener: CInt
    private let count = Guarded(0)

    /// - Parameter script: Called for each connection with its number, from zero. What it throws ends the connection.
    package init(_ script: @escaping @Sendable (ScriptedPeer, Int) throws -> Void) throws {
        let listener = try Socket.listen(on: .loopback(port: 0), backlog: 64)
        _ = fcntl(listener, F_SETFL, fcntl(listener, F_GETFL, 0) & ~O_NONBLOCK)
        guard let address = Socket.localAddress(of: listener) else { throw ScriptedPeer.Gone() }
        self.listener = listener
        self.address = address
        let count = count
        Threads.start("scripted server") {
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { break }
                let number = count.withLock { count in
                    defer { count += 1 }
                    return count
                }
                Threads.start("scripted peer") {
                    let peer = ScriptedPeer(connection)
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
    package var accepted: Int { count.withLock { $0 } }

    package func url(_ path: String = "/") -> String { "http://\(address)\(path)" }
    package func url(host: String, _ path: String = "/") -> String { "http://\(host):\(address.port)\(path)" }
}

/// The server's end of one connection. No call blocks longer than 50 seconds.
package final class ScriptedPeer {
    package struct Gone: Error {
        package init() {}
    }

    /// Told of each request head that is read.
    package var onHead: (String) -> Void = { _ in }

    private var descriptor: CInt
    private var pending: [UInt8] = []

    /// - Parameter descriptor: Blocking, and from now on the peer's to close.
    package init(_ descriptor: CInt) {
        self.descriptor = descriptor
        var patience = timeval(tv_sec: 50, tv_usec: 0)
        for name in [SO_RCVTIMEO, SO_SNDTIMEO] {
            _ = unsafe setsockopt(descriptor, SOL_SOCKET, name, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        var on: CInt = 1
        _ = unsafe setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
    }

    deinit { close() }

    // MARK: Reading

    private func fill() throws {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else { throw Gone() }
        pending.append(contentsOf: chunk[..<count])
    }

    /// The next request head, with its empty line.
    package func readHead() throws -> String {
        let head = String(decoding: try read(through: "\r\n\r\n"), as: UTF8.self)
        onHead(head)
        return head
    }

    package func read(_ count: Int) throws -> [UInt8] {
        while pending.count < count { try fill() }
        defer { pending.removeFirst(count) }
        return Array(pending[..<count])
    }

    /// Everything up to and with `end`.
    package func read(through end: String) throws -> [UInt8] {
        let mark = Array(end.utf8)
        while true {
            if let found = pending.indices.first(where: { pending[$0...].starts(with: mark) }) {
                return try read(found + mark.count)
            }
            try fill()
        }
    }

    /// Everything up to the client's end, or its reset.
    package func readToEnd() -> [UInt8] {
        while (try? fill()) != nil {}
        return pending
    }

    /// Waits for the client to go.
    ///
    /// - Returns: Whether it ended in order; `false` when it reset the connection.
    package func waitForEnd() -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
            if count <= 0 { return count == 0 }
        }
    }

    // MARK: Writing

    package func write(_ text: String) throws { try write(Array(text.utf8)) }

    package func write(_ bytes: [UInt8]) throws {
        var done = 0
        while done < bytes.count {
            let rest = Array(bytes[done...])
            let count = unsafe send(descriptor, rest, rest.count, Int32(MSG_NOSIGNAL))
            guard count > 0 else { throw Gone() }
            done += count
        }
    }

    /// As many packets as the network makes of it.
    package func writeByteByByte(_ text: String) throws { for byte in text.utf8 { try write([byte]) } }

    package func answer(_ body: String, extra: String = "") throws {
        try write("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\(extra)\r\n\(body)")
    }

    // MARK: Ending

    package func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    package func reset() {
        Socket.resetOnClose(descriptor)
        close()
    }

    package func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }
}
