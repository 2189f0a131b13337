import GatewayAuth
import GatewayBytes
import GatewayTestSupport

/// The keys that the targets of this folder verify with, and one token for each. For tests only.
enum FuzzKeys {
    static let secret = Array("fuzz-secret-of-more-than-32-bytes".utf8)

    static let rsaPublic = SampleKeys.rsaPublic

    /// Until the year 2100, for ``policy``.
    static let hmacToken = """
        eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0LyIsImF1ZCI6ImdhdGV3YXk\
        iLCJzdWIiOiJ1c2VyLTEiLCJleHAiOjQxMDI0NDQ4MDB9.4tGxlGXaAhp3nbWj0x6ae00DRsjRc3XT0z9bHuzzXFQ
        """
    static let rsaToken = """
        eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0LyIsImF\
        1ZCI6ImdhdGV3YXkiLCJzdWIiOiJ1c2VyLTEiLCJleHAiOjQxMDI0NDQ4MDB9.G6J-VHQbzWadmiuqDE5jMWl8cuclvzPJ5O\
        nPdPmT7wSUAX3Zy7LeJN1mvkgZuUjsiKK-JV4AAcIMdNFiF6ajjQcKwWu6XBPzGZRYgD2rRPagVa2VwWaWWta5_3Hb9lzdAK\
        wsfQCWDHrAMyTDg8xf7P2zy8MH5qb_RRL20cg2R8GXJK66w3JLxZyCKgZyFvR441Ftylu-G2CbXFAy0ZiTAoVGeYYadFaZCw\
        xWSLPKx-31Gz9QxcDqR7mIG6MRa9ZsMvxsjTyE4Z6H4KNT5icWH-JQxjFni_mcVpHRTD8x_e6YxSFNAnaVLSm9QidzHDHFSD\
        VeVmYmyaEjwx6ZUHfqtw
        """

    static let now: Double = 1_800_000_000
    static let policy = TokenPolicy(issuer: "https://issuer.test", audiences: ["gateway"])

    static let secretKey: VerificationKey = {
        guard let key = try? VerificationKey.secret(Secret(secret)) else { fatalError("the secret is refused") }
        return key
    }()

    static let rsaKey: VerificationKey = {
        guard let key = try? VerificationKey.publicKey(pem: Array(rsaPublic.utf8), id: "rsa") else {
            fatalError("the public key is refused")
        }
        return key
    }()
}
