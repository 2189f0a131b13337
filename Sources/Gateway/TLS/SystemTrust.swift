internal import COpenSSL
import GatewayLocks

/// The certificates that this machine trusts, each read by the first handshake that needs it: from its small file, where a
/// directory has one for each issuer (`openssl rehash`), else with the whole bundle.
///
/// OpenSSL's own defaults are the same places, but it reads the bundle at once: Debian's 140 certificates were more than
/// half of the time to start, 29 ms of 52, and a mebibyte, where an upstream needs one.
struct SystemTrust {
    /// Several are separated by colons.
    let directory: String
    /// A PEM file.
    let bundle: String

    /// Where SSL_CERT_DIR and SSL_CERT_FILE point; else where OpenSSL was built to look.
    static func standard() -> SystemTrust {
        unsafe SystemTrust(
            directory: place(X509_get_default_cert_dir_env(), orElse: X509_get_default_cert_dir()),
            bundle: place(X509_get_default_cert_file_env(), orElse: X509_get_default_cert_file()))
    }

    private static func place(_ variable: UnsafePointer<CChar>, orElse standard: UnsafePointer<CChar>) -> String {
        unsafe String(cString: secure_getenv(variable).map { unsafe UnsafePointer($0) } ?? standard)
    }

    /// Does not touch the disk.
    ///
    /// - Returns: `false` for want of memory.
    func add(to store: OpaquePointer) -> Bool {
        guard let files = unsafe X509_STORE_add_lookup(store, X509_LOOKUP_hash_dir()),
            unsafe X509_LOOKUP_ctrl(files, X509_L_ADD_DIR, directory, Int(X509_FILETYPE_PEM), nil) == 1,
            let method = unsafe TrustBundle.method, let lookup = unsafe X509_STORE_add_lookup(store, method)
        else { return false }
        let data = unsafe Unmanaged.passRetained(TrustBundle(bundle)).toOpaque()
        return unsafe X509_LOOKUP_set_method_data(lookup, data) == 1
    }
}

/// A file that is read when an issuer is asked for, of which nobody else knows.
///
/// Any thread that shakes hands may ask; whoever asks meanwhile waits for the reading.
private final class TrustBundle: Sendable {
    private let path: String
    private let isRead = Guarded(false)

    init(_ path: String) { self.path = path }

    // Safe: complete before anybody sees it, and never changed.
    nonisolated(unsafe) static let method: OpaquePointer? = {
        guard let method = unsafe X509_LOOKUP_meth_new("bundle") else { return nil }
        unsafe X509_LOOKUP_meth_set_get_by_subject(method) { lookup, type, name, found in
            guard let lookup = unsafe lookup, let name = unsafe name, let found = unsafe found, type == X509_LU_X509,
                let data = unsafe X509_LOOKUP_get_method_data(lookup), let store = unsafe X509_LOOKUP_get_store(lookup)
            else { return 0 }
            unsafe Unmanaged<TrustBundle>.fromOpaque(data).takeUnretainedValue().read(with: lookup)
            return unsafe TrustBundle.find(name, in: store, found)
        }
        unsafe X509_LOOKUP_meth_set_free(method) { lookup in
            guard let data = unsafe X509_LOOKUP_get_method_data(lookup) else { return }
            unsafe Unmanaged<TrustBundle>.fromOpaque(data).release()
        }
        return unsafe method
    }()

    /// A file that holds nothing, or is not there, is looked at again by the next.
    private func read(with lookup: OpaquePointer) {
        isRead.withLock { isRead in
            if isRead { return }
            // What is wrong with the file is not what is wrong with the handshake.
            ERR_set_mark()
            isRead = unsafe X509_load_cert_file(lookup, path, X509_FILETYPE_PEM) > 0
            ERR_pop_to_mark()
        }
    }

    private static func find(_ name: OpaquePointer, in store: OpaquePointer, _ found: OpaquePointer) -> CInt {
        guard unsafe X509_STORE_lock(store) == 1 else { return 0 }
        defer { unsafe X509_STORE_unlock(store) }
        let objects = unsafe X509_STORE_get0_objects(store)
        guard let object = unsafe X509_OBJECT_retrieve_by_subject(objects, X509_LU_X509, name),
            let certificate = unsafe X509_OBJECT_get0_X509(object),
            unsafe X509_OBJECT_set1_X509(found, certificate) == 1
        else { return 0 }
        // Whoever asked lends from the store, and takes a reference of its own.
        unsafe X509_free(certificate)
        return 1
    }
}
