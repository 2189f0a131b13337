internal import COpenSSL

/// OpenSSL as a whole.
package enum TLSLibrary {
    /// Has OpenSSL stay as it is until the process is gone. Call it before anything else of OpenSSL's, once.
    ///
    /// Left to itself it takes itself apart within `exit`, while loops and workers may still be using it, and forgets
    /// what it keeps for each of their threads.
    package static func stayUntilTheEnd() { OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_ATEXIT), nil) }
}
