package import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayUpstream

/// `gateway agent enrol`: asks for a credential that is good for one agent of the user's, and nothing else.
package enum Enrolment {
    /// What the gateway has answered; the credential is shown this once.
    package struct Issued: Sendable {
        package let name: String
        package let id: String
        package let credential: Secret
    }

    /// Most bytes of the answer.
    private static let answerLimit = 64 << 10

    /// Blocks until the gateway has answered.
    package static func ask(_ options: EnrolOptions) throws(Ending) -> Issued {
        let outcome = CommandLoop.run { loop in
            do throws(Ending) {
                return Result<Issued, Ending>.success(try await ask(options, on: loop))
            } catch {
                return .failure(error)
            }
        }
        guard let outcome else { throw Ending("no event loop can be started", Ending.broken) }
        return try outcome.get()
    }

    /// Puts the credential where only this user can read it.
    package static func store(_ issued: Issued, at path: String) throws(Ending) {
        let bytes = unsafe issued.credential.withBytes { unsafe Array($0) }
        do throws(SystemError) {
            try SmallFile.replace(path, with: bytes + [UInt8(ascii: "\n")], mode: 0o600)
        } catch {
            throw Ending(
                "the enrolment was issued and cannot be written to \(path): \(error.reason); revoke it and try again",
                Ending.cannotCreate)
        }
    }

    static func ask(_ options: EnrolOptions, on loop: EventLoop) async throws(Ending) -> Issued {
        let source = options.connection.credentials
        let credential: Credential
        do {
            credential = try await loop.offload("credential") { try source.read() }
        } catch {
            throw Ending((error as? CredentialError)?.message ?? "\(error)", Ending.configuration)
        }
        let client = try Clients.forGateway(options.connection, sockets: Agent.sockets)
        var json = JSONWriter()
        json.object { json in
            json.member("name", options.name)
            if options.replaces { json.member("replace", true) }
        }
        let request = options.connection.request(.post, "/api/tunnel/enrolments", as: credential, body: json.bytes)
        let (status, body) = try await answer(to: request, from: client)
        guard (200...299).contains(status) else {
            let reason = Refusal.reason(status: status, body: body)
            throw Ending(
                "the gateway does not enrol this agent: \(reason)",
                status == 401 || status == 403 ? Ending.notPermitted : Ending.unavailable)
        }
        guard let answer = try? JSON.parse(body), let text = answer["credential"]?.string, !text.isEmpty else {
            throw Ending("the gateway's answer holds no credential", Ending.protocolError)
        }
        return Issued(
            name: answer["name"]?.string ?? options.name, id: answer["id"]?.string ?? "", credential: Secret(text))
    }

    private static func answer(
        to request: UpstreamRequest, from client: UpstreamClient
    ) async throws(Ending) -> (status: Int, body: [UInt8]) {
        do {
            let answer = try await client.send(request)
            return (answer.status.code, try await answer.body.collect(limit: answerLimit))
        } catch {
            throw Ending("the gateway does not answer: \(error)", Ending.unavailable)
        }
    }
}
