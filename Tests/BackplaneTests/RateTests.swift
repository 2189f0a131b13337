import GatewayBackplane
import Testing

@Suite("Rates")
struct RateTests {}
