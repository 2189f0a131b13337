import PluginKit

/// What an origin's status means for the viewer.
enum OriginStatus {
    /// - Throws: ``GatewayFault`` unless the answer can be passed on; its body was given up then.
    static func check(_ answer: UpstreamResponse, for purpose: OriginFields.Purpose) async throws {
        guard let fault = fault(of: answer.status, for: purpose, header: answer.header) else { return }
        await OriginClient.release(answer.body)
        throw fault
    }

    static func fault(
        of status: Status, for purpose: OriginFields.Purpose, header: (HeaderName) -> String?
    ) -> GatewayFault? {
        switch status {
        case .rangeNotSatisfiable where purpose == .media:
            return .rangeNotSatisfiable(contentRange: header(.contentRange))
        case _ where status.isError:
            return .originAnswered(status, retryAfter: header(.retryAfter))
        case .notModified where purpose == .media:
            return nil
        case .partialContent where purpose == .playlist:
            return .proxyError("bad_answer", "the origin sent a part of the playlist, which was not asked for")
        case _ where status.isSuccess:
            return nil
        default:
            return .proxyError("bad_answer", "the origin answered \(status), which was not asked for")
        }
    }
}
