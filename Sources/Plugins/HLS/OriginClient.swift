import PluginKit

/// Asks origins, and follows their redirects under the rule for them.
struct OriginClient: Sendable {
    let upstream: UpstreamClient
    let redirects: RedirectRule
    let timeouts: UpstreamTimeouts
    let sendsReferer: Bool

    /// The body of an error or a redirect is read to its end up to this size, so that the connection can serve again.
    private static let smallBody: UInt64 = 4096

    /// The answer behind all redirects, of whatever status; its `url` is where it came from.
    ///
    /// - Throws: ``RedirectRule``'s ``GatewayFault``, and what the upstream client throws.
    func fetch(_ method: Method, _ url: HTTPURL, _ fields: HeaderFields) async throws -> UpstreamResponse {
        var url = url
        var followed = 0
        while true {
            let answer = try await send(method, url, fields)
            do {
                guard
                    let next = try redirects.target(
                        of: answer.status, location: answer.header(.location), from: url, followed: followed)
                else { return answer }
                url = next
            } catch {
                answer.body.discard()
                throw error
            }
            followed += 1
            await Self.release(answer.body)
        }
    }

    private func send(_ method: Method, _ url: HTTPURL, _ fields: HeaderFields) async throws -> UpstreamResponse {
        var fields = fields
        if sendsReferer { try OriginFields.appendReferer(of: url, to: &fields) }
        // The URL is a viewer's or a playlist's, whoever listed its origin: the name may resolve to anything.
        var request = UpstreamRequest(method, url, destination: .foreign, fields: fields)
        request.timeouts = timeouts
        return try await upstream.send(request)
    }

    /// Gives up a body that nobody wants, and its connection only if reading on would take longer than a new one.
    static func release(_ body: UpstreamBody) async {
        guard let length = body.length, length <= smallBody else { return body.discard() }
        do {
            while try await body.next() != nil {}
        } catch {
            body.discard()
        }
    }
}
