/// Names of fields, to be looked up for each field of a head: known ones cost a bit test, however many there are.
package struct HeaderNameSet: Sendable {
    private var known = KnownNameSet()
    private var others: [HeaderName] = []

    package init(_ names: [HeaderName]) {
        for name in names {
            if name.id == 0 { others.append(name) } else { known.insert(name.id) }
        }
    }

    @inline(__always)
    package func contains(_ field: FieldRange, in bytes: UnsafeRawBufferPointer) -> Bool {
        if field.id != 0 { return known.contains(field.id) }
        return others.contains { unsafe field.isNamed($0, in: bytes) }
    }
}
