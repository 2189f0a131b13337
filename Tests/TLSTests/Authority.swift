import Foundation
import GatewayBytes
import GatewayTLS

/// Certificates and keys made by the `openssl` program, once per test process, in a folder of their own.
///
/// Made by the same tool operators use, so the PEM files have the shapes that are met in the wild.
final class Authority: Sendable {
    static let shared = Result { try Authority() }

    private let folder: String

    func path(_ name: String) -> String { "\(folder)/\(name)" }

    func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: path(name))))
    }

    func certificate(_ name: String) throws -> TLSCertificate {
        try TLSCertificate.load(chainFile: path("\(name).pem"), keyFile: path("\(name).key"))
    }

    private init() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gateway-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        self.folder = folder.path
        // A global is never freed, so the folder goes when the process does.
        atexit { try? FileManager.default.removeItem(atPath: Authority.shared.get().folder) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-euc", Self.script]
        process.currentDirectoryURL = folder
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(folder: folder.path) }
    }

    struct Failure: Error { let folder: String }

    /// `leaf NAME DAYS SUBJECT-ALT-NAME` signs NAME.key with the intermediate, or whoever CA names, and leaves the
    /// chain in NAME.pem.
    private static let script = """
        ec() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:${2:-P-256} -out $1.key; }
        rsa() { openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:${2:-2048} -out $1.key; }
        leaf() {
          openssl req -new -key $1.key -subj "/CN=$1" -out $1.csr
          { echo "basicConstraints=CA:FALSE"; echo "authorityKeyIdentifier=none"
            echo "extendedKeyUsage=${4:-serverAuth}"
            [ -z "$3" ] || echo "subjectAltName=$3"; } > $1.ext
          openssl x509 -req -in $1.csr -CA ${CA:-middle}.crt -CAkey ${CA:-middle}.key -CAcreateserial \\
            -days $2 -extfile $1.ext ${HASH:--sha256} -out $1.crt
          cat $1.crt middle.crt > $1.pem
        }
        ec root
        openssl req -x509 -key root.key -subj "/CN=Test root" -days 3650 -out root.pem \\
          -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
        ec middle
        openssl req -new -key middle.key -subj "/CN=Test intermediate" -out middle.csr
        printf 'basicConstraints=critical,CA:TRUE\\nkeyUsage=critical,keyCertSign' > middle.ext
        openssl x509 -req -in middle.csr -CA root.pem -CAkey root.key -CAcreateserial \\
          -days 3650 -extfile middle.ext -out middle.crt

        ec site;      leaf site 3650 "DNS:Site.example,DNS:*.site.example,IP:127.0.0.1,IP:::1"
        rsa siteRSA;  leaf siteRSA 3650 "DNS:site.example"
        ec other;     leaf other 3650 "DNS:other.example,DNS:exact.site.example"
        ec curve384 P-384; leaf curve384 3650 "DNS:p384.example"
        ec expired;   leaf expired -1 "DNS:site.example"
        ec nameless;  leaf nameless 3650 ""
        ec mailer;    leaf mailer 3650 "DNS:site.example" emailProtection
        ec sha1;      HASH=-sha1 leaf sha1 3650 "DNS:site.example"
        ec forger
        openssl req -x509 -key forger.key -subj "/CN=Test intermediate" -days 3650 -out forger.crt
        ec forged;    CA=forger leaf forged 3650 "DNS:site.example"
        ec faker;     CA=forger leaf faker 3650 "DNS:site.example" clientAuth
        cat site.crt other.crt > unlinked.pem; cp site.key unlinked.key
        cat site.crt > bare.pem; cp site.key bare.key
        ec alone
        openssl req -x509 -key alone.key -subj /CN=alone -addext subjectAltName=DNS:site.example \\
          -days 3650 -out alone.pem

        ec reporter
        leaf reporter 3650 "DNS:Reporter.example,URI:spiffe://site.example/reporter,email:r@site.example,IP:192.0.2.7" \\
          clientAuth
        ec lapsed;    leaf lapsed -1 "DNS:lapsed.example" clientAuth
        ec visitors
        openssl req -x509 -key visitors.key -subj "/CN=Visitors" -days 3650 -out visitors.crt \\
          -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
        ec visitor;   CA=visitors leaf visitor 3650 "DNS:visitor.example" clientAuth
        { printf 'basicConstraints=CA:FALSE\\nextendedKeyUsage=clientAuth\\nsubjectAltName=URI:x:'
          head -c 40000 /dev/zero | tr '\\0' a; echo; } > bulky.ext
        ec bulky
        openssl req -new -key bulky.key -subj "/CN=bulky" -out bulky.csr
        openssl x509 -req -in bulky.csr -CA visitors.crt -CAkey visitors.key -CAcreateserial -days 3650 \\
          -extfile bulky.ext -out bulky.pem
        mkdir hashed; cp root.pem hashed/; openssl rehash hashed
        cat root.pem visitors.crt > both.pem; cat visitors.crt root.pem > htob.pem
        for key in 1 2 3; do openssl rand -out ticket$key.key 80; done
        head -c 79 ticket1.key > short.key; cat ticket1.key ticket2.key > long.key
        { head -c 16 ticket1.key; head -c 64 ticket2.key; } > namesake.key

        openssl pkcs8 -topk8 -in site.key -passout pass:secret -out encrypted8.key
        openssl ec -in site.key -aes128 -passout pass:secret -out encryptedEC.key
        openssl ecparam -name prime256v1 -genkey -out params.key; leaf params 3650 "DNS:site.example"
        openssl rsa -in siteRSA.key -traditional -out traditional.key
        cat site.pem site.key > together.pem
        openssl x509 -in site.crt -outform DER -out binary.pem
        openssl genpkey -algorithm ED25519 -out ed25519.key; leaf ed25519 3650 "DNS:site.example"
        ec curve521 P-521; leaf curve521 3650 "DNS:site.example"
        rsa weak 1024; leaf weak 3650 "DNS:site.example"
        printf -- '-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n' > badCertificate.pem
        cat site.crt badCertificate.pem > badSecond.pem
        printf -- '-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----\\n' > bad.key
        : > empty.pem
        echo hello > text.pem
        """
}
