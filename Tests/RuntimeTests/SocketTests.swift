import GatewayLocks
import GatewayTestSupport
import Glibc
import Testing

@testable import GatewayRuntime

@Suite("Listening")
struct ListenerTests {
    static func connect(to address: SocketAddress) -> CInt {
        let descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue), 0)
        let status = unsafe address.withSockaddr { unsafe Glibc.connect(descriptor, $0, $1) }
        if status != 0 {
            close(descriptor)
            return -1
        }
        return descriptor
    }

    private static func listening() throws -> (CInt, SocketAddress) {
        let descriptor = try Socket.listen(on: .loopback(port: 0), backlog: 16)
        let address = try #require(Socket.localAddress(of: descriptor))
        return (descriptor, address)
    }

    @Test("a listener tells who connected, and refuses after it stopped")
    func accepts() throws {
        let thread = try LoopThread()
        let (descriptor, address) = try Self.listening()
        let accepted = Signal()
        let peers = Guarded<[SocketAddress]>([])
        let stop = Outcome<Void>()
        thread.loop.submit {
            let listener = Listener(descriptor: descriptor, loop: thread.loop) { connection, peer in
                peers.withLock { $0.append(peer) }
                WatchedDescriptor.discard(connection)
                accepted.raise()
            }
            do { try listener.start() } catch { Issue.record(error) }
            let waiting = LoopWait()
            thread.loop.launch {
                _ = await waiting.run(on: thread.loop, until: thread.loop.now + .milliseconds(1))
                while peers.withLock({ $0.count }) < 3 { try? await thread.loop.sleep(.milliseconds(1)) }
                listener.stop()
                stop.set(.success(()))
            }
        }
        for _ in 0..<3 {
            let client = Self.connect(to: address)
            #expect(client >= 0)
            #expect(accepted.wait(atMost: .seconds(60)))
            close(client)
        }
        #expect(stop.wait(atMost: .seconds(60)))
        #expect(peers.withLock { $0.allSatisfy { $0.isLoopback && $0.port != 0 } })
        #expect(Self.connect(to: address) == -1)
        try thread.stop()
    }

    @Test("while there is no room nothing is accepted; connections wait and are taken later")
    func mayAccept() throws {
        let thread = try LoopThread()
        let (descriptor, address) = try Self.listening()
        let accepted = Signal()
        let hasRoom = Guarded(false)
        let asked = Signal()
        thread.loop.submit {
            var limits = AcceptLimits()
            limits.pause = .milliseconds(1)
            let listener = Listener(
                descriptor: descriptor, loop: thread.loop, limits: limits,
                mayAccept: {
                    asked.raise()
                    return hasRoom.withLock { $0 }
                },
                accepted: { connection, _ in
                    #expect(hasRoom.withLock { $0 })
                    WatchedDescriptor.discard(connection)
                    accepted.raise()
                })
            do { try listener.start() } catch { Issue.record(error) }
        }
        let client = Self.connect(to: address)
        for _ in 0..<3 { #expect(asked.wait(atMost: .seconds(60))) }
        hasRoom.withLock { $0 = true }
        #expect(accepted.wait(atMost: .seconds(60)))
        close(client)
        try thread.stop()
    }

    @Test("a listener that drains takes everybody the kernel has let in, then closes")
    func drain() throws {
        let thread = try LoopThread()
        let descriptor = try Socket.listen(on: .loopback(port: 0), backlog: 512)
        let address = try #require(Socket.localAddress(of: descriptor))
        // More than are taken in one event, and nothing but the drain looks for them.
        let clients = (0..<200).map { _ in Self.connect(to: address) }
        #expect(clients.allSatisfy { $0 >= 0 })
        let count = Guarded(0)
        let closed = Signal()
        thread.loop.submit {
            let listener = Listener(descriptor: descriptor, loop: thread.loop) { connection, _ in
                count.withLock { $0 += 1 }
                WatchedDescriptor.discard(connection)
            }
            do { try listener.start() } catch { Issue.record(error) }
            listener.drain(grace: .zero) { closed.raise() }
        }
        #expect(closed.wait(atMost: .seconds(60)))
        #expect(count.withLock { $0 } == 200)
        #expect(Self.connect(to: address) == -1)
        for client in clients { close(client) }
        try thread.stop()
    }

    @Test("a listener that drains without room waits for it")
    func drainWithoutRoom() throws {
        let thread = try LoopThread()
        let (descriptor, address) = try Self.listening()
        let client = Self.connect(to: address)
        let hasRoom = Guarded(false)
        let asked = Signal()
        let order = Guarded<[String]>([])
        let closed = Signal()
        thread.loop.submit {
            var limits = AcceptLimits()
            limits.pause = .milliseconds(1)
            let listener = Listener(
                descriptor: descriptor, loop: thread.loop, limits: limits,
                mayAccept: {
                    asked.raise()
                    return hasRoom.withLock { $0 }
                },
                accepted: { connection, _ in
                    order.withLock { $0.append("accepted") }
                    WatchedDescriptor.discard(connection)
                })
            do { try listener.start() } catch { Issue.record(error) }
            listener.drain(grace: .milliseconds(1)) {
                order.withLock { $0.append("closed") }
                closed.raise()
            }
        }
        for _ in 0..<3 { #expect(asked.wait(atMost: .seconds(60))) }
        #expect(order.withLock { $0 }.isEmpty)
        hasRoom.withLock { $0 = true }
        #expect(closed.wait(atMost: .seconds(60)))
        #expect(order.withLock { $0 } == ["accepted", "closed"])
        close(client)
        try thread.stop()
    }

    @Test("two listeners share one port, and a probe says that it is taken")
    func sharing() throws {
        let (first, address) = try Self.listening()
        let second = try Socket.listen(on: address, backlog: 16)
        #expect(Socket.localAddress(of: second) == address)
        #expect(throws: SystemError("bind", code: EADDRINUSE)) { try Socket.probe(address) }
        close(second)
        #expect(throws: SystemError("bind", code: EADDRINUSE)) { try Socket.probe(address) }
        close(first)
        #expect(throws: Never.self) { try Socket.probe(address) }
        #expect(throws: Never.self) { try Socket.probe(.loopback(port: 0)) }
    }

    @Test("an address that is not this machine's cannot be listened on")
    func unavailable() throws {
        let address = try #require(SocketAddress(literal: "192.0.2.1", port: 0))
        do {
            close(try Socket.listen(on: address, backlog: 1))
            Issue.record("listened on somebody else's address")
        } catch {
            #expect(error.isAddressUnavailable)
            #expect(error.description.hasPrefix("bind: "))
        }
    }

    @Test("connecting to a closed port fails with its reason")
    func refused() throws {
        let (descriptor, address) = try Self.listening()
        close(descriptor)
        do {
            let client = try Socket.connect(to: address)
            var watched = pollfd(fd: client, events: Int16(POLLOUT), revents: 0)
            #expect(unsafe poll(&watched, 1, 60_000) == 1)
            #expect(Socket.pendingError(client)?.isConnectionRefused == true)
            close(client)
        } catch {
            #expect(error.isConnectionRefused)
        }
    }

    @Test("an idle connection is stale once bytes or its end have arrived", arguments: [true, false])
    func stale(_ sendsBytes: Bool) throws {
        let (own, peer) = ChannelTests.pair()
        #expect(!Socket.isStale(own))
        if sendsBytes {
            var byte: UInt8 = 1
            _ = unsafe write(peer, &byte, 1)
        } else {
            close(peer)
        }
        #expect(Socket.isStale(own))
        close(own)
        if sendsBytes { close(peer) }
    }
}

@Suite("Listening without descriptors")
struct DescriptorShortageTests {
    @Test("out of descriptors, accepting rests, says so once, and goes on when there are some again")
    func exhausted() async throws {
        // The limit is the process's, so this runs in one of its own.
        let result = await #expect(processExitsWith: .success) {
            let thread = try LoopThread()
            let listening = try Socket.listen(on: .loopback(port: 0), backlog: 16)
            let address = try #require(Socket.localAddress(of: listening))
            let accepted = Signal()
            let taken = Guarded(0)
            let paused = Guarded(0)
            let told = Signal()
            let attempts = Signal()
            thread.loop.submit {
                var limits = AcceptLimits()
                limits.pause = .milliseconds(1)
                let listener = Listener(
                    descriptor: listening, loop: thread.loop, limits: limits,
                    report: { report in
                        guard case .acceptPaused(loop: 0, let error) = report, error.isOutOfDescriptors else { return }
                        paused.withLock { $0 += 1 }
                        told.raise()
                    },
                    mayAccept: {
                        attempts.raise()
                        return true
                    },
                    accepted: { _, _ in
                        taken.withLock { $0 += 1 }
                        accepted.raise()
                    })
                do { try listener.start() } catch { exit(2) }
            }
            // Several: the process may close a file of its own at any time, and then one client is let in.
            let clients = (0..<8).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
            guard let last = clients.max() else { exit(3) }
            var limit = rlimit()
            _ = unsafe getrlimit(__rlimit_resource_t(7), &limit)
            let before = limit.rlim_cur
            limit.rlim_cur = rlim_t(last) + 1
            _ = unsafe setrlimit(__rlimit_resource_t(7), &limit)
            // Fill the holes below the limit.
            while dup(last) >= 0 {}
            for client in clients {
                guard unsafe address.withSockaddr({ unsafe Glibc.connect(client, $0, $1) }) == 0 else { exit(3) }
            }
            guard told.wait(atMost: .seconds(60)) else { exit(4) }
            for _ in 0..<5 { guard attempts.wait(atMost: .seconds(60)) else { exit(5) } }
            let pauses = paused.withLock { $0 }
            guard (1...1 + taken.withLock { $0 }).contains(pauses) else { exit(6) }
            limit.rlim_cur = before
            _ = unsafe setrlimit(__rlimit_resource_t(7), &limit)
            for _ in clients { guard accepted.wait(atMost: .seconds(60)) else { exit(7) } }
            exit(0)
        }
        _ = result
    }
}

