import GatewayBytes

/// Why a value may not be sent as a field.
package enum FieldValueError: Error, Equatable, Sendable {
    /// A control character. CR and LF are how responses are split.
    case controlCharacter(UInt8)

    package var message: String {
        switch self {
        case .controlCharacter(let octet): "a field value holds the control byte \(hexadecimal(octet))"
        }
    }
}

/// Fields to be sent: an ordered multimap, stored as it goes out (`Name: value` CR LF), so that sending is one copy.
///
/// One allocation for the usual handful of fields. Lookups walk the lines, except that a known name which does not
/// occur costs one bit test. Names are tokens by type; values are checked here.
package struct HeaderFields: Sendable {
    private var wire: [UInt8] = []
    package private(set) var count = 0
    private var seenLow: UInt64 = 0
    private var seenHigh: UInt64 = 0

    package init() {}

    /// - Parameter bytes: Room for names, values and four bytes per field.
    package init(reserving bytes: Int) { wire.reserveCapacity(bytes) }

    @inline(__always) package var isEmpty: Bool { count == 0 }

    /// How many bytes the fields take on the wire.
    package var byteCount: Int { wire.count }

    // MARK: Adding

    /// Appends a literal, which the programmer vouches for; debug builds check.
    @inline(__always)
    package mutating func append(_ name: HeaderName, _ value: StaticString) {
        assert(Self.fault(in: Input(value)) == nil, "a literal field value holds a control character")
        append(name, unchecked: Input(value))
    }

    /// Appends a number.
    package mutating func append(_ name: HeaderName, decimal value: Int) {
        var digits = OutputBuffer(capacity: 64)
        digits.append(decimal: value)
        unsafe digits.withUnsafeBytes { unsafe append(name, unchecked: Input($0)) }
    }

    /// Appends text from anywhere.
    package mutating func append(_ name: HeaderName, checking value: String) throws(FieldValueError) {
        var value = value
        let fault: FieldValueError? = value.withUTF8 { utf8 in
            let input = unsafe Input(UnsafeRawBufferPointer(utf8))
            if let fault = Self.fault(in: input) { return fault }
            append(name, unchecked: input)
            return nil
        }
        if let fault { throw fault }
    }

    /// Appends bytes from anywhere.
    package mutating func append(
        _ name: HeaderName, checking value: UnsafeRawBufferPointer
    ) throws(FieldValueError) {
        let input = unsafe Input(value)
        if let fault = Self.fault(in: input) { throw fault }
        append(name, unchecked: input)
    }

    /// Appends a value that `write` puts together at the end of the bytes it is given. Nothing changes when it is refused.
    ///
    /// - Parameter room: Most bytes of the value; more trap.
    package mutating func append(
        _ name: HeaderName, room: Int, writing write: (inout OutputSpan<UInt8>) -> Void
    ) throws(FieldValueError) {
        var fault: FieldValueError?
        name.withWireName { name in
            wire.append(addingCapacity: name.count + room + 4) { line in
                unsafe line.append(name.bytes)
                line.append(": ")
                let start = line.count
                write(&line)
                fault = unsafe line.span.withUnsafeBytes { Self.fault(in: unsafe Input($0)[start..<$0.count]) }
                if fault == nil { line.append("\r\n") } else { line.removeAll() }
            }
        }
        if let fault { throw fault }
        note(name.id)
    }

    /// Appends a field out of a parsed head, with its name as the sender spelt it. The parser has checked both.
    package mutating func append(_ field: FieldRange, from bytes: UnsafeRawBufferPointer) {
        let input = unsafe Input(bytes)
        append(id: field.id, name: input[field.name], value: input[field.value])
    }

    /// Appends all of `others`.
    package mutating func append(contentsOf others: HeaderFields) {
        wire.append(contentsOf: others.wire)
        count += others.count
        seenLow |= others.seenLow
        seenHigh |= others.seenHigh
    }

    @inline(__always)
    private mutating func append(_ name: HeaderName, unchecked value: Input) {
        name.withWireName { append(id: name.id, name: $0, value: value) }
    }

    @inline(__always)
    private mutating func append(id: UInt8, name: Input, value: Input) {
        if wire.capacity == 0 { wire.reserveCapacity(192) }
        let size = name.count + value.count + 4
        wire.append(addingCapacity: size) { line in
            unsafe line.withUnsafeMutableBufferPointer { free, filled in
                let line = UnsafeMutableRawBufferPointer(free)
                unsafe line.copyMemory(from: name.bytes)
                unsafe Self.put(0x3A, 0x20, in: line, at: name.count)
                unsafe UnsafeMutableRawBufferPointer(rebasing: line[(name.count + 2)...]).copyMemory(from: value.bytes)
                unsafe Self.put(0x0D, 0x0A, in: line, at: size - 2)
                filled = size
            }
        }
        note(id)
    }

    @inline(__always)
    private static func put(_ first: UInt8, _ second: UInt8, in line: UnsafeMutableRawBufferPointer, at place: Int) {
        unsafe line[place] = first
        unsafe line[place + 1] = second
    }

    @inline(__always)
    private mutating func note(_ id: UInt8) {
        count += 1
        if id < 64 { seenLow |= 1 << UInt64(id) } else { seenHigh |= 1 << UInt64(id & 63) }
    }

    private static func fault(in value: Input) -> FieldValueError? {
        let end = value.endOfValue(from: 0, to: value.count)
        return end < value.count ? .controlCharacter(value[end]) : nil
    }

    // MARK: Replacing and removing

    /// Replaces all fields called `name` by one, at the end.
    package mutating func set(_ name: HeaderName, _ value: StaticString) {
        remove(name)
        append(name, value)
    }

    /// Replaces all fields called `name` by one, at the end. Nothing changes when `value` is refused.
    package mutating func set(_ name: HeaderName, checking value: String) throws(FieldValueError) {
        var others = self
        others.remove(name)
        try others.append(name, checking: value)
        self = others
    }

    package mutating func remove(_ name: HeaderName) {
        guard mayHold(name) else { return }
        removeAll { $0.isNamed(name) }
        // Bit 0 stands for all unknown names together, so it stays.
        guard name.id != 0 else { return }
        if name.id < 64 { seenLow &= ~(1 << UInt64(name.id)) } else { seenHigh &= ~(1 << UInt64(name.id & 63)) }
    }

    /// Removes every field that ends at the connection it came over, or that `Connection` names (RFC 9110 §7.6.1).
    package mutating func removeHopByHop() {
        var named: Set<HeaderName> = []
        forEach { name, value in
            guard name == .connection else { return }
            for option in value.split(separator: ",") {
                if let option = HeaderName(option.filter { $0 != " " && $0 != "\t" }) { named.insert(option) }
            }
        }
        removeAll { line in
            let name = line.headerName
            return name.isHopByHop || named.contains(name)
        }
    }

    private mutating func removeAll(where isUnwanted: (Line) -> Bool) {
        var kept: [UInt8] = []
        kept.reserveCapacity(wire.count)
        var keptCount = 0
        forEachLine { line in
            guard !isUnwanted(line) else { return true }
            unsafe kept.append(contentsOf: line.whole.bytes)
            keptCount += 1
            return true
        }
        wire = kept
        count = keptCount
    }

    // MARK: Reading

    package func contains(_ name: HeaderName) -> Bool {
        guard mayHold(name) else { return false }
        var found = false
        forEachLine { line in
            found = line.isNamed(name)
            return !found
        }
        return found
    }

    /// The value of the first field called `name`.
    package func first(_ name: HeaderName) -> String? {
        guard mayHold(name) else { return nil }
        var found: String?
        forEachLine { line in
            guard line.isNamed(name) else { return true }
            found = line.text
            return false
        }
        return found
    }

    /// Reads the value of the first field called `name` where it stands.
    package func withFirst<R>(_ name: HeaderName, _ body: (UnsafeRawBufferPointer) -> R) -> R? {
        guard mayHold(name) else { return nil }
        var result: R?
        forEachLine { line in
            guard line.isNamed(name) else { return true }
            result = unsafe body(line.value.bytes)
            return false
        }
        return result
    }

    /// Says that the response would differ had the request's field `name` been another (RFC 9110 §12.5.5). Once.
    package mutating func vary(on name: HeaderName) {
        var isNamed = false
        if mayHold(.vary) {
            forEachLine { line in
                guard line.isNamed(.vary) else { return true }
                var elements = ListElements(line.value)
                while let element = elements.next() {
                    if name.matches(element) || element.equalsIgnoringCase("*") { isNamed = true }
                }
                return !isNamed
            }
        }
        guard !isNamed else { return }
        var wireName = name.wireName
        wireName.withUTF8 { unsafe append(.vary, unchecked: Input(UnsafeRawBufferPointer($0))) }
    }

    /// The values of all fields called `name`, in order.
    package func all(_ name: HeaderName) -> [String] {
        guard mayHold(name) else { return [] }
        var found: [String] = []
        forEachLine { line in
            if line.isNamed(name) { found.append(line.text) }
            return true
        }
        return found
    }

    /// Calls `body` with every field in order. For logs and tests; it makes strings.
    package func forEach(_ body: (HeaderName, String) -> Void) {
        forEachLine { line in
            body(line.headerName, line.text)
            return true
        }
    }

    @inline(__always)
    private func mayHold(_ name: HeaderName) -> Bool {
        (name.id < 64 ? seenLow >> UInt64(name.id) : seenHigh >> UInt64(name.id & 63)) & 1 != 0
    }

    // MARK: Writing

    /// Whether a field is among them that the writer of a head decides itself.
    @inline(__always)
    private var holdsFraming: Bool {
        mayHold(.contentLength) || mayHold(.transferEncoding) || mayHold(.connection) || mayHold(.keepAlive)
            || mayHold(.proxyConnection)
    }

    /// Writes all fields, except those about framing and connection: a head has one author for these.
    ///
    /// - Parameter omitted: One more name to leave out.
    @inline(__always)
    func write(to output: inout OutputBuffer, omitting omitted: HeaderName? = nil) {
        if !holdsFraming, omitted == nil {
            output.append(wire)
        } else {
            writeSome(to: &output, omitting: omitted)
        }
    }

    private func writeSome(to output: inout OutputBuffer, omitting omitted: HeaderName?) {
        forEachLine { line in
            let isOmitted = omitted.map { line.isNamed($0) } ?? false
            if !isOmitted, !line.headerName.steersFraming { unsafe output.append(line.whole.bytes) }
            return true
        }
    }

    // MARK: Lines

    private struct Line {
        let whole: Input
        let name: Input
        var value: Input { whole[name.count + 2..<whole.count - 2] }
        var text: String { unsafe String(decoding: value.bytes, as: UTF8.self) }
        var headerName: HeaderName { HeaderName(id: NameIndex.shared.find(name), name: name) }
        func isNamed(_ other: HeaderName) -> Bool { other.matches(name) }
    }

    /// Calls `body` with each line until it answers `false`.
    private func forEachLine(_ body: (Line) -> Bool) {
        unsafe wire.withUnsafeBytes { raw in
            let input = unsafe Input(raw)
            var start = 0
            // Why a line feed ends a line: no value holds one.
            while let lineFeed = input.firstLineFeed(in: start..<input.count) {
                let whole = input[start..<lineFeed + 1]
                var colon = 0
                while whole[colon] != 0x3A { colon += 1 }
                guard body(Line(whole: whole, name: whole[0..<colon])) else { return }
                start = lineFeed + 1
            }
        }
    }
}

extension HeaderFields: Equatable {
    /// The same fields in the same order and spelling.
    package static func == (left: HeaderFields, right: HeaderFields) -> Bool { left.wire == right.wire }
}

extension HeaderFields: CustomStringConvertible {
    package var description: String { String(decoding: wire, as: UTF8.self) }
}
