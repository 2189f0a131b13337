internal import COpenSSL

/// OpenSSL's error queue of this thread.
///
/// Emptied before every call whose failure is read from it: entries that another caller left behind would be taken
/// for this one's. OpenSSL keeps at most 16.
enum LibraryErrors {
    static func clear() { ERR_clear_error() }

    /// The first entry of `library` (an `ERR_LIB_` number), else the first of all, else 0. Empties the queue.
    static func take(preferring library: CInt = ERR_LIB_SSL) -> UInt {
        var first: UInt = 0
        var preferred: UInt = 0
        for _ in 0..<16 {
            let code = ERR_get_error()
            if code == 0 { break }
            if first == 0 { first = code }
            if preferred == 0, ERR_GET_LIB(code) == library { preferred = code }
        }
        ERR_clear_error()
        return preferred != 0 ? preferred : first
    }

    /// OpenSSL's own short words for the oldest entry, such as `bad base64 decode`. Empties the queue.
    static func takeReason() -> String { reason(of: take(preferring: -1)) }

    static func reason(of code: UInt) -> String {
        if code == 0 { return "no reason given" }
        if cossl_is_system_error(code) != 0 { return systemReason(CInt(ERR_GET_REASON(code))) }
        guard let text = unsafe ERR_reason_error_string(code) else { return "library error \(code)" }
        return unsafe String(cString: text)
    }

    /// The C library's words for an `errno`, such as `No such file or directory`.
    static func systemReason(_ number: CInt) -> String {
        guard let text = unsafe strerrordesc_np(number) else { return "system error \(number)" }
        return unsafe String(cString: text)
    }
}
