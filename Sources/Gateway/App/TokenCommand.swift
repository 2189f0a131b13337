import GatewayAuth
import GatewayBytes
import GatewayRuntime
import GatewayServer

/// `gateway token mint` and `gateway token explain`.
enum TokenCommand {
    private static let help = """
        gateway token mint [--subject S] [--lifetime SECONDS] [--role R] [--admin] [--claim NAME=JSON]…
          Signs an HS256 token with SUPABASE_JWT_SECRET for SUPABASE_AUTH_ISSUER and SUPABASE_AUTH_AUDIENCE.
          Defaults: subject `someone`, 3600 seconds, no role.

        gateway token explain TOKEN
          Runs every check of the gateway on a token, with the gateway's settings. `-` reads it from standard input. Exits
          1 when a check fails.

        --env-file FILE reads settings from a file too.
        """

    static func run(_ arguments: [String], _ source: SettingsSource) throws(CommandError) -> Int32 {
        switch arguments.first {
        case "mint" where !arguments.contains("--help"): return try mint(Array(arguments.dropFirst()), source)
        case "explain" where arguments.count == 2 && arguments[1] != "--help":
            return try explain(arguments[1], source)
        default:
            print(help)
            return arguments.contains("--help") ? 0 : 64
        }
    }

    private static func mint(_ options: [String], _ source: SettingsSource) throws(CommandError) -> Int32 {
        let auth = source.configuration().core.auth
        guard let secret = auth.secret else {
            throw CommandError(message: "SUPABASE_JWT_SECRET is not set; a token is signed with it", exitCode: 78)
        }
        let request = try MintRequest(options)
        do throws(MintError) {
            let (seconds, _) = WallClock.read()
            print(
                try TokenMint(secret: secret).mint(
                    subject: request.subject, issuer: auth.issuer, audience: auth.audiences, now: Double(seconds),
                    lifetime: request.lifetime, more: request.claims))
            return 0
        } catch {
            throw CommandError(message: "the token cannot be signed: \(error.message)", exitCode: 78)
        }
    }

    private static func explain(_ token: String, _ source: SettingsSource) throws(CommandError) -> Int32 {
        let text = token == "-" ? (readLine() ?? "") : token
        let auth = source.configuration().core.auth
        do throws(KeyError) {
            let keys = KeySet(fixed: try auth.fixedKeys(), expectsPublished: !auth.keySources.isEmpty)
            let authenticator = Authenticator(policy: auth.policy, keys: keys)
            let (seconds, _) = WallClock.read()
            let explanation = authenticator.explain(Array(text.utf8), now: Double(seconds))
            for line in explanation.lines { print(line) }
            if explanation.failure?.wantsFreshKeys == true, !auth.keySources.isEmpty {
                print("note  published keys are not fetched here; this checks with SUPABASE_JWT_SECRET alone")
            }
            return explanation.failure == nil ? 0 : 1
        } catch {
            throw CommandError(message: "SUPABASE_JWT_SECRET: \(error.message)", exitCode: 78)
        }
    }
}

/// What `mint` was asked for.
private struct MintRequest {
    var subject = "someone"
    var lifetime = 3600.0
    var claims = JSONObject()

    init(_ options: [String]) throws(CommandError) {
        var rest = options[...]
        while let option = rest.popFirst() {
            if option == "--admin" {
                claims["permissions"] = .array([.string("admin")])
                continue
            }
            guard let value = rest.popFirst() else { throw .usage("\(option) needs a value") }
            switch option {
            case "--subject": subject = value
            case "--role": claims["role"] = .string(value)
            case "--lifetime":
                guard let seconds = Double(value) else { throw .usage("--lifetime takes seconds") }
                lifetime = seconds
            case "--claim": try addClaim(value)
            default: throw .usage("mint has no option \(option); see gateway token mint --help")
            }
        }
    }

    private mutating func addClaim(_ text: String) throws(CommandError) {
        guard let split = text.firstIndex(of: "=") else { throw .usage("--claim takes NAME=JSON") }
        let value = Array(text[text.index(after: split)...].utf8)
        guard let json = try? JSON.parse(value) else { throw .usage("--claim \(text): the value is not JSON") }
        claims[String(text[..<split])] = json
    }
}
