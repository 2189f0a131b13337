import GatewayAuth
import GatewayBytes
import GatewayLocks
import GatewayRuntime
import Glibc
import PluginKit

/// Keys for tests only, made for this file. Never use them for anything else.
enum IssuerKeys {
    static let firstPrivate = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgSwVgimMlneqaoA6Y
        7TfM/oOz4aT+LY+e5yZAFZEkqS6hRANCAASf9TU2wrgKx6MDiLgYFLeVC642v//f
        ZzVBa882NsQOJW5FfjLNOrLtw9iuG8YSvIemWZ56M7kfdieymyGINFXy
        -----END PRIVATE KEY-----
        """

    static let secondPrivate = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg7dHR9xNYXSSFNs9G
        jsJKru5bblsK4Yjm8tz8Mz0ajUihRANCAASmahDhVzDnLN3XYccG4H/cCF8W3Fwe
        MYfwp1MakZFd/Ux+C8R/0KMuPnoH1r0NOIIjZZ8Du2pCulsVeDowG4PU
        -----END PRIVATE KEY-----
        """

    /// The public halves as an issuer publishes them.
    static let first = published(
        "one", "n_U1NsK4CsejA4i4GBS3lQuuNr__32c1QWvPNjbEDiU", "bkV-Ms06su3D2K4bxhK8h6ZZnnozuR92J7KbIYg0VfI")
    static let second = published(
        "two", "pmoQ4Vcw5yzd12HHBuB_3AhfFtxcHjGH8KdTGpGRXf0", "TH4LxH_Qoy4-egfWvQ04giNlnwO7akK6WxV4OjAbg9Q")

    private static func published(_ id: String, _ x: String, _ y: String) -> String {
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"use\":\"sig\",\"alg\":\"ES256\",\"kid\":\"\(id)\",\"x\":\"\(x)\",\"y\":\"\(y)\"}"
    }
}

/// An issuer of tokens: a server of its own that publishes keys, and counts who asks for them.
final class Issuer: Sendable {
    let port: UInt16
    private let listener: Int32
    private struct State {
        var keys: [String] = []
        var asked: [String: Int] = [:]
        var isDown = false
    }
    private let state = Guarded(State())

    init(keys: [String], port wanted: UInt16 = 0) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        listener = descriptor
        var one: Int32 = 1
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = wanted.bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                guard unsafe bind(descriptor, raw, size) == 0, listen(descriptor, 64) == 0 else { return Int32(-1) }
                return unsafe getsockname(descriptor, raw, &size)
            }
        }
        guard status == 0 else { throw Client.Unreachable() }
        port = UInt16(bigEndian: address.sin_port)
        state.withLock { $0.keys = keys }
        Threads.start("issuer") { [self] in serve() }
    }

    var url: String { "http://127.0.0.1:\(port)" }

    func publish(_ keys: [String]) { state.withLock { $0.keys = keys } }

    /// How often a path was asked for.
    func asked(_ path: String) -> Int { state.withLock { $0.asked[path] ?? 0 } }

    /// From here on connections are closed without an answer.
    func goDown() { state.withLock { $0.isDown = true } }

    private func serve() {
        while true {
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { return }
            if let answer = answer(to: head(of: connection)) {
                let bytes = Array(answer.utf8)
                _ = unsafe send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            }
            close(connection)
        }
    }

    private func head(of connection: Int32) -> String {
        var bytes: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 4096)
        while !bytes.suffix(4).elementsEqual("\r\n\r\n".utf8) {
            let count = unsafe recv(connection, &room, room.count, 0)
            guard count > 0 else { break }
            bytes += room[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func answer(to head: String) -> String? {
        let path = head.split(separator: " ").dropFirst().first.map(String.init) ?? ""
        return state.withLock { state in
            if state.isDown { return nil }
            state.asked[path, default: 0] += 1
            switch path {
            case "/.well-known/openid-configuration":
                return Self.answer("200 OK", "{\"issuer\":\"\(url)\",\"jwks_uri\":\"\(url)/keys\"}")
            case "/keys": return Self.answer("200 OK", "{\"keys\":[\(state.keys.joined(separator: ","))]}")
            default: return Self.answer("404 Not Found", "nothing")
            }
        }
    }

    private static func answer(_ status: String, _ body: String) -> String {
        "HTTP/1.1 \(status)\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    /// A token signed by one of the private keys.
    func token(_ keyID: String, _ privateKey: String, subject: String = "somebody") throws -> String {
        try TokenMint(privateKeyPEM: Secret(privateKey), keyID: keyID).mint(
            subject: subject, issuer: url, audience: [TestGateway.audience], now: TestGateway.now, lifetime: 600)
    }
}
