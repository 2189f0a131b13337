package import GatewayAuth
import GatewayBackplane
package import GatewayHTTP

/// Of whom a limit keeps count: a user by the token's issuer and subject, or a client address.
///
/// Forty bytes. A WebSocket's handler keeps that of the request that opened it.
package struct RateSubject: Sendable {
    /// Who showed a token.
    package let user: Principal?
    /// `nil` when the address is a proxy's that speaks for many: nothing may be held against it.
    package let address: IPAddress?

    /// Who sent a request, once it has passed its route's check of access.
    package init(of request: Request) {
        user = request.principal
        address = request.client.isShared ? nil : request.client.address
    }

    /// A user, wherever he is.
    package init(_ user: Principal) {
        self.user = user
        address = nil
    }
}

extension IPAddress {
    /// What a key is made of: the whole IPv4 address, so many bits of an IPv6 address.
    package func rateKey(prefix: Int) -> (high: UInt64, low: UInt64) {
        switch unmapped.form {
        // Where IPv4 addresses stand among those of IPv6: no client comes from there.
        case .v4(let value): return (0, 0xFFFF_0000_0000 | UInt64(value))
        case .v6(let value):
            let kept = prefix >= 128 ? value : value & ~(UInt128.max >> UInt128(max(prefix, 0)))
            return (UInt64(truncatingIfNeeded: kept >> 64), UInt64(truncatingIfNeeded: kept))
        }
    }
}
