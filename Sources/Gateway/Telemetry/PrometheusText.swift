import GatewayBytes

// The Prometheus text exposition format, version 0.0.4.

/// The `Content-Type` of what ``Metrics/write(to:)`` writes.
package let prometheusContentType: StaticString = "text/plain; version=0.0.4; charset=utf-8"

extension OutputBuffer {
    mutating func appendHeader(_ name: String, help: String, kind: MetricKind) {
        append("# HELP " as StaticString)
        append(text: name)
        append(UInt8(ascii: " "))
        append(escapingHelp: help)
        append("\n# TYPE " as StaticString)
        append(text: name)
        append(UInt8(ascii: " "))
        append(text: kind.rawValue)
        append(0x0A)
    }

    /// - Parameter labels: As ``renderedLabels(_:)`` makes them.
    mutating func appendSample(_ name: String, labels: String, _ value: (inout OutputBuffer) -> Void) {
        append(text: name)
        if !labels.isEmpty {
            append(UInt8(ascii: "{"))
            append(text: labels)
            append(UInt8(ascii: "}"))
        }
        append(UInt8(ascii: " "))
        value(&self)
        append(0x0A)
    }

    mutating func append(prometheus number: Double) {
        if number.isNaN { return append("NaN" as StaticString) }
        if number.isInfinite { return append(number < 0 ? "-Inf" : "+Inf" as StaticString) }
        append(text: shortest(number))
    }

    private mutating func append(escapingHelp text: String) {
        for byte in text.utf8 {
            switch byte {
            case 0x5C: append("\\\\" as StaticString)
            case 0x0A: append("\\n" as StaticString)
            default: append(byte)
            }
        }
    }
}

/// `method="GET",status="200"`, with backslashes, quotes and newlines in values escaped.
func renderedLabels(_ labels: some Sequence<(String, String)>) -> String {
    labels.map { name, value in
        var escaped = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return "\(name)=\"\(escaped)\""
    }.joined(separator: ",")
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
func isMetricName(_ name: String) -> Bool { isName(name, colons: true) }

/// `[a-zA-Z_][a-zA-Z0-9_]*`, not the two underscores that Prometheus keeps for itself, and not a histogram's `le`.
func isLabelName(_ name: String) -> Bool { isName(name, colons: false) && !name.hasPrefix("__") && name != "le" }

private func isName(_ name: String, colons: Bool) -> Bool {
    guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
    return name.utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F: true
        default: colons && byte == 0x3A
        }
    }
}
