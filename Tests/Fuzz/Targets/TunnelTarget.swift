import GatewayBytes
import GatewayHTTP
import GatewayTunnel
import TunnelPlugin

/// A text message of a carrier, and the prefix of a binary one.
enum TunnelTarget {
    static func run(_ bytes: [UInt8]) {
        if let message = try? TunnelMessage(bytes) { check(message) }
        unsafe bytes.withUnsafeBytes { bytes in
            guard let frame = unsafe try? DataFrame(bytes) else { return }
            var again = [UInt8](repeating: 0, count: DataFrame.size)
            unsafe again.withUnsafeMutableBytes { unsafe frame.write(to: $0) }
            require(unsafe again.elementsEqual(bytes.prefix(DataFrame.size)), "another prefix: \(again.shown)")
        }
    }

    private static func check(_ message: TunnelMessage) {
        let written = message.text
        // What is written out may be longer than what was read, and than what may be sent.
        guard written.count <= TunnelProtocol.messageSize else { return }
        guard let again = try? TunnelMessage(written) else { fatalError("written and not read: \(written.shown)") }
        require(again.text == written, "written in two ways: \(written.shown) \(again.text.shown)")
        switch message {
        case .open(let stream, .http(let request), _):
            require(stream != 0 && isLine(request.method) && isLine(request.target), "\(request)")
            check(request.fields)
        case .head(_, let answer): check(answer.fields)
        case .hello(let hello):
            require(TunnelProtocol.isAgentName(hello.name) && hello.ports.count <= 64, "\(hello)")
            require(hello.software.unicodeScalars.count <= TunnelProtocol.noteLength, "\(hello)")
        default: break
        }
    }

    private static func isLine(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    private static func check(_ fields: HeaderFields) {
        fields.forEach { name, value in
            require(!name.isHopByHop, "\(name)")
            require(!value.utf8.contains { $0 == 0 || $0 == 13 || $0 == 10 }, "\(name): \(value)")
        }
    }
}

/// What a consumer says in an envelope.
enum EnvelopeTarget {
    static func run(_ bytes: [UInt8]) {
        guard case .request(let request)? = try? Envelope(bytes) else { return }
        let head = request.head
        require(head.target.utf8.first == UInt8(ascii: "/"), head.target)
        require(head.target.utf8.allSatisfy { (0x21...0x7E).contains($0) }, head.target)
        let path = head.target.prefix { $0 != "?" }
        require(!path.contains("//") && !path.hasSuffix("/..") && !path.contains("/../"), head.target)
        head.fields.forEach { name, value in
            require(!name.isHopByHop, "\(name)")
            require(!value.utf8.contains { $0 == 0 || $0 == 13 || $0 == 10 }, "\(name): \(value)")
        }
        require(head.fields.first(.authorization) == nil && head.fields.first(.host) == nil, "credentials go on")
    }
}
