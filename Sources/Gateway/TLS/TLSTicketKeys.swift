internal import COpenSSL
import GatewayBytes
import GatewayLocks

/// The keys that seal session tickets (RFC 5077, RFC 8446 §4.6.1), newest first: the first seals, all open, and a ticket
/// that an older one opened is replaced by a new one.
///
/// Made once per process and given to every server context, so that a ticket from one event loop, one server name or
/// the settings before a reload resumes at any other; with the keys of files also at another replica. Whoever steals a
/// key can read recorded TLS 1.2 sessions that were resumed with it, which is why keys are rotated and then wiped. TLS
/// 1.3 adds a fresh key exchange to each resumption and is not hurt.
package final class TLSTicketKeys: Sendable {
    /// How long a client may resume, and so how long a key must open what it has sealed: 2 hours.
    package static let lifetime = Duration.seconds(7200)
    /// Most keys at once, those of files included; each costs a comparison for every ticket.
    package static let most = 16

    private struct Entry {
        let key: TicketKey
        /// When it opens tickets no longer; `nil` for the newest key and those of files.
        var end: ContinuousClock.Instant?
    }

    private let entries: Guarded<[Entry]>

    private init(_ keys: [TicketKey]) { entries = Guarded(keys.map { Entry(key: $0) }) }

    /// One key of this process's own.
    package static func generate() throws(TLSContextError) -> TLSTicketKeys { TLSTicketKeys([try .random()]) }

    /// Seals with a fresh key from now on; those before it open tickets for ``lifetime`` more.
    package func rotate(at now: ContinuousClock.Instant) throws(TLSContextError) {
        let fresh = try TicketKey.random()
        entries.withLock { entries in
            for place in entries.indices { entries[place].end = entries[place].end ?? now + Self.lifetime }
            entries.insert(Entry(key: fresh), at: 0)
            Self.drop(&entries, at: now)
        }
    }

    /// Forgets the keys whose tickets have all expired.
    package func dropExpired(at now: ContinuousClock.Instant) {
        entries.withLock { Self.drop(&$0, at: now) }
    }

    private static func drop(_ entries: inout [Entry], at now: ContinuousClock.Instant) {
        entries.removeAll { entry in entry.end.map { $0 <= now } ?? false }
        if entries.count > most { entries.removeLast(entries.count - most) }
    }

    /// Seals and opens with these keys and no others, from now on.
    package func replace(with keys: TLSTicketKeyFiles) {
        guard !keys.keys.isEmpty else { return }
        entries.withLock { $0 = keys.keys.map { Entry(key: $0) } }
    }

    var count: Int { entries.withLock { $0.count } }

    /// The key that seals.
    fileprivate var newest: TicketKey? { entries.withLock { $0.first?.key } }

    /// - Returns: The key called `name`, and whether tickets should be sealed with another by now.
    fileprivate func find(_ name: UnsafeRawBufferPointer) -> (key: TicketKey, isOld: Bool)? {
        entries.withLock { entries in
            for (place, entry) in entries.enumerated() where unsafe entry.key.isNamed(name) {
                return (entry.key, place > 0)
            }
            return nil
        }
    }
}

extension TLSTicketKeys: CustomStringConvertible {
    package var description: String { "<secret>" }
}

/// Ticket keys that somebody else makes and gives to several replicas.
package struct TLSTicketKeyFiles: Sendable {
    fileprivate let keys: [TicketKey]

    /// Reads files of 80 random bytes each, the newest key first: the format of nginx's `ssl_session_ticket_key`.
    ///
    /// Blocks on the disk: for start and reload, never on a loop.
    package static func load(_ paths: [String]) throws(TLSContextError) -> TLSTicketKeyFiles {
        guard paths.count <= TLSTicketKeys.most else {
            throw .ticketKey(source: paths[TLSTicketKeys.most], reason: "more than \(TLSTicketKeys.most) keys")
        }
        var keys: [TicketKey] = []
        for path in paths {
            let key = try TicketKey.load(path)
            guard !keys.contains(where: { $0.hasName(of: key) }) else {
                throw .ticketKey(source: path, reason: "a second key with the same name, its first 16 bytes")
            }
            keys.append(key)
        }
        return TLSTicketKeyFiles(keys: keys)
    }
}

/// One key: 16 bytes of name, 32 for HMAC-SHA256, 32 for AES-256. Wiped when nobody uses it any more.
// Safe: written only while it is made.
@safe private final class TicketKey: @unchecked Sendable {
    static let nameLength = 16
    static let length = 80
    static let wanted = "not exactly \(length) bytes; make one with: openssl rand \(length)"

