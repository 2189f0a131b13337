import GatewayTLS
import Glibc
import Testing

/// A connection that sends what it is told, broken or not, and blocks until answers come.
final class Client {
    struct TimedOut: Error {}
    /// The server reset the connection.
    struct Reset: Error {}
    struct Unreachable: Error {}

    private let descriptor: Int32
    /// Lives as long as its client.
    var gateway: TestGateway?
    private var cipher: TLSSession?
    private var buffered: [UInt8] = []
    private var isAtEnd = false

    /// Generous: only a hanging server lets it pass.
    private static let patience: Int32 = 20_000

    init(port: UInt16, isSecure: Bool = false, receiveBuffer: Int32? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBuffer {
            _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
        }
        var one: Int32 = 1
        _ = unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw Unreachable() }
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        if isSecure { try shakeHands() }
    }

    deinit {
        cipher = nil
        Glibc.close(descriptor)
    }

    private static let context = Result { try TLSClientContext.make(verification: .none) }

    private func shakeHands() throws {
        let session = try Self.context.get().session(on: descriptor, host: "localhost")
        while true {
            switch session.handshake() {
            case .complete:
                cipher = session
                return
            case .wantRead: try wait(for: POLLIN)
            case .wantWrite: try wait(for: POLLOUT)
            case .failed(let error): throw error
            }
        }
    }

    /// DNS names of the server's certificate.
    var peerNames: [String] { cipher?.peerCertificate?.dnsNames ?? [] }

    private func wait(for events: Int32) throws {
        var waiting = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        guard unsafe poll(&waiting, 1, Self.patience) > 0 else { throw TimedOut() }
    }

    // MARK: Output

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var done = 0
        while done < bytes.count {
            let sent = try sendOnce(Array(bytes[done...]))
            if sent == 0 { try wait(for: POLLOUT) }
            done += sent
        }
    }

    /// Sends as long as the connection takes anything at once; returns how much it took.
    func sendUntilFull(_ bytes: [UInt8], attempts: Int) throws -> Int {
        var done = 0
        for _ in 0..<attempts {
            let sent = try sendOnce(bytes)
            if sent == 0 { break }
            done += sent
        }
        return done
    }

    private func sendOnce(_ bytes: [UInt8]) throws -> Int {
        if let cipher {
            let outcome = unsafe bytes.withUnsafeBytes { unsafe cipher.write($0) }
            switch outcome {
            case .bytes(let count): return count
            case .wantRead, .wantWrite: return 0
            case .closedDirty: throw Reset()
            case .failed(let error): throw error
            }
        }
        let count = unsafe Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        if count >= 0 { return count }
        if errno == EAGAIN { return 0 }
        throw Reset()
    }

    /// Tells the server that nothing more comes.
    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes with a reset, as a process that died does.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    // MARK: Input

    /// At least one more byte in `buffered`; `false` at the end.
    private func fill() throws -> Bool {
        guard !isAtEnd else { return false }
        var room = [UInt8](repeating: 0, count: 65536)
        while true {
            if let cipher {
                let outcome = unsafe room.withUnsafeMutableBytes { unsafe cipher.read(into: $0) }
                switch outcome {
                case .bytes(let count):
                    buffered += room[..<count]
                    return true
                case .wantRead: try wait(for: POLLIN)
                case .wantWrite: try wait(for: POLLOUT)
                case .closed:
                    isAtEnd = true
                    finishSending()
                    return false
                case .closedDirty: throw Reset()
                case .failed(let error): throw error
                }
                continue
            }
            let count = unsafe recv(descriptor, &room, room.count, 0)
            if count > 0 {
                buffered += room[..<count]
                return true
            }
            if count == 0 {
                isAtEnd = true
                finishSending()
                return false
            }
            guard errno == EAGAIN else { throw Reset() }
            try wait(for: POLLIN)
        }
    }

    /// Exactly `count` bytes, or fewer at the end of the connection.
    func read(_ count: Int) throws -> [UInt8] {
        while buffered.count < count, try fill() {}
        let bytes = Array(buffered.prefix(count))
        buffered.removeFirst(bytes.count)
        return bytes
    }

    /// Everything up to the end of the connection.
    func readToEnd() throws -> [UInt8] {
        while try fill() {}
        defer { buffered = [] }
        return buffered
    }

    /// Up to and with `mark`, or what there was when the connection ended.
    func read(through mark: String) throws -> [UInt8] {
        let mark = Array(mark.utf8)
        var searched = 0
        while true {
            if let end = Self.find(mark, in: buffered, from: searched) {
                let bytes = Array(buffered[..<end])
                buffered.removeFirst(end)
                return bytes
            }
            searched = max(0, buffered.count - mark.count)
            guard try fill() else {
                defer { buffered = [] }
                return buffered
            }
        }
    }

    private static func find(_ mark: [UInt8], in bytes: [UInt8], from: Int) -> Int? {
        guard bytes.count >= mark.count else { return nil }
        var place = from
        while place + mark.count <= bytes.count {
            if bytes[place..<place + mark.count].elementsEqual(mark) { return place + mark.count }
            place += 1
        }
        return nil
    }

    /// Whether the server ends the connection in order, without another byte.
    func isEnded() throws -> Bool { try readToEnd().isEmpty }

    /// The next response, read as its framing says.
    func answer(toHEAD: Bool = false) throws -> Answer {
        let head = String(decoding: try read(through: "\r\n\r\n"), as: UTF8.self)
        var answer = try Answer(head: head)
        guard !toHEAD, answer.mayHaveBody else { return answer }
        if answer["transfer-encoding"] == "chunked" {
            try readChunks(into: &answer)
        } else if let length = answer["content-length"].flatMap({ Int($0) }) {
            answer.body = try read(length)
            answer.isWhole = answer.body.count == length
        } else {
            answer.body = try readToEnd()
        }
        return answer
    }

    private func readChunks(into answer: inout Answer) throws {
        while true {
            let line = String(decoding: try read(through: "\r\n").dropLast(2), as: UTF8.self)
            guard let size = Int(line, radix: 16) else {
                answer.isWhole = false
                return
            }
            if size == 0 {
                answer.trailers = String(decoding: try read(through: "\r\n"), as: UTF8.self)
                if answer.trailers != "\r\n" { answer.trailers += String(decoding: try read(2), as: UTF8.self) }
                return
            }
            let chunk = try read(size + 2)
            guard chunk.count == size + 2 else {
                answer.isWhole = false
                return
            }
            answer.body += chunk.dropLast(2)
        }
    }
}

