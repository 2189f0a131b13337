import GatewayBackplane
import GatewayHTTP
import Testing

@testable import PluginKit

private let second: UInt64 = 1_000_000_000

@Suite("How much the audit log says")
struct AuditLogTests {
    /// Two lines a minute of each, three of all.
    private static let limits = AuditLimits(perSource: .perMinute(2), altogether: .perMinute(3))
    private let ada = AuditSource.user("ada")
    private let bob = AuditSource.user("bob")

    private func stranger(_ address: String) throws -> AuditSource { .address(try #require(IPAddress(address))) }

    @Test("lines beyond the limit of one user are left out, and the next that is written says how many")
    func perSource() {
        var throttle = AuditThrottle(sources: 16)
        #expect(throttle.admit(ada, Self.limits, now: 0) == 0)
        #expect(throttle.admit(ada, Self.limits, now: 0) == 0)
        for _ in 0..<7 { #expect(throttle.admit(ada, Self.limits, now: 29 * second) == nil) }
        #expect(throttle.admit(ada, Self.limits, now: 30 * second) == 7)
        #expect(throttle.admit(ada, Self.limits, now: 60 * second) == 0)
    }

    @Test("what one's own limit refuses uses up nothing of all others' together")
    func ownBeforeAll() {
        var throttle = AuditThrottle(sources: 16)
        for _ in 0..<100 { _ = throttle.admit(ada, Self.limits, now: 0) }
        #expect(throttle.admit(bob, Self.limits, now: 0) == 0)
        #expect(throttle.admit(bob, Self.limits, now: 0) == nil)
        #expect(throttle.admit(bob, Self.limits, now: 20 * second) == 1)
    }

    @Test("strangers from everywhere are limited together, and hide nothing that users do")
    func altogether() throws {
        var throttle = AuditThrottle(sources: 16)
        var written = 0
        for number in 0..<200 where throttle.admit(try stranger("192.0.2.\(number)"), Self.limits, now: 0) != nil {
            written += 1
        }
        #expect(written == 3)
        #expect(throttle.admit(ada, Self.limits, now: 0) == 0)
    }

    @Test("a customer's IPv6 network is one address; of IPv4 each is")
    func prefix() throws {
        var throttle = AuditThrottle(sources: 16)
        let limits = AuditLimits(perSource: .perMinute(1), altogether: .perMinute(100), ipv6Prefix: 64)
        #expect(throttle.admit(try stranger("2001:db8::1"), limits, now: 0) == 0)
        #expect(throttle.admit(try stranger("2001:db8::2"), limits, now: 0) == nil)
        #expect(throttle.admit(try stranger("2001:db8:0:1::1"), limits, now: 0) == 0)
        #expect(throttle.admit(try stranger("192.0.2.1"), limits, now: 0) == 0)
        #expect(throttle.admit(try stranger("192.0.2.2"), limits, now: 0) == 0)
    }

    @Test("a user is never taken for an address, nor for another user")
    func kinds() throws {
        var throttle = AuditThrottle(sources: 16)
        let limits = AuditLimits(perSource: .perMinute(1), altogether: .perMinute(100))
        for source in [ada, bob, .user("192.0.2.1"), try stranger("192.0.2.1")] {
            #expect(throttle.admit(source, limits, now: 0) == 0)
            #expect(throttle.admit(source, limits, now: 0) == nil)
        }
    }
}
