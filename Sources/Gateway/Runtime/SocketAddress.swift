import CLinux
import Glibc

/// An IPv4 or IPv6 address and a port, as the kernel takes it. A value of 28 bytes.
package struct SocketAddress: Sendable, Hashable, CustomStringConvertible {
    /// Sixteen bytes of IPv6, or four of IPv4 at the front; network order.
    private let high: UInt64
    private let low: UInt64
    package let port: UInt16
    package let isIPv6: Bool

    /// - Parameter bytes: Four or sixteen, in network order; `nil` for any other count.
    package init?(bytes: [UInt8], port: UInt16) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        isIPv6 = bytes.count == 16
        self.port = port
        var words: (UInt64, UInt64) = (0, 0)
        for (place, byte) in bytes.enumerated() {
            if place < 8 {
                words.0 |= UInt64(byte) << UInt64(56 - place * 8)
            } else {
                words.1 |= UInt64(byte) << UInt64(56 - (place - 8) * 8)
            }
        }
        (high, low) = words
    }

    /// A literal IPv4 or IPv6 address, without brackets; `nil` for anything else.
    package init?(literal: String, port: UInt16) {
        // C would stop reading at a zero byte, and find an address in front of it.
        guard !literal.utf8.contains(0) else { return nil }
        var bytes = [UInt8](repeating: 0, count: 16)
        if unsafe inet_pton(AF_INET, literal, &bytes) == 1 {
            self.init(bytes: Array(bytes.prefix(4)), port: port)
        } else if unsafe inet_pton(AF_INET6, literal, &bytes) == 1 {
            self.init(bytes: bytes, port: port)
        } else {
            return nil
        }
    }

    package static func loopback(port: UInt16) -> SocketAddress {
        SocketAddress(high: 0x7F00_0001 << 32, low: 0, port: port, isIPv6: false)
    }

    package static func everyIPv4(port: UInt16) -> SocketAddress {
        SocketAddress(high: 0, low: 0, port: port, isIPv6: false)
    }

    /// 127.0.0.0/8 or ::1.
    package var isLoopback: Bool { isIPv6 ? (high == 0 && low == 1) : high >> 56 == 127 }

    private var isEvery: Bool { high == 0 && low == 0 }

    /// Whether sockets that listen on both would be asked for the same connections. `::` is every IPv4 address too.
    package func overlaps(_ other: SocketAddress) -> Bool {
        guard port == other.port, port != 0 else { return false }
        if self == other || (isEvery && isIPv6) || (other.isEvery && other.isIPv6) { return true }
        return isIPv6 == other.isIPv6 && (isEvery || other.isEvery)
    }

    private init(high: UInt64, low: UInt64, port: UInt16, isIPv6: Bool) {
        self.high = high
        self.low = low
        self.port = port
        self.isIPv6 = isIPv6
    }

    /// Four or sixteen bytes in network order.
    package var bytes: [UInt8] {
        (0..<(isIPv6 ? 16 : 4)).map { place in
            UInt8(truncatingIfNeeded: (place < 8 ? high : low) >> UInt64(56 - (place % 8) * 8))
        }
    }

    /// What one customer usually has: an IPv4 address, or the /64 of an IPv6 address.
    package var prefixKey: UInt64 { isIPv6 ? high : high | 1 }

    package func with(port: UInt16) -> SocketAddress {
        SocketAddress(high: high, low: low, port: port, isIPv6: isIPv6)
    }

    /// The address alone: `127.0.0.1`, `2001:db8::1`.
    package var host: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let size = socklen_t(text.count)
        _ = unsafe inet_ntop(isIPv6 ? AF_INET6 : AF_INET, bytes, &text, size)
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// `127.0.0.1:80`, `[2001:db8::1]:443`.
    package var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

    var family: CInt { isIPv6 ? AF_INET6 : AF_INET }

    func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        if isIPv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            unsafe withUnsafeMutableBytes(of: &address.sin6_addr) { unsafe $0.copyBytes(from: bytes) }
            return unsafe withUnsafeBytes(of: &address) { raw in
                let bound = unsafe raw.assumingMemoryBound(to: sockaddr.self)
                return unsafe body(bound.baseAddress.unsafelyUnwrapped, socklen_t(raw.count))
            }
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(truncatingIfNeeded: high >> 32).bigEndian
        return unsafe withUnsafeBytes(of: &address) { raw in
            let bound = unsafe raw.assumingMemoryBound(to: sockaddr.self)
            return unsafe body(bound.baseAddress.unsafelyUnwrapped, socklen_t(raw.count))
        }
    }

    /// Reads what accept(2), getsockname(2) or getaddrinfo(3) wrote.
    init?(_ storage: UnsafePointer<sockaddr>?) {
        guard let storage = unsafe storage else { return nil }
        switch CInt(unsafe storage.pointee.sa_family) {
        case AF_INET:
            let address = unsafe UnsafeRawPointer(storage).loadUnaligned(as: sockaddr_in.self)
            let word = UInt64(UInt32(bigEndian: address.sin_addr.s_addr))
            self.init(high: word << 32, low: 0, port: UInt16(bigEndian: address.sin_port), isIPv6: false)
        case AF_INET6:
            let address = unsafe UnsafeRawPointer(storage).loadUnaligned(as: sockaddr_in6.self)
            let words = unsafe withUnsafeBytes(of: address.sin6_addr) { raw in
                unsafe (raw.load(as: UInt64.self), raw.load(fromByteOffset: 8, as: UInt64.self))
            }
            let port = UInt16(bigEndian: address.sin6_port)
            let (high, low) = (UInt64(bigEndian: words.0), UInt64(bigEndian: words.1))
            // A dual-stack listener reports IPv4 peers as ::ffff:a.b.c.d; they are IPv4 to everybody else.
            if high == 0, low >> 32 == 0xFFFF {
                self.init(high: low << 32, low: 0, port: port, isIPv6: false)
            } else {
                self.init(high: high, low: low, port: port, isIPv6: true)
            }
        default: return nil
        }
    }
}
