import GatewayHTTP
import Testing

/// What became of some bytes that were given to a request parser, in a form that can be compared and printed.
enum HeadOutcome: Equatable, Sendable {
    case head(String)
    case incomplete
    case refused(RequestError)

    var status: Int? {
        if case .refused(let error) = self { return error.status.code }
        return nil
    }
}

/// A request as tests write it: text whose characters stand for bytes of the same number.
struct Sample: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]

    init(_ name: String, _ text: String) {
        self.name = name
        bytes = text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
    }

    init(_ text: String) { self.init(text.debugDescription, text) }

    var testDescription: String { name }
}

/// Gives a parser prefixes of `bytes` that end at `ends`, the last of which should be all of them.
func parse(
    _ bytes: [UInt8], upTo ends: some Sequence<Int>, limits: HeadLimits = HeadLimits()
) -> HeadOutcome {
    var parser = RequestParser(limits: limits)
    var head = RequestHead()
    do throws(RequestError) {
        for end in ends {
            let prefix = Array(bytes[..<end])
            if try parser.parse(prefix.span, into: &head) { return .head(describe(head, bytes)) }
        }
        return .incomplete
    } catch {
        return .refused(error)
    }
}

func parse(_ bytes: [UInt8], limits: HeadLimits = HeadLimits()) -> HeadOutcome {
    parse(bytes, upTo: [bytes.count], limits: limits)
}

func parse(_ text: String, limits: HeadLimits = HeadLimits()) -> HeadOutcome {
    parse(Sample(text).bytes, limits: limits)
}

/// The head itself, or nothing when it is refused or incomplete.
func readHead(_ text: String) -> (head: RequestHead, bytes: [UInt8])? {
    let bytes = Sample(text).bytes
    var parser = RequestParser()
    var head = RequestHead()
    guard let isComplete = try? parser.parse(bytes.span, into: &head), isComplete else { return nil }
    return (head, bytes)
}

func text(_ range: ByteRange, _ bytes: [UInt8]) -> String { String(decoding: bytes[range.range], as: UTF8.self) }

private func describe(_ head: RequestHead, _ bytes: [UInt8]) -> String {
    var lines = [
        "\(head.method) \(head.form) \(text(head.methodRange, bytes)) \(text(head.targetRange, bytes))",
        "path \(text(head.pathRange, bytes)) plain \(head.pathIsPlain)",
        "query \(head.queryRange.map { text($0, bytes) } ?? "-") authority \(text(head.authorityRange, bytes))",
        "1.\(head.minorVersion) \(head.framing) keep \(head.keepAlive) continue \(head.expectsContinue)",
        "websocket \(head.upgradesToWebSocket) length \(head.length)",
    ]
    for field in head.fields { lines.append("\(text(field.name, bytes))=\(text(field.value, bytes))") }
    return lines.joined(separator: "\n")
}