    private let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: TicketKey.length, alignment: 1)

    private init() {}

    deinit {
        unsafe OPENSSL_cleanse(bytes.baseAddress, bytes.count)
        unsafe bytes.deallocate()
    }

    static func random() throws(TLSContextError) -> TicketKey {
        LibraryErrors.clear()
        let key = TicketKey()
        guard unsafe RAND_priv_bytes(key.bytes.baseAddress, CInt(length)) == 1 else {
            throw .library(LibraryErrors.takeReason())
        }
        return key
    }

    static func load(_ path: String) throws(TLSContextError) -> TicketKey {
        let key = TicketKey()
        do throws(TLSCertificateError) {
            let file = try PEM.read(file: path, limit: .bytes(length))
            if unsafe file.copy(into: key.bytes) { return key }
        } catch .unreadable(_, let reason) {
            throw .ticketKey(source: path, reason: reason)
        } catch {}
        // Too short, or too long to be read at all.
        throw .ticketKey(source: path, reason: wanted)
    }

    func isNamed(_ name: UnsafeRawBufferPointer) -> Bool { unsafe name.elementsEqual(bytes[..<Self.nameLength]) }

    func hasName(of other: TicketKey) -> Bool { unsafe isNamed(UnsafeRawBufferPointer(rebasing: other.name)) }

    private var name: Slice<UnsafeRawBufferPointer> { unsafe UnsafeRawBufferPointer(bytes)[..<Self.nameLength] }

    func writeName(to room: UnsafeMutableRawPointer) {
        if let start = unsafe bytes.baseAddress { unsafe room.copyMemory(from: start, byteCount: Self.nameLength) }
    }

    /// Sets up cipher and MAC for one ticket.
    func begin(
        _ cipher: OpaquePointer, _ mac: OpaquePointer, vector: UnsafeMutablePointer<UInt8>, sealing: Bool
    ) -> Bool {
        guard let start = unsafe bytes.baseAddress else { return false }
        let authentication = unsafe start + Self.nameLength
        let encryption = unsafe UnsafePointer((authentication + 32).assumingMemoryBound(to: UInt8.self))
        guard unsafe EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nil, encryption, vector, sealing ? 1 : 0) == 1
        else { return false }
        return unsafe cossl_begin_ticket_mac(mac, authentication, 32) == 1
    }
}

extension TLSTicketKeys {
    /// Lets `context` seal and open tickets with these keys; whoever owns the context must keep them alive.
    func serve(_ context: OpaquePointer) -> Bool {
        let argument = unsafe Unmanaged.passUnretained(self).toOpaque()
        return unsafe cossl_set_ticket_argument(context, argument) == 1
            && SSL_CTX_set_tlsext_ticket_key_evp_cb(context, useTicketKey) == 1
    }
}

/// OpenSSL's question for the key of one ticket, to seal it or to open it (SSL_CTX_set_tlsext_ticket_key_evp_cb(3)).
///
/// - Returns: 1 to go on; 2 to go on and send a new ticket; 0 for no such key, which makes the handshake a full one, or a
///   ticket that is not sent; negative to end the handshake.
private func useTicketKey(
    _ session: OpaquePointer?, _ name: UnsafeMutablePointer<UInt8>?, _ vector: UnsafeMutablePointer<UInt8>?,
    _ cipher: OpaquePointer?, _ mac: OpaquePointer?, _ isSealing: CInt
) -> CInt {
    guard let session = unsafe session, let name = unsafe name, let vector = unsafe vector,
        let cipher = unsafe cipher, let mac = unsafe mac, let argument = unsafe cossl_ticket_argument(session)
    else { return -1 }
    let keys = unsafe Unmanaged<TLSTicketKeys>.fromOpaque(argument).takeUnretainedValue()
    guard isSealing == 1 else {
        let wanted = unsafe UnsafeRawBufferPointer(start: name, count: TicketKey.nameLength)
        guard let found = unsafe keys.find(wanted) else { return 0 }
        guard unsafe found.key.begin(cipher, mac, vector: vector, sealing: false) else { return -1 }
        // A ticket of TLS 1.3 is to be used once, so that nobody can tell that two connections are one client's
        // (RFC 8446 §C.4): each use brings the next.
        return unsafe found.isOld || SSL_version(session) == TLS1_3_VERSION ? 2 : 1
    }
    guard let key = keys.newest, unsafe RAND_bytes(vector, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1,
        unsafe key.begin(cipher, mac, vector: vector, sealing: true)
    else { return -1 }
    unsafe key.writeName(to: name)
    return 1
}
