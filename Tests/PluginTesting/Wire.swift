import Glibc

/// An answer as a client sees it.
package struct Reply: Sendable {
    /// The status line and the fields.
    package let head: String
    package let status: Int
    package var body: [UInt8] = []

    init(head: String) {
        self.head = head
        status = Int(head.split(separator: " ").dropFirst().first ?? "") ?? 0
    }

    package var text: String { String(decoding: body, as: UTF8.self) }

    /// The loop that answered; `nil` for errors.
    package var loop: String? { self["x-loop"] }

    /// The first value of a field, whose name is given in lower case.
    package subscript(name: String) -> String? {
        for line in head.split(separator: "\r\n") where line.lowercased().hasPrefix("\(name): ") {
            return String(line.dropFirst(name.utf8.count + 2))
        }
        return nil
    }
}

/// A request that was sent, and as much of its answer as was read. Calls block, twenty seconds at most.
package final class Asked {
    private let wire: Wire

    init(wire: Wire) { self.wire = wire }

    /// Sends more of its body.
    package func send(_ text: String) throws { try wire.send(Array(text.utf8)) }

    package func readHead() throws -> Reply { try wire.readHead() }

    /// Exactly `count` bytes, or fewer at the end of the connection.
    package func read(_ count: Int) throws -> [UInt8] { try wire.read(count) }

    /// Everything up to the end of the connection, chunks and their framing as they came.
    package func readToEnd() throws -> [UInt8] { try wire.readToEnd() }
}

/// A TCP connection to this machine. Calls block, twenty seconds at most.
final class Wire {
    /// The connection could not be made, broke or fell silent.
    struct Broken: Error { let step: String }

    private let descriptor: Int32
    private var buffered: [UInt8] = []

    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw Broken(step: "connect") }
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) throws {
        var done = 0
        while done < bytes.count {
            let rest = Array(bytes[done...])
            let count = unsafe Glibc.send(descriptor, rest, rest.count, Int32(MSG_NOSIGNAL))
            guard count > 0 else { throw Broken(step: "send") }
            done += count
        }
    }

    /// At least one more byte in `buffered`; `false` at the end.
    private func fill() throws -> Bool {
        var room = [UInt8](repeating: 0, count: 65536)
        let count = unsafe recv(descriptor, &room, room.count, 0)
        guard count >= 0 else { throw Broken(step: "receive") }
        buffered += room[..<count]
        return count > 0
    }

    /// Exactly `count` bytes, or fewer at the end of the connection.
    func read(_ count: Int) throws -> [UInt8] {
        while buffered.count < count, try fill() {}
        let bytes = Array(buffered.prefix(count))
        buffered.removeFirst(bytes.count)
        return bytes
    }

    /// Everything up to the end of the connection, chunks and their framing as they came.
    func readToEnd() throws -> [UInt8] {
        while try fill() {}
        defer { buffered = [] }
        return buffered
    }

    /// The head of an answer.
    func readHead() throws -> Reply {
        var head: [UInt8] = []
        while !head.suffix(4).elementsEqual([13, 10, 13, 10]) {
            let byte = try read(1)
            guard !byte.isEmpty else { throw Broken(step: "head") }
            head += byte
        }
        return Reply(head: String(decoding: head, as: UTF8.self))
    }
}
