/// Which fields of one head end at its connection: by their nature, or because `Connection` names them (RFC 9110 §7.6.1).
/// A proxy drops those.
package struct HopByHopFields {
    private let fields: FieldTable
    /// Whether `Connection` says more than `close` or `keep-alive`, which no field is called. As good as never.
    private let namesFields: Bool

    package init(of fields: FieldTable, in bytes: UnsafeRawBufferPointer) {
        self.fields = fields
        namesFields = unsafe Self.anyOption(of: fields, in: bytes) { option in
            !option.equalsIgnoringCase("keep-alive") && !option.equalsIgnoringCase("close")
        }
    }

    @inline(__always)
    package func contains(_ field: FieldRange, in bytes: UnsafeRawBufferPointer) -> Bool {
        if field.id != 0, Self.known.contains(field.id) { return true }
        guard namesFields else { return false }
        let name = unsafe Input(bytes)[field.name]
        return unsafe Self.anyOption(of: fields, in: bytes) { $0.equalsIgnoringCase(name) }
    }

    private static func anyOption(
        of fields: FieldTable, in bytes: UnsafeRawBufferPointer, where isWanted: (Input) -> Bool
    ) -> Bool {
        var isFound = false
        unsafe fields.forEach(.connection, in: bytes) { line in
            var options = unsafe ListElements(Input(bytes)[line.value])
            while let option = options.next() { isFound = isFound || isWanted(option) }
        }
        return isFound
    }

    private static let known = KnownNameSet { HeaderName($0).isHopByHop }
}
