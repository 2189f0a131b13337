/// One step of a request's way here, as a proxy wrote it down: who it got the request from, and what it was asked.
struct ForwardedHop: Equatable {
    /// `nil` for `unknown` and for names that a proxy made up (RFC 7239 §6).
    var address: IPAddress?
    /// Whether the step before the proxy was encrypted; `nil` if it does not say.
    var isSecure: Bool?
    /// Where the host stands that the proxy was asked for; `nil` if it does not say, or not validly.
    var host: ByteRange?

    init() {}

    /// Reads an element of X-Forwarded-For: an address, perhaps in brackets, perhaps with a port.
    ///
    /// - Returns: `nil` for anything else.
    init?(address text: Input) {
        guard let address = Self.address(text) else { return nil }
        self.address = address
    }

    /// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`. Mapped addresses count as
    /// the IPv4 addresses they stand for.
    static func address(_ text: Input) -> IPAddress? {
        guard !text.isEmpty, text.count <= 64 else { return nil }
        if text[0] == 0x5B {
            guard let end = text.firstIndex(of: 0x5D), isPort(text[end + 1..<text.count]) else { return nil }
            guard let address = plain(text[1..<end]), address.bitWidth == 128 else { return nil }
            return address.unmapped
        }
        if let address = plain(text) { return address.unmapped }
        guard let colon = text.firstIndex(of: 0x3A), isPort(text[colon..<text.count]) else { return nil }
        guard let address = plain(text[0..<colon]), address.bitWidth == 32 else { return nil }
        return address
    }

    private static func plain(_ text: Input) -> IPAddress? {
        unsafe IPAddress(text: text.bytes.assumingMemoryBound(to: UInt8.self).span)
    }

    /// Nothing, or a colon and up to five digits.
    private static func isPort(_ text: Input) -> Bool {
        guard !text.isEmpty else { return true }
        guard text[0] == 0x3A, text.count >= 2, text.count <= 6 else { return false }
        return text[1..<text.count].decimal != nil
    }
}

/// Reads one element of `Forwarded` (RFC 7239 §4). Strict, but for escapes in quoted strings: no address needs one, so
/// none is understood.
struct ForwardedElement {
    private let bytes: Input
    private let end: Int
    private var index: Int

    /// - Parameters:
    ///   - element: Where it stands in `bytes`, without blanks around it; not empty.
    ///   - bytes: A host that is found is a range of these.
    static func read(_ element: Range<Int>, in bytes: Input) throws(ClientAddressError) -> ForwardedHop {
        var reader = ForwardedElement(bytes: bytes, end: element.upperBound, index: element.lowerBound)
        return try reader.read()
    }

    private mutating func read() throws(ClientAddressError) -> ForwardedHop {
        var hop = ForwardedHop()
        var seen: UInt8 = 0
        while true {
            try readPair(into: &hop, &seen)
            skipBlanks()
            guard index < end else { return hop }
            guard bytes[index] == 0x3B else { throw .malformed }
            index += 1
            skipBlanks()
        }
    }

    private mutating func skipBlanks() {
        while index < end, Input.isBlank(bytes[index]) { index += 1 }
    }

    /// `token "=" ( token / quoted-string )`, or nothing between two semicolons.
    private mutating func readPair(into hop: inout ForwardedHop, _ seen: inout UInt8) throws(ClientAddressError) {
        guard index < end, bytes[index] != 0x3B else { return }
        let start = index
        while index < end, Octet.isA(bytes[index], Octet.token) { index += 1 }
        let name = bytes[start..<index]
        guard !name.isEmpty, index < end, bytes[index] == 0x3D else { throw .malformed }
        index += 1
        let value = try readValue()
        if name.equalsIgnoringCase("for") {
            try Self.note(1, in: &seen)
            hop.address = try Self.node(bytes[value])
        } else if name.equalsIgnoringCase("proto") {
            try Self.note(2, in: &seen)
            hop.isSecure = ClientClaim.isSecure(scheme: bytes[value])
        } else if name.equalsIgnoringCase("host") {
            try Self.note(4, in: &seen)
            hop.host = ClientClaim.host(ByteRange(value.lowerBound, value.upperBound), in: bytes)
        }
    }

    /// Each parameter may occur once (RFC 7239 §4).
    private static func note(_ bit: UInt8, in seen: inout UInt8) throws(ClientAddressError) {
        guard seen & bit == 0 else { throw .malformed }
        seen |= bit
    }

    private mutating func readValue() throws(ClientAddressError) -> Range<Int> {
        guard index < end else { throw .malformed }
        let start = index
        guard bytes[index] == 0x22 else {
            while index < end, Octet.isA(bytes[index], Octet.token) { index += 1 }
            guard index > start else { throw .malformed }
            return start..<index
        }
        index += 1
        while index < end, bytes[index] != 0x22 {
            // Neither an address nor a host needs an escape.
            guard bytes[index] != 0x5C else { throw .malformed }
            index += 1
        }
        guard index < end else { throw .malformed }
        index += 1
        return start + 1..<index - 1
    }

    /// A node (RFC 7239 §6): an address, or `unknown` or `_name`, for which the answer is `nil`.
    private static func node(_ text: Input) throws(ClientAddressError) -> IPAddress? {
        if let address = ForwardedHop.address(text) { return address }
        guard let colon = text.firstIndex(of: 0x3A) else {
            guard isNameless(text) else { throw .malformed }
            return nil
        }
        guard isNameless(text[0..<colon]) || ForwardedHop.address(text[0..<colon]) != nil else { throw .malformed }
        // `_port` behind an address says nothing that is needed here.
        guard isNameless(text[colon + 1..<text.count]) || text[colon + 1..<text.count].decimal != nil else {
            throw .malformed
        }
        return ForwardedHop.address(text[0..<colon])
    }

    private static func isNameless(_ text: Input) -> Bool {
        if text.equalsIgnoringCase("unknown") { return true }
        guard text.count >= 2, text[0] == 0x5F else { return false }
        return text[1..<text.count].allSatisfy(Octet.unreserved)
    }
}

/// The elements of a list field from its end: the last hop is the one nearest to this gateway, and nothing that stands
/// before an element, however broken, changes how it is read.
struct BackwardElements {
    private let bytes: Input
    private let start: Int
    private var end: Int
    /// A comma within quotes does not separate. Counting quotes from the end works as there are no escapes.
    private let knowsQuotes: Bool

    init(_ value: ByteRange, in bytes: Input, knowsQuotes: Bool) {
        self.bytes = bytes
        start = value.lowerBound
        end = value.upperBound
        self.knowsQuotes = knowsQuotes
    }

    /// The next element to the left that is not empty, without the blanks around it.
    mutating func next() -> Range<Int>? {
        while end > start {
            var index = end
            var isQuoted = false
            while index > start {
                let octet = bytes[index - 1]
                if octet == 0x2C, !isQuoted { break }
                if octet == 0x22, knowsQuotes { isQuoted.toggle() }
                index -= 1
            }
            var element = index..<end
            end = index - 1
            while !element.isEmpty, Input.isBlank(bytes[element.lowerBound]) { element = element.dropFirst() }
            while !element.isEmpty, Input.isBlank(bytes[element.upperBound - 1]) { element = element.dropLast() }
            if !element.isEmpty { return element }
        }
        return nil
    }
}

extension Input {
    /// Where the first `octet` stands.
    func firstIndex(of octet: UInt8) -> Int? {
        for index in 0..<count where self[index] == octet { return index }
        return nil
    }
}
