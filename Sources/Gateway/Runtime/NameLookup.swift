import CLinux
import Glibc

/// Host names to addresses, by getaddrinfo(3). Blocks: call it on a worker thread (``EventLoop/offload(_:_:)``).
package enum NameLookup {
    package struct Failure: Error, Sendable, CustomStringConvertible {
        package let description: String
        /// The name does not exist, as opposed to: nobody could be asked.
        package let isNoSuchName: Bool
    }

    /// - Returns: At least one address, in the system's order of preference (RFC 6724), without duplicates.
    package static func addresses(of host: String, port: UInt16) throws(Failure) -> [SocketAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = AF_UNSPEC
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let status = unsafe getaddrinfo(host, nil, &hints, &list)
        defer { unsafe freeaddrinfo(list) }
        guard status == 0 else {
            let reason = unsafe String(cString: gai_strerror(status))
            throw Failure(description: reason, isNoSuchName: status == EAI_NONAME)
        }
        var addresses: [SocketAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            if let address = unsafe SocketAddress(entry.pointee.ai_addr)?.with(port: port),
                !addresses.contains(address)
            {
                addresses.append(address)
            }
            unsafe next = entry.pointee.ai_next
        }
        guard !addresses.isEmpty else { throw Failure(description: "no usable address", isNoSuchName: true) }
        return addresses
    }
}
