/// Which fields of one head end at its connection: by their nature, or because `Connection` names them (RFC 9110 §7.6.1).
/// A proxy drops those.
package struct HopByHopFields {
    /// Where the fields start that `Connection` names. As good as never any. Fields with a number are not among them:
    /// the parsers let `Connection` name only those that end here anyway.
    private let named: Set<Int>

    package init(of fields: FieldTable, in bytes: UnsafeRawBufferPointer) {
        var namesFields = false
        unsafe Self.forEachOption(of: fields, in: bytes) { option in
            // No field is called so.
            if !option.equalsIgnoringCase("keep-alive"), !option.equalsIgnoringCase("close") { namesFields = true }
        }
        named = namesFields ? unsafe Self.starts(of: fields, in: bytes) : []
    }

    /// - Parameter field: One of the head this was made of.
    @inline(__always)
    package func contains(_ field: FieldRange) -> Bool {
        if field.id != 0 { return Self.known.contains(field.id) }
        return !named.isEmpty && named.contains(field.name.lowerBound)
    }

    /// Looks at each option and each field a fixed number of times: whoever sends them chooses how many there are.
    private static func starts(of fields: FieldTable, in bytes: UnsafeRawBufferPointer) -> Set<Int> {
        let input = unsafe Input(bytes)
        var present: Set<Name> = []
        for field in fields where field.id == 0 { present.insert(Name(text: input[field.name])) }
        guard !present.isEmpty else { return [] }
        var named: Set<Name> = []
        unsafe forEachOption(of: fields, in: bytes) { option in
            let name = Name(text: option)
            if present.contains(name) { named.insert(name) }
        }
        var starts: Set<Int> = []
        for field in fields where field.id == 0 && named.contains(Name(text: input[field.name])) {
            starts.insert(field.name.lowerBound)
        }
        return starts
    }

    private static func forEachOption(
        of fields: FieldTable, in bytes: UnsafeRawBufferPointer, _ body: (Input) -> Void
    ) {
        unsafe fields.forEach(.connection, in: bytes) { line in
            var options = unsafe ListElements(Input(bytes)[line.value])
            while let option = options.next() { body(option) }
        }
    }

    private static let known = KnownNameSet { HeaderName($0).isHopByHop }

    /// A name where it stands in the head, equal to others but for case. Lives as long as the bytes are borrowed.
    private struct Name: Hashable {
        let text: Input

        static func == (left: Name, right: Name) -> Bool { left.text.equalsIgnoringCase(right.text) }

        func hash(into hasher: inout Hasher) {
            for index in 0..<text.count { hasher.combine(Octet.lowercased(text[index])) }
        }
    }
}
