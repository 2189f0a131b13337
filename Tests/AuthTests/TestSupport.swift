import GatewayBytes

@testable import GatewayAuth

/// 15 January 2027, 08:00 UTC.
enum TestClock { static let start: Double = 1_800_000_000 }

let now = TestClock.start
let issuer = "https://issuer.test/auth/v1"
let sharedSecret = "a secret for tests, longer than 32 bytes"

let policy = TokenPolicy(issuer: issuer, audiences: ["authenticated"])

/// One key of every kind, each named after itself, and the operator's secret without a name.
let everyKey: KeySet = {
    let pems = [
        ("rsa", TestKeys.rsaPublic), ("p256", TestKeys.p256Public), ("p384", TestKeys.p384Public),
        ("p521", TestKeys.p521Public),
    ]
    let published = pems.compactMap { name, pem in try? VerificationKey.publicKey(pem: Array(pem.utf8), id: name) }
    let fixed = [try? VerificationKey.secret(Secret(sharedSecret))].compactMap(\.self)
    precondition(published.count == pems.count && fixed.count == 1)
    return KeySet(fixed: fixed, published: published)
}()

/// Why a token is refused under ``policy`` and ``everyKey``; `nil` when it is accepted.
func refusal(of token: String, policy: TokenPolicy = policy, keys: KeySet = everyKey, at now: Double = now)
    -> TokenError?
{
    refusal(of: Array(token.utf8), policy: policy, keys: keys, at: now)
}

func refusal(of token: [UInt8], policy: TokenPolicy = policy, keys: KeySet = everyKey, at now: Double = now)
    -> TokenError?
{
    let authenticator = Authenticator(policy: policy, keys: keys)
    let first = authenticator.authenticate(token, now: now)
    // The second answer comes from memory where there is one, the third from the explanation; all must agree.
    let second = authenticator.authenticate(token, now: now)
    let explanation = authenticator.explain(token, now: now)
    precondition(first.failure == second.failure && (first.failure == explanation.failure || token.isEmpty))
    return first.failure
}

extension Result {
    var failure: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }

    var success: Success? { try? get() }
}

/// Claims as raw JSON, so that a test can write what no encoder would.
struct RawClaims {
    private var members: [(name: String, json: String)] = [
        ("iss", "\"\(issuer)\""), ("aud", "\"authenticated\""), ("sub", "\"user-1\""), ("exp", "1800003600"),
        ("iat", "1799999990"), ("role", "\"authenticated\""),
    ]

    /// - Parameter changes: `nil` leaves a claim out.
    init(_ changes: KeyValuePairs<String, String?> = [:]) {
        for (name, json) in changes {
            members.removeAll { $0.name == name }
            if let json { members.append((name, json)) }
        }
    }

    var text: String { "{" + members.map { "\"\($0.name)\":\($0.json)" }.joined(separator: ",") + "}" }
}

/// A token with exactly these bytes as header and claims, signed with the shared secret.
func signed(
    header: String = #"{"alg":"HS256","typ":"JWT"}"#, claims: String = RawClaims().text, secret: String = sharedSecret
) -> String {
    let input = Base64URL.encode(header.utf8) + "." + Base64URL.encode(claims.utf8)
    return input + "." + Base64URL.encode(SHA256Reference.hmac(Array(input.utf8), key: Array(secret.utf8)))
}

func signed(_ changes: KeyValuePairs<String, String?>, secret: String = sharedSecret) -> String {
    signed(claims: RawClaims(changes).text, secret: secret)
}

/// FIPS 180-4 and RFC 2104, written out: a second opinion on what libjwt computes, and a way to sign forged headers.
enum SHA256Reference {
    static func hmac(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        var block = key.count > 64 ? hash(key) : key
        block += [UInt8](repeating: 0, count: 64 - block.count)
        return hash(block.map { $0 ^ 0x5C } + hash(block.map { $0 ^ 0x36 } + message))
    }

    static func hash(_ message: [UInt8]) -> [UInt8] {
        var padded = message + [0x80]
        while padded.count % 64 != 56 { padded.append(0) }
        padded += (0..<8).map { UInt8(truncatingIfNeeded: UInt64(message.count * 8) >> UInt64(56 - $0 * 8)) }
        var state: [UInt32] = primes.prefix(8).map { fraction(of: Double($0).squareRoot()) }
        for start in stride(from: 0, to: padded.count, by: 64) { mix(padded[start..<start + 64], into: &state) }
        return state.flatMap { word in [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: word >> $0) } }
    }

    private static let primes = (2...311).filter { candidate in (2..<candidate).allSatisfy { candidate % $0 != 0 } }
    private static let constants = primes.map { fraction(of: cubeRoot(Double($0))) }

    private static func fraction(of value: Double) -> UInt32 { UInt32((value - value.rounded(.down)) * 4_294_967_296) }

    private static func cubeRoot(_ value: Double) -> Double {
        var root = value / 2
        for _ in 0..<100 { root -= (root * root * root - value) / (3 * root * root) }
        return root
    }

    private static func mix(_ block: ArraySlice<UInt8>, into state: inout [UInt32]) {
        func turn(_ word: UInt32, _ by: UInt32) -> UInt32 { word >> by | word << (32 - by) }
        let bytes = Array(block)
        var words = (0..<16).map { place in (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[place * 4 + $1]) } }
        for place in 16..<64 {
            let low = words[place - 15]
            let high = words[place - 2]
            let lowMix = turn(low, 7) ^ turn(low, 18) ^ low >> 3
            let highMix = turn(high, 17) ^ turn(high, 19) ^ high >> 10
            words.append(words[place - 16] &+ lowMix &+ words[place - 7] &+ highMix)
        }
        var v = state
        for round in 0..<64 {
            let choice = v[4] & v[5] ^ ~v[4] & v[6]
            let majority = v[0] & v[1] ^ v[0] & v[2] ^ v[1] & v[2]
            let highTurn = turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)
            let lowTurn = turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)
            let first = v[7] &+ highTurn &+ choice &+ constants[round] &+ words[round]
            let second = lowTurn &+ majority
            v = [first &+ second, v[0], v[1], v[2], v[3] &+ first, v[4], v[5], v[6]]
        }
        for place in 0..<8 { state[place] = state[place] &+ v[place] }
    }
}
