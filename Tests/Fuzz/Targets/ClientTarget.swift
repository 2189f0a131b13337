import GatewayHTTP

/// The start of a connection that a balancer made: a PROXY header, or not.
enum ProxyHeaderTarget {
    private enum Outcome: Equatable {
        case header(ProxyProtocolHeader)
        case incomplete
        case refused(ProxyProtocolError)
    }

    static func run(_ bytes: [UInt8]) {
        for limit in [4096, 64] {
            let whole = parse(bytes, limit)
            for count in 0..<min(bytes.count, 300) {
                let part = parse(Array(bytes[..<count]), limit)
                if case .header(let header) = whole, count >= header.length {
                    require(part == whole, "\(count) bytes: \(part), all: \(whole)")
                } else if case .refused = whole {
                    require(part == whole || part == .incomplete, "\(count) bytes: \(part), all: \(whole)")
                } else {
                    require(part == .incomplete, "\(count) bytes: \(part), all: \(whole)")
                }
            }
            guard case .header(let header) = whole else { continue }
            require(
                header.length <= bytes.count && header.length <= max(limit, 107), "a header of \(header.length) bytes")
            if case .address(let address, _) = header.client {
                require(address == address.unmapped, "a mapped address")
            }
        }
    }

    private static func parse(_ bytes: [UInt8], _ limit: Int) -> Outcome {
        do throws(ProxyProtocolError) {
            return try ProxyProtocolHeader.parse(bytes.span, limit: limit).map(Outcome.header) ?? .incomplete
        } catch {
            return .refused(error)
        }
    }
}

/// Field lines of a client that wants to be somebody else, before a proxy adds its own.
enum ClientTarget {
    private static let trusted = IPPrefix(.v4(0x0A00_0000), length: 8)
    private static let client = IPAddress.v4(0xCB00_7109)

    static func run(_ bytes: [UInt8]) {
        let lines = bytes.split(separator: 0x0A).map { Array($0) }
        guard lines.count <= 32 else { return }
        for source in ClientAddressSource.allCases {
            let rule = ClientAddressRule(source, trusting: [trusted])
            if let (head, bytes) = head(lines) { check(head, bytes, rule) }
        }
        // Whatever came before, a client is who the nearest proxy says: in a line of its own, or behind the last one.
        checkSpoofing(lines, .xForwardedFor, "X-Forwarded-For", "203.0.113.9")
        checkSpoofing(lines, .forwarded, "Forwarded", "for=203.0.113.9;host=\"a.example\";proto=https")
        checkSpoofing(lines, .forwarded, "Forwarded", "for=\"203.0.113.9:80\", for=\"[::ffff:10.0.0.1]\"")
    }

    private static func head(_ lines: [[UInt8]]) -> (RequestHead, [UInt8])? {
        var bytes = Array("GET / HTTP/1.1\r\nHost: h\r\n".utf8)
        for line in lines { bytes += line + [0x0D, 0x0A] }
        bytes += [0x0D, 0x0A]
        var parser = RequestParser()
        var head = RequestHead()
        guard (try? parser.parse(bytes.span, into: &head)) == true, head.length == bytes.count else { return nil }
        return (head, bytes)
    }

    private static func check(_ head: RequestHead, _ bytes: [UInt8], _ rule: ClientAddressRule) {
        unsafe bytes.withUnsafeBytes { raw in
            if let claim = try? unsafe rule.read(head.fields, in: raw) {
                require(claim.address.map { $0 == $0.unmapped } ?? true, "a mapped address")
                if let host = claim.host {
                    require(!host.isEmpty && host.upperBound <= bytes.count, "a host outside the head")
                    require(unsafe host.of(raw).allSatisfy { 0x21...0x7E ~= $0 && $0 != 0x2C }, "not a host")
                }
            }
            var cleaned = head
            unsafe cleaned.removeIdentity(in: raw)
            require(!cleaned.fields.tellsAddress, "an address is left")
            var kept = Array(cleaned.fields)[...]
            for field in head.fields where field == kept.first { kept.removeFirst() }
            require(kept.isEmpty, "other fields, or in another order")
            for field in cleaned.fields {
                let name = unsafe field.headerName(in: raw).wireName.lowercased()
                require(!name.hasPrefix("x-forwarded-") && name != "x-request-id", "left: \(name)")
            }
            let count = cleaned.fields.count
            unsafe cleaned.removeIdentity(in: raw)
            require(cleaned.fields.count == count, "more goes the second time")
        }
    }

    private static func checkSpoofing(
        _ lines: [[UInt8]], _ source: ClientAddressSource, _ name: String, _ value: String
    ) {
        let rule = ClientAddressRule(source, trusting: [trusted])
        let forged = lines.first { $0.allSatisfy { $0 >= 0x20 && $0 < 0x7F } } ?? []
        for added in [
            lines + [Array("\(name): \(value)".utf8)], [Array("\(name): ".utf8) + forged + Array(", \(value)".utf8)],
        ] {
            guard let (head, bytes) = head(added) else { continue }
            let claim = unsafe bytes.withUnsafeBytes { try? unsafe rule.read(head.fields, in: $0) }
            require(claim?.address == client, "\(String(describing: claim)) by \(bytes.shown)")
        }
    }
}
