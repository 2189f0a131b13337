/// Writes JSON as bytes, in order: begin, key, value, end. Commas and escapes are its business; whether brackets pair up
/// is the caller's.
///
/// ```swift
/// var json = JSONWriter()
/// json.object {
///     $0.member("code", "expired")
///     $0.member("age", 12)
/// }
/// ```
package struct JSONWriter: Sendable {
    package private(set) var bytes: [UInt8]
    private var needsComma = false

    /// - Parameter bytes: What to append to; the first value comes right behind, without a comma.
    package init(appendingTo bytes: [UInt8] = []) { self.bytes = bytes }

    /// What was written, as text. It is always valid UTF-8 when the bytes appended to were.
    package var text: String { String(decoding: bytes, as: UTF8.self) }

    package mutating func beginObject() { open(UInt8(ascii: "{")) }
    package mutating func endObject() { close(UInt8(ascii: "}")) }
    package mutating func beginArray() { open(UInt8(ascii: "[")) }
    package mutating func endArray() { close(UInt8(ascii: "]")) }

    package mutating func object<E: Error>(_ body: (inout JSONWriter) throws(E) -> Void) throws(E) {
        beginObject()
        try body(&self)
        endObject()
    }

    package mutating func array<E: Error>(_ body: (inout JSONWriter) throws(E) -> Void) throws(E) {
        beginArray()
        try body(&self)
        endArray()
    }

    /// The name of the next member; its value must follow.
    package mutating func key(_ name: String) {
        separate()
        bytes.append(jsonString: name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    package mutating func value(_ text: String) {
        separate()
        bytes.append(jsonString: text)
    }

    package mutating func value(_ value: some BinaryInteger) {
        separate()
        bytes.append(contentsOf: String(value).utf8)
    }

    /// Infinities and NaN, which JSON lacks, become `null`.
    package mutating func value(_ value: Double) {
        guard value.isFinite else { return null() }
        separate()
        bytes.append(contentsOf: value.description.utf8)
    }

    package mutating func value(_ value: Bool) {
        separate()
        bytes.append(contentsOf: (value ? "true" : "false").utf8)
    }

    package mutating func null() {
        separate()
        bytes.append(contentsOf: "null".utf8)
    }

    package mutating func value(_ json: JSON) {
        switch json {
        case .null: null()
        case .bool(let bool): value(bool)
        case .number(let number):
            separate()
            bytes.append(contentsOf: number.text.utf8)
        case .string(let text): value(text)
        case .array(let elements): array { for element in elements { $0.value(element) } }
        case .object(let object): self.object { for member in object.members { $0.member(member.name, member.value) } }
        }
    }

    package mutating func member(_ name: String, _ text: String) {
        key(name)
        value(text)
    }

    package mutating func member(_ name: String, _ number: some BinaryInteger) {
        key(name)
        value(number)
    }

    package mutating func member(_ name: String, _ number: Double) {
        key(name)
        value(number)
    }

    package mutating func member(_ name: String, _ bool: Bool) {
        key(name)
        value(bool)
    }

    package mutating func member(_ name: String, _ json: JSON) {
        key(name)
        value(json)
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func open(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }
}

extension [UInt8] {
    /// Appends `text` as a JSON string, quotes included (RFC 8259 §7).
    package mutating func append(jsonString text: String) {
        append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            if JSONEscape.isPlain(byte) { append(byte) } else { append(contentsOf: JSONEscape(byte).bytes) }
        }
        append(UInt8(ascii: "\""))
    }
}

extension OutputBuffer {
    /// Appends `text` as a JSON string, quotes included (RFC 8259 §7).
    package mutating func append(jsonString text: String) {
        var text = text
        text.withUTF8 { unsafe append(validJSONString: Span(_unsafeElements: $0)) }
    }

    /// Appends bytes that came from outside as a JSON string; what is no UTF-8 becomes U+FFFD.
    package mutating func append(jsonString bytes: Span<UInt8>) {
        for index in bytes.indices where bytes[index] >= 0x80 {
            let text = unsafe bytes.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
            return append(jsonString: text)
        }
        append(validJSONString: bytes)
    }

    private mutating func append(validJSONString bytes: Span<UInt8>) {
        append(UInt8(ascii: "\""))
        var runStart = 0
        for index in bytes.indices where !JSONEscape.isPlain(bytes[index]) {
            append(bytes.extracting(runStart..<index))
            append(JSONEscape(bytes[index]).bytes)
            runStart = index + 1
        }
        append(bytes.extracting(runStart..<bytes.count))
        append(UInt8(ascii: "\""))
    }

    package mutating func append(_ json: JSONWriter) { append(json.bytes) }
}

/// How one byte that cannot stand in a JSON string is written instead.
private struct JSONEscape {
    let bytes: [UInt8]

    @inline(__always)
    static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    init(_ byte: UInt8) {
        let short: Unicode.Scalar? =
            switch byte {
            case UInt8(ascii: "\""): "\""
            case UInt8(ascii: "\\"): "\\"
            case 0x08: "b"
            case 0x09: "t"
            case 0x0A: "n"
            case 0x0C: "f"
            case 0x0D: "r"
            default: nil
            }
        if let short {
            bytes = [UInt8(ascii: "\\"), UInt8(ascii: short)]
        } else {
            let digits = Array("0123456789abcdef".utf8)
            bytes = Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 0xF)]]
        }
    }
}
