import CLinux
import Glibc

/// What a system call said when it failed: the call's name and `errno`.
package struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    package let call: StaticString
    package let code: CInt

    package init(_ call: StaticString, code: CInt) {
        self.call = call
        self.code = code
    }

    /// Reads `errno`: make it right after the call that failed.
    init(_ call: StaticString) { self.init(call, code: errno) }

    package static func == (left: SystemError, right: SystemError) -> Bool { left.code == right.code }

    /// The message of strerror(3), such as `address already in use`.
    package var reason: String {
        var text = [CChar](repeating: 0, count: 128)
        guard unsafe strerror_r(code, &text, text.count) == 0 else { return "error \(code)" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).lowercased()
    }

    package var description: String { "\(call): \(reason)" }

    package var isAddressInUse: Bool { code == EADDRINUSE }
    package var isPermissionDenied: Bool { code == EACCES || code == EPERM }
    package var isAddressUnavailable: Bool { code == EADDRNOTAVAIL }
    /// The peer had finished sending in order before it reset the connection.
    package var isBrokenPipe: Bool { code == EPIPE }
    package var isConnectionRefused: Bool { code == ECONNREFUSED }
    package var isOutOfDescriptors: Bool { code == EMFILE || code == ENFILE }
}
