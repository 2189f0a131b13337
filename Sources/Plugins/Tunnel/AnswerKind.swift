import PluginKit

/// How a streaming answer can be told apart from one that broke off: its readers get a last event.
enum AnswerKind {
    case events
    case lines
    case other

    init(_ contentType: String?) {
        let type = (contentType ?? "").prefix { $0 != ";" && $0 != " " }.lowercased()
        switch type {
        case "text/event-stream": self = .events
        case "application/x-ndjson", "application/jsonl", "application/json-seq": self = .lines
        default: self = .other
        }
    }

    /// What is written before the framing is broken; `nil` where readers expect no such thing.
    func notice(of failure: TunnelFailure) -> [UInt8]? {
        var json = JSONWriter()
        json.object { json in
            json.key("error")
            failure.report.write(to: &json)
        }
        switch self {
        // A line that was cut off is ended first.
        case .events: return Array("\n\nevent: error\ndata: ".utf8) + json.bytes + Array("\n\n".utf8)
        case .lines: return [UInt8(ascii: "\n")] + json.bytes + [UInt8(ascii: "\n")]
        case .other: return nil
        }
    }
}
