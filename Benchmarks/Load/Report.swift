import CLinux
import Glibc

/// One line of JSON on standard output for each thing that happened.
struct Report {
    private var fields: [String] = []

    init(event: String) { add("event", text: event) }

    mutating func add(_ name: String, _ value: Int) { fields.append("\(Self.quoted(name)):\(value)") }

    /// Rounded to six places: nanoseconds of a second.
    mutating func add(_ name: String, _ value: Double) {
        fields.append("\(Self.quoted(name)):\((value * 1e6).rounded() / 1e6)")
    }

    mutating func add(_ name: String, text: String) { fields.append("\(Self.quoted(name)):\(Self.quoted(text))") }

    mutating func add(_ name: String, _ inner: [(String, Double)]) {
        let pairs = inner.map { "\(Self.quoted($0.0)):\($0.1)" }
        fields.append("\(Self.quoted(name)):{\(pairs.joined(separator: ","))}")
    }

    mutating func add(faults: [Fault: Int]) {
        add("errors", faults.values.reduce(0, +))
        let pairs = faults.map { "\(Self.quoted($0.key.reason)):\($0.value)" }.sorted()
        fields.append("\"reasons\":{\(pairs.joined(separator: ","))}")
    }

    /// Written in one piece and at once, so that a reader at the other end of a pipe is not left waiting.
    func write() {
        let line = Array("{\(fields.joined(separator: ","))}\n".utf8)
        _ = unsafe line.withUnsafeBytes { unsafe Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case _ where scalar.value < 0x20: result += "?"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

func complain(_ text: String) {
    let line = Array("benchload: \(text)\n".utf8)
    _ = unsafe line.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
