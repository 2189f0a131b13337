internal import COpenSSL
package import GatewayBytes

/// A throw-away certificate for local development: ECDSA P-256, signed by itself, for the names given and no others.
package struct SelfSignedCertificate: Sendable {
    /// Public; may be handed to `curl --cacert`.
    package let certificatePEM: [UInt8]
    /// PKCS#8.
    package let privateKeyPEM: Secret

    package enum Failure: Error, Equatable, Sendable {
        /// Not a host name, or a wildcard elsewhere than in the first label.
        case invalidName(String)
        case invalidAddress(String)
        case namesNothing
        /// Clients refuse certificates that live longer than 825 days.
        case invalidLifetime(days: Int)
        case library(String)
    }

    /// Takes about a millisecond.
    ///
    /// - Parameters:
    ///   - names: DNS names for the subjectAltName.
    ///   - ips: IPv4 and IPv6 addresses for it, without brackets.
    ///   - validDays: From now, 1 through 825. The certificate is valid from an hour ago, for clocks that differ.
    package static func make(
        names: [String], ips: [String], validDays: Int
    ) throws(Failure) -> SelfSignedCertificate {
        guard (1...825).contains(validDays) else { throw .invalidLifetime(days: validDays) }
        let alternatives = try alternativeNames(names: names, ips: ips)
        LibraryErrors.clear()
        guard let key = unsafe Handle(cossl_make_p256_key(), freeing: EVP_PKEY_free),
            let certificate = unsafe Handle(X509_new(), freeing: X509_free),
            fill(certificate, key: key, validDays: validDays),
            addExtensions(to: certificate, alternatives: alternatives),
            unsafe X509_sign(certificate.pointer, key.pointer, EVP_sha256()) > 0,
            let certificateText = MemorySink(), let keyText = MemorySink(),
            unsafe PEM_write_bio_X509(certificateText.pointer, certificate.pointer) == 1,
            unsafe PEM_write_bio_PKCS8PrivateKey(keyText.pointer, key.pointer, nil, nil, 0, nil, nil) == 1
        else { throw .library(LibraryErrors.takeReason()) }
        return SelfSignedCertificate(
            certificatePEM: certificateText.takeBytes(), privateKeyPEM: Secret(keyText.takeBytes()))
    }

    /// Checks every name: OpenSSL parses this text, and a comma in a name would begin another one.
    private static func alternativeNames(names: [String], ips: [String]) throws(Failure) -> String {
        var entries: [String] = []
        for name in names {
            let host = name.hasPrefix("*.") ? String(name.dropFirst(2)) : name
            guard let normalized = ServerNames.normalized(host.utf8), !normalized.utf8.contains(UInt8(ascii: "*"))
            else {
                throw .invalidName(name)
            }
            entries.append(name.hasPrefix("*.") ? "DNS:*.\(normalized)" : "DNS:\(normalized)")
        }
        for address in ips {
            guard let parsed = unsafe a2i_IPADDRESS(address) else { throw .invalidAddress(address) }
            unsafe ASN1_OCTET_STRING_free(parsed)
            entries.append("IP:\(address)")
        }
        if entries.isEmpty { throw .namesNothing }
        return entries.joined(separator: ",")
    }

    private static func fill(
        _ certificate: borrowing Handle, key: borrowing Handle, validDays: Int
    ) -> Bool {
        let pointer = unsafe certificate.pointer
        var serial = [UInt8](repeating: 0, count: 16)
        guard unsafe RAND_bytes(&serial, CInt(serial.count)) == 1 else { return false }
        serial[0] &= 0x7F  // positive (RFC 5280 §4.1.2.2)
        guard let number = unsafe BN_bin2bn(serial, CInt(serial.count), nil) else { return false }
        defer { unsafe BN_free(number) }
        let name = unsafe X509_get_subject_name(pointer)
        let commonName = Array("gateway development certificate".utf8)
        return unsafe X509_set_version(pointer, 2) == 1  // 2 says version 3
            && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(pointer)) != nil
            && X509_gmtime_adj(X509_getm_notBefore(pointer), -3600) != nil
            && X509_time_adj_ex(X509_getm_notAfter(pointer), CInt(validDays), 0, nil) != nil
            && X509_set_pubkey(pointer, key.pointer) == 1
            && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, commonName, CInt(commonName.count), -1, 0) == 1
            && X509_set_issuer_name(pointer, name) == 1
    }

    private static func addExtensions(to certificate: borrowing Handle, alternatives: String) -> Bool {
        let extensions: [(CInt, String)] = [
            (NID_basic_constraints, "critical,CA:FALSE"),
            (NID_key_usage, "critical,digitalSignature"),
            (NID_ext_key_usage, "serverAuth"),
            (NID_subject_key_identifier, "hash"),
            (NID_subject_alt_name, alternatives),
        ]
        let pointer = unsafe certificate.pointer
        var context = unsafe X509V3_CTX()
        unsafe X509V3_set_ctx(&context, pointer, pointer, nil, nil, 0)
        for (kind, value) in extensions {
            let made = unsafe X509V3_EXT_conf_nid(nil, &context, kind, value)
            guard let made = unsafe Handle(made, freeing: X509_EXTENSION_free),
                unsafe X509_add_ext(pointer, made.pointer, -1) == 1
            else { return false }
        }
        return true
    }
}

extension SelfSignedCertificate.Failure: CustomStringConvertible {
    package var description: String {
        switch self {
        case .invalidName(let name): "\(name.debugDescription) is not a host name"
        case .invalidAddress(let address): "\(address.debugDescription) is not an IP address"
        case .namesNothing: "a certificate needs a name or an address"
        case .invalidLifetime(let days): "\(days) days is not between 1 and 825"
        case .library(let reason): "OpenSSL: \(reason)"
        }
    }
}