/// A response as a client sees it.
struct Answer {
    struct Malformed: Error { let head: String }

    let head: String
    let status: Int
    private var fields: [(name: String, value: String)] = []
    var body: [UInt8] = []
    var trailers = ""
    /// Whether all came that the framing promised.
    var isWhole = true

    init(head: String) throws {
        self.head = head
        let lines = head.split(separator: "\r\n")
        guard let first = lines.first, first.hasPrefix("HTTP/1.1 "), head.hasSuffix("\r\n\r\n"),
            let status = Int(first.dropFirst(9).prefix(3))
        else { throw Malformed(head: head) }
        self.status = status
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            fields.append((parts[0].lowercased(), parts.count > 1 ? parts[1].trimmed : ""))
        }
    }

    var text: String { String(decoding: body, as: UTF8.self) }
    var mayHaveBody: Bool { status >= 200 && status != 204 && status != 304 }

    subscript(name: String) -> String? { fields.first { $0.name == name }?.value }
    func values(of name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

    /// The word for programs in an error.
    var code: String? {
        let parts = text.split(separator: "\"code\":\"", maxSplits: 1)
        return parts.count == 2 ? String(parts[1].prefix { $0 != "\"" }) : nil
    }
}

extension StringProtocol {
    fileprivate var trimmed: String {
        var text = Substring(self)
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}

/// A GET of a path, on a connection that stays open.
func get(_ path: String, _ fields: String...) -> String {
    "GET \(path) HTTP/1.1\r\nHost: x\r\n\(fields.map { $0 + "\r\n" }.joined())\r\n"
}
