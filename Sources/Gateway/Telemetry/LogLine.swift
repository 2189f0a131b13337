import GatewayBytes

/// One log line before it is bytes.
struct LogLine {
    let time: WallTime
    let level: LogLevel
    let service: String
    let component: StaticString
    let message: StaticString
    let fields: [LogField]

    /// Appends the line with its newline.
    func append(to buffer: inout OutputBuffer, format: LogFormat, coloured: Bool) {
        switch format {
        case .json: appendJSON(to: &buffer)
        case .text: appendText(to: &buffer, coloured: coloured)
        }
        buffer.append(0x0A)
    }

    // MARK: JSON

    private func appendJSON(to buffer: inout OutputBuffer) {
        buffer.append("{\"timestamp\":\"" as StaticString)
        time.appendRFC3339(to: &buffer)
        buffer.append("\",\"level\":\"" as StaticString)
        buffer.append(level.name)
        buffer.append("\",\"service\":\"" as StaticString)
        buffer.append(escaping: service, as: .json)
        buffer.append("\",\"component\":\"" as StaticString)
        buffer.append(component)
        buffer.append("\",\"message\":\"" as StaticString)
        buffer.append(escaping: "\(message)", as: .json)
        buffer.append(UInt8(ascii: "\""))
        for field in fields {
            if case .none = field.value { continue }
            buffer.append(",\"" as StaticString)
            buffer.append(field.name)
            buffer.append("\":" as StaticString)
            appendJSON(field.value, to: &buffer)
        }
        buffer.append(UInt8(ascii: "}"))
    }

    private func appendJSON(_ value: LogField.Value, to buffer: inout OutputBuffer) {
        if appendPlain(value, to: &buffer) { return }
        buffer.append(UInt8(ascii: "\""))
        switch value {
        case .string(let text): buffer.append(escaping: text, as: .json)
        case .bytes(let bytes): unsafe bytes.withUnsafeBytes { unsafe buffer.append(escaping: $0, as: .json) }
        case .number(let number): buffer.append(text: "\(number)")
        default: buffer.append("<secret>" as StaticString)
        }
        buffer.append(UInt8(ascii: "\""))
    }

    /// Appends what needs no quotes in either format; false for the rest. JSON has no word for infinity.
    private func appendPlain(_ value: LogField.Value, to buffer: inout OutputBuffer) -> Bool {
        switch value {
        case .integer(let number): buffer.append(decimal: Int(number))
        case .unsigned(let number): buffer.append(decimal: number)
        case .number(let number) where number.isFinite: buffer.append(text: shortest(number))
        case .bool(let flag): buffer.append(flag ? "true" : "false" as StaticString)
        default: return false
        }
        return true
    }

    // MARK: Text

    private func appendText(to buffer: inout OutputBuffer, coloured: Bool) {
        time.appendRFC3339(to: &buffer)
        buffer.append(UInt8(ascii: " "))
        if coloured { buffer.append(level.colour) }
        buffer.append(level.name, paddedTo: 5)
        if coloured { buffer.append("\u{1B}[0m" as StaticString) }
        buffer.append(UInt8(ascii: " "))
        buffer.append(component, paddedTo: 10)
        buffer.append(UInt8(ascii: " "))
        buffer.append(message)
        for field in fields {
            if case .none = field.value { continue }
            buffer.append(UInt8(ascii: " "))
            buffer.append(field.name)
            buffer.append(UInt8(ascii: "="))
            appendText(field.value, to: &buffer)
        }
    }

    private func appendText(_ value: LogField.Value, to buffer: inout OutputBuffer) {
        if appendPlain(value, to: &buffer) { return }
        switch value {
        case .string(let text): appendWord(Array(text.utf8), to: &buffer)
        case .bytes(let bytes): appendWord(bytes, to: &buffer)
        case .number(let number): buffer.append(text: "\(number)")
        default: buffer.append("<secret>" as StaticString)
        }
    }

    /// A value stands bare if it is one word; otherwise in quotes, so that no value can look like another field.
    private func appendWord(_ bytes: [UInt8], to buffer: inout OutputBuffer) {
        let isWord =
            !bytes.isEmpty && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C && $0 != 0x3D }
        if isWord { return buffer.append(bytes) }
        buffer.append(UInt8(ascii: "\""))
        unsafe bytes.withUnsafeBytes { unsafe buffer.append(escaping: $0, as: .text) }
        buffer.append(UInt8(ascii: "\""))
    }
}

/// A finite number without a useless `.0`.
func shortest(_ number: Double) -> String {
    let text = "\(number)"
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}

extension LogLevel {
    fileprivate var colour: StaticString {
        switch self {
        case .error: "\u{1B}[31m"
        case .warn: "\u{1B}[33m"
        case .info: "\u{1B}[32m"
        case .debug, .trace: "\u{1B}[2m"
        }
    }
}

extension OutputBuffer {
    fileprivate mutating func append(_ word: StaticString, paddedTo width: Int) {
        append(word)
        for _ in 0..<max(0, width - word.utf8CodeUnitCount) { append(UInt8(ascii: " ")) }
    }
}
