import GatewayBytes

/// Text that may be JSON.
enum JSONTarget {
    static func run(_ bytes: [UInt8]) {
        _ = try? JSON.parse(bytes, limits: JSONLimits(size: .bytes(256), depth: 2, values: 8))
        guard let value = try? JSON.parse(bytes) else { return }
        let written = write(value)
        guard let again = try? JSON.parse(written) else { fatalError("written and not read: \(written.shown)") }
        require(again == value, "written and read as another: \(written.shown)")
        require(write(again) == written, "written in two ways: \(written.shown)")
        require(!written.contains { $0 < 0x20 }, "a control byte in the output: \(written.shown)")
        check(value)
    }

    private static func write(_ value: JSON) -> [UInt8] {
        var writer = JSONWriter()
        writer.value(value)
        return writer.bytes
    }

    private static func check(_ value: JSON) {
        switch value {
        case .number(let number): check(number)
        case .string(let text): check(text)
        case .array(let elements): elements.forEach(check)
        case .object(let object):
            let names = Set(object.members.map { Array($0.name.utf8) })
            require(names.count == object.count, "a name twice")
            for member in object.members {
                check(member.name)
                check(member.value)
            }
        case .null, .bool: break
        }
    }

    private static func check(_ number: JSONNumber) {
        if let int = number.int64 {
            require(number.double == Double(int), "\(number.text) is \(int) and another double")
        }
        require(number.double?.isFinite ?? true, "\(number.text) is not finite")
    }

    /// Both writers escape alike.
    private static func check(_ text: String) {
        var one: [UInt8] = []
        one.append(jsonString: text)
        var other = OutputBuffer()
        other.append(jsonString: text)
        var third = OutputBuffer()
        third.append(jsonString: Array(text.utf8).span)
        require(unsafe other.withUnsafeBytes { unsafe [UInt8]($0) } == one, "two spellings: \(one.shown)")
        require(unsafe third.withUnsafeBytes { unsafe [UInt8]($0) } == one, "two spellings: \(one.shown)")
    }
}
