import CLinux
import Glibc

/// The socket calls of the process, on bare descriptors. All sockets are TCP, non-blocking and close-on-exec.
package enum Socket {
    /// A listening socket on `address`, shared between loops by `SO_REUSEPORT`.
    ///
    /// - Parameter backlog: Connections the kernel completes before they are accepted.
    package static func listen(
        on address: SocketAddress, backlog: Int, sharing: Bool = true
    ) throws(SystemError) -> CInt {
        let descriptor = socket(address.family, linux_stream_socket, 0)
        guard descriptor >= 0 else { throw SystemError("socket") }
        do throws(SystemError) {
            try set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
            if sharing { try set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
            if address.isIPv6 { try set(descriptor, CInt(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
            let bound = unsafe address.withSockaddr { unsafe bind(descriptor, $0, $1) }
            guard bound == 0 else { throw SystemError("bind") }
            guard Glibc.listen(descriptor, CInt(backlog)) == 0 else { throw SystemError("listen") }
        } catch {
            _ = close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Whether somebody else listens on `address` already. `SO_REUSEPORT` alone would share the port with them.
    package static func probe(_ address: SocketAddress) throws(SystemError) {
        guard address.port != 0 else { return }
        _ = close(try listen(on: address, backlog: 1, sharing: false))
    }

    /// Whether this kernel can open IPv6 sockets at all.
    package static var supportsIPv6: Bool {
        let descriptor = socket(AF_INET6, linux_stream_socket, 0)
        guard descriptor >= 0 else { return false }
        _ = close(descriptor)
        return true
    }

    /// From here on the kernel begins no new connection on `listener`; those it has begun are completed.
    ///
    /// Whoever connects now hears nothing, and tries again a second later.
    ///
    /// - Returns: Whether this kernel can do so. Where it cannot, a connection may come at any time.
    @discardableResult
    static func ignoreNewConnections(_ listener: CInt) -> Bool { linux_ignore_new_connections(listener) == 0 }

    enum Accepted {
        case connection(CInt, SocketAddress)
        case none
        /// The peer left before it was accepted; try the next.
        case gone
        case failed(SystemError)
    }

    static func accept(_ listener: CInt) -> Accepted {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let (descriptor, peer) = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let descriptor = unsafe accept4(listener, address, &size, linux_accept_flags)
                return unsafe (descriptor, descriptor >= 0 ? SocketAddress(address) : nil)
            }
        }
        if descriptor >= 0 {
            try? set(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, 1)
            return .connection(descriptor, peer ?? .loopback(port: 0))
        }
        switch errno {
        case EAGAIN: return .none
        case ECONNABORTED, EINTR, EPROTO, EPERM: return .gone
        default: return .failed(SystemError("accept4"))
        }
    }

    /// Begins to connect; the socket becomes writable when that succeeded or failed.
    package static func connect(to address: SocketAddress) throws(SystemError) -> CInt {
        let descriptor = socket(address.family, linux_stream_socket, 0)
        guard descriptor >= 0 else { throw SystemError("socket") }
        try? set(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, 1)
        let status = unsafe address.withSockaddr { unsafe Glibc.connect(descriptor, $0, $1) }
        guard status == 0 || errno == EINPROGRESS else {
            let error = SystemError("connect")
            _ = close(descriptor)
            throw error
        }
        return descriptor
    }

    /// What became of a connect(2) or a failed socket; `nil` when nothing is wrong. Asking forgets it.
    package static func pendingError(_ descriptor: CInt, of call: StaticString = "connect") -> SystemError? {
        var code: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 else {
            return SystemError("getsockopt")
        }
        return code == 0 ? nil : SystemError(call, code: code)
    }

    /// The address a socket is bound to; tells the port when it was asked for as 0.
    package static func localAddress(of descriptor: CInt) -> SocketAddress? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe getsockname(descriptor, address, &size) == 0 ? SocketAddress(address) : nil
            }
        }
    }

    package enum Received {
        case bytes(Int)
        case wouldBlock
        /// The peer finished sending.
        case end
        case failed(SystemError)
    }

    @inline(__always)
    package static func receive(_ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer) -> Received {
        let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if count > 0 { return .bytes(count) }
        if count == 0 { return .end }
        if errno == EAGAIN || errno == EINTR { return .wouldBlock }
        return .failed(SystemError("recv"))
    }

    /// Receives without taking: the same bytes come again.
    package static func peek(_ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer) -> Received {
        let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, CInt(MSG_PEEK))
        if count > 0 { return .bytes(count) }
        if count == 0 { return .end }
        if errno == EAGAIN || errno == EINTR { return .wouldBlock }
        return .failed(SystemError("recv"))
    }

    package enum Sent {
        case bytes(Int)
        case wouldBlock
        case failed(SystemError)
    }

    @inline(__always)
    package static func send(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer, more: Bool = false) -> Sent {
        let flags = CInt(MSG_NOSIGNAL) | (more ? CInt(MSG_MORE) : 0)
        let count = unsafe Glibc.send(descriptor, bytes.baseAddress, bytes.count, flags)
        if count >= 0 { return .bytes(count) }
        if errno == EAGAIN || errno == EINTR { return .wouldBlock }
        return .failed(SystemError("send"))
    }

    /// Tells the peer that no more bytes follow; receiving goes on.
    package static func finishSending(_ descriptor: CInt) { _ = shutdown(descriptor, CInt(SHUT_WR)) }

    /// Makes the next close(2) reset the connection: the peer learns that what it got is not whole.
    package static func resetOnClose(_ descriptor: CInt) {
        var option = linger(l_onoff: 1, l_linger: 0)
        _ = unsafe setsockopt(
            descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// Bytes in the send queue that the peer has not acknowledged; 0 when the kernel does not say. Its end counts as one.
    package static func unacknowledged(_ descriptor: CInt) -> Int {
        var count: CInt = 0
        return unsafe ioctl(descriptor, UInt(TIOCOUTQ), &count) == 0 ? Int(count) : 0
    }

    /// Bytes that have arrived and were not received.
    package static func unread(_ descriptor: CInt) -> Int {
        var count: CInt = 0
        return unsafe ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
    }

    /// Whether anything but silence waits on an idle connection: bytes nobody asked for, or its end.
    package static func isStale(_ descriptor: CInt) -> Bool {
        var byte: UInt8 = 0
        let count = unsafe recv(descriptor, &byte, 1, CInt(MSG_PEEK | MSG_DONTWAIT))
        return !(count < 0 && errno == EAGAIN)
    }

    private static func set(_ descriptor: CInt, _ level: CInt, _ name: CInt, _ value: CInt) throws(SystemError) {
        var value = value
        guard unsafe setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<CInt>.size)) == 0 else {
            throw SystemError("setsockopt")
        }
    }
}
