internal import COpenSSL

/// One OpenSSL object, freed when this goes out of scope. Every pointer of this module that must be freed is in one.
@safe struct Handle: ~Copyable {
    let pointer: OpaquePointer
    private let free: @convention(c) (OpaquePointer?) -> Void

    /// Takes over `object`; `nil` when OpenSSL returned none (out of memory, or bad input: ask the error queue).
    init?(_ object: OpaquePointer?, freeing free: @convention(c) (OpaquePointer?) -> Void) {
        guard let object = unsafe object else { return nil }
        unsafe pointer = object
        unsafe self.free = free
    }

    deinit { unsafe free(pointer) }
}

/// Certificates in order, each with one reference of its own.
@safe final class CertificateList {
    private(set) var pointers = unsafe [OpaquePointer]()

    var count: Int { unsafe pointers.count }

    /// Takes over the reference the caller holds.
    func adopt(_ certificate: OpaquePointer) { unsafe pointers.append(certificate) }

    deinit { unsafe pointers.forEach { unsafe X509_free($0) } }
}

/// A growing buffer in memory that OpenSSL can print into. Its memory is wiped when it is freed.
@safe struct MemorySink: ~Copyable {
    private let handle: Handle

    init?() {
        guard let handle = unsafe Handle(BIO_new(BIO_s_mem()), freeing: BIO_free_all) else { return nil }
        self.handle = handle
    }

    var pointer: OpaquePointer { unsafe handle.pointer }

    /// Everything printed so far; the sink is empty afterwards.
    func takeBytes() -> [UInt8] {
        let size = unsafe BIO_ctrl_pending(handle.pointer)
        return unsafe [UInt8](unsafeUninitializedCapacity: size) { room, count in
            count = unsafe max(0, Int(BIO_read(handle.pointer, room.baseAddress, CInt(clamping: size))))
        }
    }
}
