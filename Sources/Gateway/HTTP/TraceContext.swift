/// W3C Trace Context: `traceparent` names the trace a request belongs to; `tracestate` means nothing without it.
///
/// The gateway starts no traces and takes part in none. It passes a context on as it came, and drops one that is not
/// valid, so that no system behind it files its work under a name that cannot be found again.
package enum TraceContext {
    /// Where the trace id stands in a valid `traceparent`: 32 hexadecimal digits.
    package static let traceID = 3..<35

    /// Whether there is one `traceparent`, and a valid one.
    package static func isValid(_ fields: FieldTable, in bytes: UnsafeRawBufferPointer) -> Bool {
        guard let parent = unsafe fields.find(.traceparent, in: bytes),
            unsafe fields.count(of: .traceparent, in: bytes) == 1
        else { return false }
        return isValid(unsafe Input(bytes)[parent.value])
    }

    /// `version "-" trace-id "-" parent-id "-" trace-flags`, each in lower-case hexadecimal digits; ids of zeros and
    /// version `ff` mean nothing. Versions to come may add more behind another dash (§3.2, §4.3).
    static func isValid(_ parent: Input) -> Bool {
        guard parent.count >= 55, parent.count <= 512 else { return false }
        guard isHexadecimal(parent[0..<2]), parent[2] == 0x2D, parent[35] == 0x2D, parent[52] == 0x2D,
            isHexadecimal(parent[53..<55])
        else { return false }
        guard isHexadecimal(parent[traceID]), isHexadecimal(parent[36..<52]) else { return false }
        guard !isZero(parent[traceID]), !isZero(parent[36..<52]) else { return false }
        if parent[0] == 0x66, parent[1] == 0x66 { return false }
        let isFirstVersion = isZero(parent[0..<2])
        return parent.count == 55 || !isFirstVersion && parent[55] == 0x2D
    }

    private static func isHexadecimal(_ digits: Input) -> Bool {
        for index in 0..<digits.count {
            guard digits[index] &- 0x30 < 10 || digits[index] &- 0x61 < 6 else { return false }
        }
        return true
    }

    private static func isZero(_ digits: Input) -> Bool {
        for index in 0..<digits.count where digits[index] != 0x30 { return false }
        return true
    }
}
