import GatewayAuth
import GatewayBytes
import GatewayRuntime
import GatewayServer
import GatewayTLS
import PluginKit

/// What `serve --dev` sets up around the gateway: a place for state, a certificate, a secret, a sample stream.
struct DevelopmentStage {
    /// The caller's environment, with everything unset filled in.
    let environment: [String: String]
    let certificate: SelfSignedCertificate
    private let folder: String
    private let certificateFile: String
    private let secret: Secret
    private let sample: SampleStream?

    init(environment given: [String: String]) throws(CommandError) {
        if let problem = Self.problem(in: given) { throw .usage(problem) }
        folder = given["STATE_DIRECTORY"] ?? "\(given["HOME"] ?? "/tmp")/.local/state/gateway"
        certificateFile = "\(folder)/dev-certificate.pem"
        do throws(SystemError) {
            try ProcessContext.makeFolder(folder)
            secret = try Self.secret(in: folder)
        } catch {
            throw CommandError(message: "\(folder): \(error)", exitCode: 73)
        }
        do {
            certificate = try SelfSignedCertificate.make(
                names: ["localhost"], ips: ["127.0.0.1", "::1"], validDays: 30)
            try SmallFile.replace(certificateFile, with: certificate.certificatePEM, mode: 0o644)
        } catch {
            throw CommandError(message: "no certificate for development: \(error)", exitCode: 70)
        }
        sample = SampleStream.prepare(in: folder)
        environment = Self.fill(given, folder: folder, secret: secret)
    }

    /// What must not be set beside `--dev`.
    static func problem(in given: [String: String]) -> String? {
        guard let address = given["LISTEN_ADDRESS"], !isLoopback(address) else { return nil }
        return "serve --dev listens on loopback only; unset LISTEN_ADDRESS=\(address) or drop --dev"
    }

    /// `given` with everything unset filled in.
    func filled(_ given: [String: String]) -> [String: String] {
        Self.fill(given, folder: folder, secret: secret)
    }

    private static func isLoopback(_ address: String) -> Bool {
        address == "localhost" || SocketAddress(literal: address, port: 0)?.isLoopback == true
    }

    /// The secret of earlier runs, so that tokens stay valid; else a fresh one in a file of the owner's only.
    private static func secret(in folder: String) throws(SystemError) -> Secret {
        let path = "\(folder)/dev-secret"
        if let known = try? SmallFile.bytes(of: path, limit: 4096), known.count >= 32 { return Secret(known) }
        var generator = SystemRandomNumberGenerator()
        let random = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let text = Array(Base64URL.encode(random).utf8)
        try SmallFile.replace(path, with: text, mode: 0o600)
        return Secret(text)
    }

    private static func fill(_ given: [String: String], folder: String, secret: Secret) -> [String: String] {
        let defaults = [
            "LISTEN_ADDRESS": "127.0.0.1",
            "STATE_DIRECTORY": folder,
            "PLUGINS": "echo,hls,proxy,sample",
            "SUPABASE_JWT_SECRET": unsafe secret.withBytes { unsafe String(decoding: $0, as: UTF8.self) },
            "SUPABASE_AUTH_ISSUER": "gateway-dev",
            "SUPABASE_AUTH_AUDIENCE": "gateway-dev",
            "ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8",
            "HLS_ALLOWED_ORIGINS": SampleStream.origin(given),
            "PROXY_ROUTES": "/sample=\(SampleStream.origin(given))",
        ]
        return given.merging(defaults) { given, _ in given }
    }

    // MARK: Invitation

    /// What to try, as commands that work as they stand.
    ///
    /// - Parameter running: The plugins that run: nothing is printed for others.
    func invitation(_ addresses: [(entry: EntryPoint, address: SocketAddress)], running: [PluginName]) -> String {
        guard let main = addresses.first(where: { $0.entry == .main })?.address else { return "" }
        let base = "127.0.0.1:\(main.port)"
        var lines = [
            "", "gateway is ready on https://\(base), with a certificate of its own: \(certificateFile)", "",
        ]
        lines += running.contains("echo") ? greetings(base) : ["A token that is good for an hour:", "  \(mintToken())"]
        lines += streams(base, running)
        if let operations = addresses.first(where: { $0.entry == .operations })?.address {
            lines += ["", "Its metrics:", "  curl http://\(operations)/metrics"]
        }
        return (lines + [""]).joined(separator: "\n")
    }

    private func greetings(_ base: String) -> [String] {
        [
            "A request:",
            "  curl --cacert \(certificateFile) https://\(base)/echo",
            "  curl --cacert \(certificateFile) --data hello https://\(base)/echo",
            "",
            "A WebSocket, with a token that is good for an hour:",
            "  wscat --no-check -c 'wss://\(base)/echo?token=\(mintToken())'",
        ]
    }

    private func streams(_ base: String, _ running: [PluginName]) -> [String] {
        guard running.contains("sample") else { return [] }
        guard let sample else { return ["", "ffmpeg is not installed, so there is no sample stream to play."] }
        let link = sample.link(environment)
        var lines: [String] = []
        if running.contains("hls") {
            lines += [
                "",
                "A stream, through the HLS proxy:",
                "  curl --cacert \(certificateFile) https://\(base)\(link)",
                "  ffplay -autoexit 'https://\(base)\(link)'",
            ]
        }
        if running.contains("proxy") {
            lines += [
                "",
                "The sample stream, through the reverse proxy:",
                "  curl --cacert \(certificateFile) https://\(base)/sample/index.m3u8",
            ]
        }
        return lines
    }

    private func mintToken() -> String {
        let (seconds, _) = WallClock.read()
        let token = try? TokenMint(secret: secret).mint(
            subject: "developer", issuer: environment["SUPABASE_AUTH_ISSUER"],
            audience: [environment["SUPABASE_AUTH_AUDIENCE"] ?? ""], now: Double(seconds), lifetime: 3600)
        return token ?? "TOKEN"
    }
}
