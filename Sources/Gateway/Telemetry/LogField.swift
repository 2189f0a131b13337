package import GatewayBytes

/// How bad a log line is, worst first.
package enum LogLevel: String, CaseIterable, Comparable, Sendable {
    case error
    case warn
    case info
    case debug
    case trace

    /// Reads a level in any case; `warning` is `warn`.
    package init?(text: String) {
        let lowered = text.lowercased()
        guard let level = LogLevel(rawValue: lowered == "warning" ? "warn" : lowered) else { return nil }
        self = level
    }

    /// 0 for error through 4 for trace.
    var rank: UInt8 {
        switch self {
        case .error: 0
        case .warn: 1
        case .info: 2
        case .debug: 3
        case .trace: 4
        }
    }

    /// A level is less than another if it is more severe.
    package static func < (left: LogLevel, right: LogLevel) -> Bool { left.rank < right.rank }

    var name: StaticString {
        switch self {
        case .error: "ERROR"
        case .warn: "WARN"
        case .info: "INFO"
        case .debug: "DEBUG"
        case .trace: "TRACE"
        }
    }
}

/// What log lines look like.
package enum LogFormat: String, CaseIterable, Sendable {
    /// One aligned line for people.
    case text
    /// One JSON object per line for machines.
    case json
}

/// A named, typed value on a log line.
///
/// Names are constants in the code; values may come from anybody and are escaped.
package struct LogField: Sendable {
    enum Value: Sendable {
        case none
        case string(String)
        case bytes([UInt8])
        case integer(Int64)
        case unsigned(UInt64)
        case number(Double)
        case bool(Bool)
        case secret
    }

    let name: StaticString
    let value: Value

    /// No field: what a call with fewer fields passes.
    package static var none: LogField { LogField(name: "", value: .none) }

    package static func string(_ name: StaticString, _ value: String) -> LogField {
        LogField(name: name, value: .string(value))
    }

    /// Text that is still in its wire form; what is not UTF-8 is shown as U+FFFD.
    package static func utf8(_ name: StaticString, _ value: [UInt8]) -> LogField {
        LogField(name: name, value: .bytes(value))
    }

    package static func int(_ name: StaticString, _ value: some BinaryInteger) -> LogField {
        if let signed = Int64(exactly: value) { return LogField(name: name, value: .integer(signed)) }
        return LogField(name: name, value: .unsigned(UInt64(clamping: value)))
    }

    package static func double(_ name: StaticString, _ value: Double) -> LogField {
        LogField(name: name, value: .number(value))
    }

    package static func bool(_ name: StaticString, _ value: Bool) -> LogField {
        LogField(name: name, value: .bool(value))
    }

    /// In milliseconds with microsecond precision; end the name in `Ms`.
    package static func milliseconds(_ name: StaticString, _ value: Duration) -> LogField {
        let (seconds, attoseconds) = value.components
        let microseconds = seconds &* 1_000_000 &+ attoseconds / 1_000_000_000_000
        return LogField(name: name, value: .number(Double(microseconds) / 1_000))
    }

    /// In bytes.
    package static func size(_ name: StaticString, _ value: ByteCount) -> LogField {
        LogField(name: name, value: .integer(Int64(value.bytes)))
    }

    /// An error by its own description, under the name `error`.
    package static func error(_ error: any Error) -> LogField {
        LogField(name: "error", value: .string("\(error)"))
    }

    /// A request's id, under the name `correlationId`.
    package static func request(_ id: RequestID) -> LogField {
        LogField(name: "correlationId", value: .string(id.description))
    }

    /// Says that there is a value, and not what it is.
    package static func secret(_ name: StaticString) -> LogField { LogField(name: name, value: .secret) }
}
