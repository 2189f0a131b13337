// What a field, a line or a number is put together from, where it will stand. Each call traps when there is no room left.
extension OutputSpan where Element == UInt8 {
    /// Appends a copy of `bytes`.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        unsafe withUnsafeMutableBufferPointer { all, used in
            unsafe UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(all)[used...])
                .copyMemory(from: bytes)
            used += bytes.count
        }
    }

    /// Appends text that is part of the program.
    package mutating func append(_ literal: StaticString) {
        unsafe append(UnsafeRawBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    /// Appends text in UTF-8. Labelled, so that a bare literal takes the cheaper `StaticString` way.
    package mutating func append(text: String) {
        var text = text
        text.withUTF8 { unsafe append(UnsafeRawBufferPointer($0)) }
    }
}
