import CLinux
import Glibc

/// System calls on one connected TCP socket. Whoever opens it closes it.
struct Socket {
    let descriptor: CInt

    /// Connects and only then turns non-blocking: on loopback the wait is microseconds, and at most five seconds.
    ///
    /// - Parameter abortive: Closing sends a reset and leaves no port in TIME_WAIT; for thousands of idle sockets.
    static func connect(to address: String, port: UInt16, abortive: Bool) throws(Fault) -> Socket {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Fault(call: "socket") }
        do throws(Fault) {
            let socket = Socket(descriptor: descriptor)
            try socket.set(SOL_SOCKET, SO_SNDTIMEO, timeval(tv_sec: 5, tv_usec: 0))
            try socket.reach(address, port)
            try socket.set(CInt(IPPROTO_TCP), TCP_NODELAY, CInt(1))
            if abortive { try socket.set(SOL_SOCKET, SO_LINGER, linger(l_onoff: 1, l_linger: 0)) }
            guard fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 else { throw Fault(call: "fcntl") }
            return socket
        } catch {
            _ = Glibc.close(descriptor)
            throw error
        }
    }

    private func reach(_ address: String, _ port: UInt16) throws(Fault) {
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = port.bigEndian
        guard unsafe inet_pton(AF_INET, address, &target.sin_addr) == 1 else {
            throw Fault("\(address) is not an IPv4 address")
        }
        let status = unsafe withUnsafePointer(to: target) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                unsafe Glibc.connect(descriptor, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw Fault(call: "connect to \(address):\(port)") }
    }

    private func set<Value>(_ level: CInt, _ option: CInt, _ value: Value) throws(Fault) {
        let status = unsafe withUnsafeBytes(of: value) { bytes in
            unsafe setsockopt(descriptor, level, option, bytes.baseAddress, socklen_t(bytes.count))
        }
        guard status == 0 else { throw Fault(call: "setsockopt") }
    }

    /// Fills `buffer` from `start`. Zero is the end of the stream, `nil` nothing to read yet.
    @inline(__always)
    func receive(into buffer: inout [UInt8], from start: Int) throws(Fault) -> Int? {
        let count = unsafe buffer.withUnsafeMutableBytes { bytes in
            unsafe recv(descriptor, bytes.baseAddress.map { unsafe $0 + start }, bytes.count - start, 0)
        }
        guard count < 0 else { return count }
        guard errno != EAGAIN, errno != EINTR else { return nil }
        throw Fault(call: "recv")
    }

    /// How much of `bytes` from `start` the kernel took; zero when its buffer is full.
    @inline(__always)
    func send(_ bytes: [UInt8], from start: Int = 0) throws(Fault) -> Int {
        let count = unsafe bytes.withUnsafeBytes { all in
            unsafe Glibc.send(
                descriptor, all.baseAddress.map { unsafe $0 + start }, all.count - start, CInt(MSG_NOSIGNAL))
        }
        guard count < 0 else { return count }
        guard errno != EAGAIN, errno != EINTR else { return 0 }
        throw Fault(call: "send")
    }

    func close() { _ = Glibc.close(descriptor) }
}

/// Raises the soft limit of open files to the hard one, and says before the first socket if that is too few.
func reserveDescriptors(for sockets: Int) throws(Fault) {
    var limits = rlimit()
    guard unsafe linux_descriptor_limit(&limits) == 0 else { throw Fault(call: "getrlimit") }
    let needed = rlim_t(sockets + 16)  // standard streams, epoll, and room for what the libraries open
    guard limits.rlim_max >= needed else {
        throw Fault("\(sockets) sockets need \(needed) descriptors; the hard limit (ulimit -Hn) is \(limits.rlim_max)")
    }
    limits.rlim_cur = limits.rlim_max
    guard unsafe linux_set_descriptor_limit(&limits) == 0 else { throw Fault(call: "setrlimit") }
}
