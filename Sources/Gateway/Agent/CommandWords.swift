/// Why a command line cannot be used, in one sentence.
package struct UsageError: Error, Equatable, Sendable {
    package let message: String

    init(_ message: String) { self.message = message }
}

/// The words behind a command: options with values, as `--name value` or `--name=value`, and others.
struct CommandWords {
    private var rest: ArraySlice<String>
    /// What stood behind `=` in the option last taken.
    private var attached: String?

    init(_ words: [String]) { rest = words[...] }

    /// The next option, or a word that is none.
    mutating func next() throws(UsageError) -> String? {
        if attached != nil { throw UsageError("an option was given a value that it does not take") }
        guard let word = rest.popFirst() else { return nil }
        guard word.hasPrefix("--"), let split = word.firstIndex(of: "=") else { return word }
        attached = String(word[word.index(after: split)...])
        return String(word[..<split])
    }

    /// The value of the option last taken.
    mutating func value(of option: String) throws(UsageError) -> String {
        guard let value = attached.take() ?? rest.popFirst(), !value.isEmpty else {
            throw UsageError("\(option) needs a value")
        }
        return value
    }

    /// The same for a number of seconds.
    mutating func seconds(of option: String, in range: ClosedRange<Int>) throws(UsageError) -> Duration {
        guard let number = Int(try value(of: option)), range.contains(number) else {
            throw UsageError("\(option) takes seconds, \(range.lowerBound) to \(range.upperBound)")
        }
        return .seconds(number)
    }
}
