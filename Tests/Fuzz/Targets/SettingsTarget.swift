import GatewayBytes
import GatewayConfig

/// The values of settings, one line each: every type reads what it wrote, and no report holds a secret or a control
/// character.
enum SettingsTarget {
    static func run(_ bytes: [UInt8]) {
        let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        lines.forEach(checkValues)
        checkReader(lines)
    }

    private static func checkValues(_ line: String) {
        guard let text = trimmed(line) else { return }
        check(Int.self, text)
        check(Double.self, text)
        check(Bool.self, text)
        check(Port.self, text)
        check(ListenAddress.self, text)
        check([String].self, text)
        check([Port].self, text)
        check([ByteCount].self, text, bare: .kibibytes)
        check(Switchable<Port>.self, text)
        check(Switchable<Duration>.self, text, bare: .milliseconds)
        for unit in [nil, DurationUnit.milliseconds, .days] { check(Duration.self, text, bare: unit) }
        for unit in [nil, ByteUnit.bytes, .mebibytes] { check(ByteCount.self, text, bare: unit) }
    }

    private static func check<Value: SettingValue & Equatable>(
        _ type: Value.Type, _ text: String, bare: Value.BareUnit? = nil
    ) {
        guard let value = try? Value.read(text, bare: bare) else { return }
        let written = value.settingText
        // A list of nothing is written as nothing, which is an unset setting.
        guard !written.isEmpty else { return }
        let again = try? Value.read(written, bare: nil)
        require(
            again == value,
            "\(type) \(text.debugDescription), written \(written.debugDescription), is read as \(String(describing: again))"
        )
    }

    // MARK: The reader

    private struct Sample: Settings {
        init(from env: inout SettingsReader) {
            let soft: ByteCount = env.optional("SOFT", default: .kibibytes(1), in: .zero ... .gibibytes(1), "Soft.")
            let hard: ByteCount = env.optional("HARD", default: .kibibytes(2), bare: .kibibytes, "Hard.")
            env.require(soft <= hard, "SOFT", "must not exceed HARD")
            let _: Port = env.required("PORT", in: 1...65535, "A port.")
            let _: ListenAddress? = env.optional("LISTEN", "Where to listen.")
            let _: Duration = env.optional(
                exactly: "INTERVAL", default: .seconds(30), in: .seconds(1) ... .seconds(60), bare: .milliseconds,
                "How often.")
            let _: [String] = env.optional("NAMES", default: [], in: 0...4, "Names.")
            let _: String = env.optional("TITLE", default: "", in: 0...16, "A title.")
            let _: Secret = env.required("SECRET", in: 4...64, "A secret.")
            let _: Switchable<Port> = env.optional("EXTRA", default: .off, "Another port.")
        }
    }

    private static let names = [
        "SAMPLE_SOFT", "SAMPLE_HARD", "SAMPLE_PORT", "SAMPLE_LISTEN", "INTERVAL", "SAMPLE_NAMES", "SAMPLE_TITLE",
        "SAMPLE_EXTRA", "SAMPLE_SOFTT", "SAMPLE_SECRET_FILE",
    ]
    private static let mark = "swordfish"

    private static func checkReader(_ lines: [String]) {
        var environment: [String: String] = [:]
        for (name, line) in zip(names, lines) { environment[name] = line }
        environment["SAMPLE_SECRET"] = mark + (lines.last ?? "")
        var reader = SettingsReader(environment: environment) { _, _ throws(SettingError) in Array(mark.utf8) }
        let reading = reader.read(Sample.self, prefix: "SAMPLE", section: "Sample")
        require(reading.isUsable == reader.problems.isEmpty, "problems that are not the part's")
        let isMarked = environment.contains { $0.key != "SAMPLE_SECRET" && $0.value.contains(mark) }
        let said =
            reader.problems.map(\.description) + reader.warnings.map(\.description) + reader.values.compactMap(\.text)
        for text in said where !isMarked { require(!text.contains(mark), "a secret in: \(text)") }
        for text in reader.problems.map(\.description) + reader.warnings.map(\.description) {
            require(!text.utf8.contains { $0 < 0x20 || $0 == 0x7F }, "a control character in: \(text.debugDescription)")
        }
    }

    /// As the reader gives a value to its type: `nil` when nothing is left.
    private static func trimmed(_ text: String) -> String? {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0D ~= byte }
        let bytes = Array(text.utf8)
        guard let first = bytes.firstIndex(where: { !isSpace($0) }), let last = bytes.lastIndex(where: { !isSpace($0) })
        else { return nil }
        return String(decoding: bytes[first...last], as: UTF8.self)
    }
}
