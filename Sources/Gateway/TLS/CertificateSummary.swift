internal import COpenSSL

/// The kind of a public key, as far as TLS cares.
package enum TLSKeyKind: Hashable, Sendable, CustomStringConvertible {
    case rsa(bits: Int)
    /// P-256 or P-384 by name; another curve by OpenSSL's name for it.
    case ecdsa(curve: String)
    /// Something else, such as `ED25519`.
    case other(String)

    package var description: String {
        switch self {
        case .rsa(let bits): "RSA \(bits)"
        case .ecdsa(let curve): "ECDSA \(curve)"
        case .other(let name): name
        }
    }

    /// - Parameter key: An `EVP_PKEY`, borrowed.
    init(_ key: OpaquePointer?) {
        switch unsafe EVP_PKEY_get_base_id(key) {
        case EVP_PKEY_RSA: self = unsafe .rsa(bits: Int(EVP_PKEY_get_bits(key)))
        case EVP_PKEY_EC: self = unsafe .ecdsa(curve: Self.curve(of: key))
        default:
            let name = unsafe EVP_PKEY_get0_type_name(key)
            self = unsafe .other(name.map { unsafe String(cString: $0) } ?? "of an unknown kind")
        }
    }

    private static func curve(of key: OpaquePointer?) -> String {
        var name = [CChar](repeating: 0, count: 64)
        var length = 0
        guard unsafe EVP_PKEY_get_group_name(key, &name, name.count, &length) == 1 else { return "explicit parameters" }
        return TLSGroup.name(of: String(decoding: name.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self))
    }
}

/// What a certificate says about itself. Nothing in it has been verified by reading it.
package struct CertificateSummary: Equatable, Sendable {
    /// RFC 4514 text with control and non-ASCII characters escaped, so it is safe in a log. Never used for matching.
    package let subject: String
    package let issuer: String
    /// DNS names of the subjectAltName, lower case; a wildcard keeps its `*`. The common name is not among them:
    /// clients have not looked there for years (RFC 9525 §2).
    package let dnsNames: [String]
    /// IP addresses of the subjectAltName, in their usual text form.
    package let addresses: [String]
    /// URIs of the subjectAltName, such as `spiffe://example.org/service`. Those with bytes that no URI has are left out.
    package let uris: [String]
    /// Mail addresses of the subjectAltName, ASCII only.
    package let mailAddresses: [String]
    package let notBefore: CertificateTime
    package let notAfter: CertificateTime
    package let key: TLSKeyKind

    /// - Parameter certificate: An `X509`, borrowed.
    init?(_ certificate: OpaquePointer) {
        guard let notBefore = unsafe CertificateTime(X509_get0_notBefore(certificate)),
            let notAfter = unsafe CertificateTime(X509_get0_notAfter(certificate))
        else { return nil }
        self.notBefore = notBefore
        self.notAfter = notAfter
        subject = unsafe Self.text(of: X509_get_subject_name(certificate))
        issuer = unsafe Self.text(of: X509_get_issuer_name(certificate))
        key = unsafe TLSKeyKind(X509_get0_pubkey(certificate))
        let names = unsafe AlternativeNames(of: certificate)
        dnsNames = names.dns
        addresses = names.addresses
        uris = names.uris
        mailAddresses = names.mail
    }

    private static func text(of name: OpaquePointer?) -> String {
        guard let sink = MemorySink() else { return "" }
        _ = unsafe X509_NAME_print_ex(sink.pointer, name, 0, cossl_name_format)
        return String(decoding: sink.takeBytes(), as: UTF8.self)
    }
}

/// The subjectAltName of a certificate (RFC 5280 §4.2.1.6), by kind. A kind that is not known here is left out.
private struct AlternativeNames {
    var dns: [String] = []
    var addresses: [String] = []
    var uris: [String] = []
    var mail: [String] = []

    /// - Parameter certificate: An `X509`, borrowed.
    init(of certificate: OpaquePointer) {
        guard let raw = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return }
        let stack = OpaquePointer(raw)
        defer { unsafe GENERAL_NAMES_free(stack) }
        for index in 0..<(unsafe OPENSSL_sk_num(stack)) {
            guard let entry = unsafe OPENSSL_sk_value(stack, index)?.assumingMemoryBound(to: GENERAL_NAME.self) else {
                continue
            }
            var kind: CInt = 0
            guard let value = unsafe GENERAL_NAME_get0_value(entry, &kind),
                [GEN_DNS, GEN_IPADD, GEN_URI, GEN_EMAIL].contains(kind)
            else { continue }
            unsafe add(kind, Self.bytes(of: value.assumingMemoryBound(to: ASN1_STRING.self)))
        }
    }

    private mutating func add(_ kind: CInt, _ bytes: [UInt8]) {
        switch kind {
        case GEN_DNS: if let name = ServerNames.normalized(bytes) { dns.append(name) }
        case GEN_IPADD: if let address = Self.addressText(bytes) { addresses.append(address) }
        case GEN_URI: if let text = Self.visibleText(bytes) { uris.append(text) }
        default: if let text = Self.visibleText(bytes) { mail.append(text) }
        }
    }

    /// Whoever compares names must not be fooled by a NUL, a line feed or a space.
    private static func visibleText(_ bytes: [UInt8]) -> String? {
        guard !bytes.isEmpty, bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func bytes(of string: UnsafePointer<ASN1_STRING>) -> [UInt8] {
        unsafe Array(
            UnsafeBufferPointer(start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string))))
    }

    private static func addressText(_ bytes: [UInt8]) -> String? {
        var text = [CChar](repeating: 0, count: 64)
        guard let written = unsafe cossl_address_text(bytes, CInt(bytes.count), &text, 64) else { return nil }
        return unsafe String(cString: written)
    }
}