@Suite("Socket addresses")
struct SocketAddressTests {
    @Test(
        "a literal is printed as it was written",
        arguments: [
            "127.0.0.1", "0.0.0.0", "255.255.255.255", "::1", "::", "2001:db8::1", "fe80::1:2:3:4", "::ffff:1.2.3.4",
        ])
    func roundTrip(_ text: String) throws {
        let address = try #require(SocketAddress(literal: text, port: 443))
        #expect(address.host == text)
        #expect(address.isIPv6 == text.contains(":"))
        #expect(address.description == (address.isIPv6 ? "[\(text)]:443" : "\(text):443"))
        #expect(SocketAddress(bytes: address.bytes, port: 443) == address)
        #expect(address.with(port: 80).port == 80)
    }

    @Test(
        "what is not a literal is refused",
        arguments: [
            "", "localhost", "1.2.3", "127.1", "0x7f.1", "1.2.3.4.5", "[::1]", "::1%lo", "1.2.3.4\0",
            "127.0.0.1\0.example", " 1.2.3.4",
        ])
    func refused(_ text: String) { #expect(SocketAddress(literal: text, port: 1) == nil) }

    @Test("only four and sixteen bytes are an address", arguments: [0, 3, 5, 15, 17])
    func byteCount(_ count: Int) { #expect(SocketAddress(bytes: [UInt8](repeating: 1, count: count), port: 1) == nil) }

    @Test("through the kernel and back it is the same", arguments: ["127.0.0.1", "1.2.3.4", "::1", "2001:db8::1"])
    func kernel(_ text: String) throws {
        let address = try #require(SocketAddress(literal: text, port: 8_080))
        let back = unsafe address.withSockaddr { pointer, _ in unsafe SocketAddress(pointer) }
        #expect(back == address)
    }

    @Test("an IPv4 peer of a dual-stack socket is IPv4")
    func mapped() throws {
        let address = try #require(SocketAddress(literal: "::ffff:10.1.2.3", port: 5))
        let back = unsafe address.withSockaddr { pointer, _ in unsafe SocketAddress(pointer) }
        #expect(back == SocketAddress(literal: "10.1.2.3", port: 5))
        #expect(back?.isIPv6 == false)
    }

    @Test(
        "loopback is known in both families",
        arguments: [("127.0.0.1", true), ("127.9.8.7", true), ("::1", true), ("128.0.0.1", false), ("::2", false)])
    func loopback(_ text: String, _ expected: Bool) throws {
        #expect(try #require(SocketAddress(literal: text, port: 1)).isLoopback == expected)
    }

    @Test("names are looked up, and one that cannot exist says so")
    func lookUp() throws {
        #expect(try NameLookup.addresses(of: "127.0.0.1", port: 7) == [.loopback(port: 7)])
        #expect(throws: NameLookup.Failure.self) { try NameLookup.addresses(of: "no.such.name.invalid", port: 7) }
    }
}
