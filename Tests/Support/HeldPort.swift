import Glibc

/// A port of the loopback address that nobody else is given, for a server that is started again on it.
///
/// Bound, and never listened on: Linux lets servers bind it too, which set SO_REUSEADDR as this does, one after another.
package final class HeldPort: Sendable {
    package struct None: Error {}

    package let number: UInt16
    private let descriptor: CInt

    package init() throws(None) {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var one: CInt = 1
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<CInt>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let status = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                unsafe bind(descriptor, raw, size) == 0 ? unsafe getsockname(descriptor, raw, &size) : -1
            }
        }
        number = UInt16(bigEndian: address.sin_port)
        guard status == 0 else { throw None() }
    }

    deinit { _ = close(descriptor) }
}
