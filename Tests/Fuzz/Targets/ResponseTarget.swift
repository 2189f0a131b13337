import GatewayBytes
import GatewayHTTP

/// The bytes of an upstream's response, as an answer to several methods.
enum ResponseTarget {
    private enum Outcome: Equatable {
        case head(HeadView)
        case incomplete
        case refused(ResponseError)
    }

    private struct HeadView: Equatable {
        let code: Int
        let minorVersion: UInt8
        let reason: ByteRange
        let framing: ResponseFraming
        let keepAlive: Bool
        let declaredLength: UInt64?
        let length: Int
        let flags: [Bool]
        let fields: [FieldRange]

        init(_ head: ResponseHead) {
            code = head.status.code
            minorVersion = head.minorVersion
            reason = head.reasonRange
            framing = head.framing
            keepAlive = head.keepAlive
            declaredLength = head.declaredLength
            length = head.length
            flags = [head.isInterim, head.switchesToWebSocket]
            fields = Array(head.fields)
        }
    }

    private static let methods: [Method] = [.get, .head, .connect]

    static func run(_ input: [UInt8]) {
        _ = read(input, upTo: [input.count], answering: .get, limits: HeadLimits())
        let bytes = input + Array("\r\n\r\n".utf8)
        for limits in [HeadLimits(), RequestTarget.small] {
            for method in methods {
                let whole = read(bytes, upTo: [bytes.count], answering: method, limits: limits)
                for ends in Pieces.ways(to: bytes) {
                    let pieces = read(bytes, upTo: ends, answering: method, limits: limits)
                    require(pieces == whole, "in pieces up to \(ends): \(pieces), as a whole: \(whole)")
                }
                guard case .head(let view) = whole else { continue }
                require(view.length <= limits.head.bytes, "a head of \(view.length) bytes")
                let alone = read(
                    Array(bytes[..<view.length]), upTo: [view.length], answering: method, limits: limits)
                require(alone == whole, "what follows a head changes it: \(whole), alone: \(alone)")
            }
        }
        for method in methods { checkAccepted(bytes, answering: method) }
    }

    private static func read(
        _ bytes: [UInt8], upTo ends: [Int], answering method: Method, limits: HeadLimits
    ) -> Outcome {
        var parser = ResponseParser(limits: limits)
        // A head that has been used before: nothing of that response may shine through.
        var head = used
        do throws(ResponseError) {
            for end in ends {
                let prefix = Array(bytes[..<end])
                if try parser.parse(prefix.span, answering: method, into: &head) { return .head(HeadView(head)) }
            }
            return .incomplete
        } catch {
            return .refused(error)
        }
    }

    private static let used: ResponseHead = {
        let response = "HTTP/1.1 101 Off\r\nUpgrade: websocket\r\nConnection: upgrade\r\nX-Unknown: b\r\n\r\n"
        var parser = ResponseParser()
        var head = ResponseHead()
        let isRead = (try? parser.parse(Array(response.utf8).span, answering: .get, into: &head)) == true
        require(isRead, "a plain response is refused")
        return head
    }()

    private static func checkAccepted(_ bytes: [UInt8], answering method: Method) {
        var parser = ResponseParser()
        var head = ResponseHead()
        guard (try? parser.parse(bytes.span, answering: method, into: &head)) == true else { return }
        Fields.check(head.fields, in: bytes, headLength: head.length)
        require(head.reasonRange.range.upperBound <= head.length, "a reason outside the head")
        require(100...599 ~= head.status.code, "status \(head.status.code)")

        let lengths = Fields.values(of: "content-length", head.fields, bytes)
        let codings = Fields.values(of: "transfer-encoding", head.fields, bytes)
        require(lengths.count + codings.count <= 1, "two framings")
        require(lengths == head.declaredLength.map { [String($0)] } ?? [], "a length that is not the field's")
        switch head.framing {
        case .none: break
        case .length(let count): require(lengths == [String(count)], "a length that is not the field's")
        case .chunked: require(codings.count == 1 && head.minorVersion == 1, "chunked without its field")
        case .untilClose: require(lengths.isEmpty && !head.keepAlive, "no end, but a length or a next response")
        case .tunnel: require(head.status.code == 101 || method == .connect, "a tunnel nobody asked for")
        }
        if method == .head {
            require(head.framing == .none || head.framing == .tunnel, "a body in the answer to HEAD")
        }
    }
}
