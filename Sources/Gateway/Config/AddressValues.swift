/// A TCP port; zero lets the system pick one.
package struct Port: SettingValue, Hashable, Comparable, ExpressibleByIntegerLiteral, CustomStringConvertible {
    package typealias Limits = ClosedRange<Port>

    package let number: UInt16

    package init(_ number: UInt16) { self.number = number }
    package init(integerLiteral number: UInt16) { self.number = number }

    package static func < (left: Port, right: Port) -> Bool { left.number < right.number }

    package static var settingType: String { "port" }
    package static var placeholder: Port { 0 }

    package static func read(_ text: String, bare: NoUnit?) throws(SettingError) -> Port {
        // A Service named like the setting (`websocket`) makes Kubernetes put its address under the setting's name.
        guard !text.hasPrefix("tcp://"), !text.hasPrefix("udp://") else {
            throw SettingError(
                "not a port but a Kubernetes service link; set the port, or enableServiceLinks: false in the pod")
        }
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(text) else {
            throw SettingError("not a port; write a number from 0 to 65535")
        }
        return Port(number)
    }

    package var settingText: String { String(number) }
    package var description: String { String(number) }
}

/// Where to listen: `127.0.0.1:9901`, `[::1]:9901`, `localhost:9901`, or `:9901` for every address.
package struct ListenAddress: SettingValue, Hashable, CustomStringConvertible {
    /// A name or an address without brackets; empty for every address.
    package let host: String
    package let port: Port

    package init(host: String, port: Port) {
        self.host = host
        self.port = port
    }

    package var isEveryAddress: Bool { host.isEmpty || host == "0.0.0.0" || host == "::" }

    package static var settingType: String { "address and port" }
    package static var placeholder: ListenAddress { ListenAddress(host: "127.0.0.1", port: 0) }

    package static func read(_ text: String, bare: NoUnit?) throws(SettingError) -> ListenAddress {
        let refusal = SettingError("not an address and port; write 127.0.0.1:9901, [::1]:9901 or :9901")
        guard let colon = text.lastIndex(of: ":") else { throw refusal }
        let host = text[..<colon]
        guard text.index(after: colon) < text.endIndex,
            let port = try? Port.read(String(text[text.index(after: colon)...]), bare: nil)
        else { throw refusal }
        if host.isEmpty || host == "*" { return ListenAddress(host: "", port: port) }
        if host.first == "[", host.last == "]" {
            let inside = host.dropFirst().dropLast()
            guard isIPv6Shaped(inside) else { throw refusal }
            return ListenAddress(host: String(inside), port: port)
        }
        guard isNameOrIPv4(host) else { throw refusal }
        return ListenAddress(host: String(host), port: port)
    }

    package var settingText: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    package var description: String { settingText }
}

/// Only the shape: the system's own parser has the last word when the socket is bound.
private func isIPv6Shaped(_ host: Substring) -> Bool {
    let address = host.prefix { $0 != "%" }
    guard address.count(where: { $0 == ":" }) >= 2, host.last != "%" else { return false }
    return address.allSatisfy { $0.isHexDigit && $0.isASCII || $0 == ":" || $0 == "." }
        && host.dropFirst(address.count + 1).allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
}

private func isNameOrIPv4(_ host: Substring) -> Bool {
    guard host.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "." || $0 == "-" || $0 == "_") }) else {
        return false
    }
    guard host.allSatisfy({ $0.isNumber || $0 == "." }) else { return true }
    let octets = host.split(separator: ".", omittingEmptySubsequences: false)
    return octets.count == 4 && octets.allSatisfy { UInt8($0) != nil }
}
