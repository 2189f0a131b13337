internal import COpenSSL
import GatewayBytes

/// PEM text in memory, wiped when it goes out of scope: it may hold a private key.
@safe struct PEM: ~Copyable {
    /// The file's path, or words that say it came from memory; for errors.
    let source: String
    private let storage: UnsafeMutableRawBufferPointer
    private let count: Int

    private init(source: String, owning storage: UnsafeMutableRawBufferPointer, count: Int) {
        self.source = source
        unsafe self.storage = storage
        self.count = count
    }

    /// Copies `bytes`.
    init(_ bytes: [UInt8], source: String) {
        let storage = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 1)
        unsafe storage.copyBytes(from: bytes)
        unsafe self.init(source: source, owning: storage, count: bytes.count)
    }

    /// The same for bytes that are only lent.
    init(_ bytes: UnsafeRawBufferPointer, source: String) {
        let storage = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 1)
        unsafe storage.copyMemory(from: bytes)
        unsafe self.init(source: source, owning: storage, count: bytes.count)
    }

    deinit {
        unsafe OPENSSL_cleanse(storage.baseAddress, storage.count)
        unsafe storage.deallocate()
    }

    /// Reads a whole file, but not past `limit`: the path may name a device.
    static func read(file path: String, limit: ByteCount) throws(TLSCertificateError) -> PEM {
        LibraryErrors.clear()
        guard let file = unsafe Handle(BIO_new_file(path, "r"), freeing: BIO_free_all) else {
            throw .unreadable(source: path, reason: LibraryErrors.takeReason())
        }
        // One byte over the limit tells a full file from one that is too large. Untouched pages cost nothing.
        let room = limit.bytes + 1
        let storage = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
        var count = 0
        var last: CInt = 1
        while last > 0, count < room {
            let free = unsafe UnsafeMutableRawBufferPointer(rebasing: storage[count...])
            last = unsafe BIO_read(file.pointer, free.baseAddress, CInt(clamping: free.count))
            count += Int(max(last, 0))
        }
        let pem = unsafe PEM(source: path, owning: storage, count: count)
        if last < 0 { throw .unreadable(source: path, reason: LibraryErrors.takeReason()) }
        if count == room { throw .tooLarge(source: path, limit: limit) }
        return pem
    }

    /// Every certificate, in order. Blocks of another kind (a key in the same file) are skipped.
    func certificates(atMost limit: Int) throws(TLSCertificateError) -> CertificateList {
        let input = try reader()
        let list = CertificateList()
        LibraryErrors.clear()
        while let certificate = unsafe PEM_read_bio_X509(input.pointer, nil, nil, nil) {
            unsafe list.adopt(certificate)
            if list.count > limit { throw .tooManyCertificates(source: source, limit: limit) }
        }
        let code = LibraryErrors.take(preferring: ERR_LIB_PEM)
        guard ERR_GET_LIB(code) == ERR_LIB_PEM, ERR_GET_REASON(code) == PEM_R_NO_START_LINE else {
            let reason = LibraryErrors.reason(of: code)
            throw .malformedCertificate(source: source, position: list.count + 1, reason: reason)
        }
        if list.count > 0 { return list }
        if contains("-----BEGIN ") { throw .emptyChain(source: source) }
        throw .notPEM(source: source)
    }

    /// The first private key: PKCS#8, or the traditional RSA and EC forms.
    func privateKey() throws(TLSCertificateError) -> Handle {
        let input = try reader()
        var isEncrypted = false
        LibraryErrors.clear()
        // OpenSSL asks for a pass phrase only if there is something to decrypt; the answer is always no.
        let key = unsafe withUnsafeMutablePointer(to: &isEncrypted) { asked in
            unsafe PEM_read_bio_PrivateKey(
                input.pointer, nil,
                { _, _, _, asked in
                    unsafe asked?.assumingMemoryBound(to: Bool.self).pointee = true
                    return -1
                }, asked)
        }
        if let key = unsafe Handle(key, freeing: EVP_PKEY_free) { return key }
        let reason = LibraryErrors.takeReason()
        if isEncrypted { throw .encryptedKey(source: source) }
        if contains("PRIVATE KEY-----") { throw .malformedKey(source: source, reason: reason) }
        if contains("-----BEGIN ") { throw .noPrivateKey(source: source) }
        throw .notPEM(source: source)
    }

    /// Copies everything, if that is exactly as much as `room` holds.
    func copy(into room: UnsafeMutableRawBufferPointer) -> Bool {
        guard count == room.count else { return false }
        unsafe room.copyMemory(from: UnsafeRawBufferPointer(rebasing: storage[..<count]))
        return true
    }

    /// A reader over ``storage`` itself; it must not outlive this value.
    private func reader() throws(TLSCertificateError) -> Handle {
        let bio = unsafe BIO_new_mem_buf(storage.baseAddress, CInt(clamping: count))
        guard let input = unsafe Handle(bio, freeing: BIO_free_all) else {
            throw .library(LibraryErrors.takeReason())
        }
        return input
    }

    private func contains(_ text: StaticString) -> Bool {
        let wanted = unsafe UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        let bytes = unsafe UnsafeRawBufferPointer(storage)
        guard count >= wanted.count else { return false }
        return (0...(count - wanted.count)).contains { start in
            unsafe bytes[start] == wanted[0] && bytes[start..<(start + wanted.count)].elementsEqual(wanted)
        }
    }
}
