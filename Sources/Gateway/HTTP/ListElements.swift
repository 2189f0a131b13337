/// The elements of a comma-separated field value (RFC 9110 §5.6.1), without the blanks around them. Empty ones are
/// skipped, as recipients must. A comma inside a quoted string separates like any other: for lists of tokens.
struct ListElements {
    private let value: Input
    private var index = 0

    init(_ value: Input) { self.value = value }

    mutating func next() -> Input? {
        while let range = nextRange() {
            let element = value[range].trimmed()
            if !element.isEmpty { return element }
        }
        return nil
    }

    private mutating func nextRange() -> Range<Int>? {
        guard index < value.count else { return nil }
        let start = index
        while index < value.count, value[index] != 0x2C { index += 1 }
        defer { index += 1 }
        return start..<index
    }
}

/// Calls `body` with each element of a comma-separated list of tokens until it answers `false`.
///
/// - Parameter value: A field value out of a parsed head. The elements are parts of it.
package func forEachListElement(
    of value: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Bool
) {
    var elements = unsafe ListElements(Input(value))
    while let element = elements.next() {
        guard unsafe body(element.bytes) else { return }
    }
}

/// Whether a comma-separated list of tokens holds `token`, in any case.
package func list(_ value: UnsafeRawBufferPointer, contains token: StaticString) -> Bool {
    var elements = unsafe ListElements(Input(value))
    while let element = elements.next() {
        if element.equalsIgnoringCase(token) { return true }
    }
    return false
}
