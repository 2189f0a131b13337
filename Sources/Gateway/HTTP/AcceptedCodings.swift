/// What a request's `Accept-Encoding` says about the two codings that this gateway can send (RFC 9110 §12.5.3).
package struct AcceptedCodings: Equatable, Sendable {
    /// Weights in thousandths; `nil` where nothing was said.
    private var gzip: Int?
    private var identity: Int?
    private var others: Int?

    package init() {}

    /// Takes in one field line. What has no readable weight counts as refused.
    package mutating func read(_ value: UnsafeRawBufferPointer) {
        var elements = unsafe ListElements(Input(value))
        while let element = elements.next() {
            var end = 0
            while end < element.count, element[end] != 0x3B { end += 1 }
            let name = element[0..<end].trimmed()
            let weight = end == element.count ? 1000 : Self.weight(element[end + 1..<element.count].trimmed()) ?? 0
            if name.equalsIgnoringCase("gzip") || name.equalsIgnoringCase("x-gzip") {
                gzip = max(gzip ?? 0, weight)
            } else if name.equalsIgnoringCase("identity") {
                identity = weight
            } else if name.equalsIgnoringCase("*") {
                others = weight
            }
        }
    }

    /// `q=0.5`, with at most three digits behind the point.
    private static func weight(_ text: Input) -> Int? {
        guard text.count >= 3, text.count <= 7, Octet.lowercased(text[0]) == 0x71, text[1] == 0x3D,
            text[2] == 0x30 || text[2] == 0x31, text.count == 3 || text[3] == 0x2E
        else { return nil }
        var value = Int(text[2] - 0x30) * 1000
        var unit = 100
        for index in 4..<max(4, text.count) {
            let digit = Int(text[index]) - 0x30
            guard 0...9 ~= digit else { return nil }
            value += digit * unit
            unit /= 10
        }
        return value <= 1000 ? value : nil
    }

    /// Whether a response should be in gzip if it can be had: accepted, and not liked less than none.
    package var prefersGzip: Bool {
        let weight = gzip ?? others ?? 0
        return weight > 0 && weight >= (identity ?? 0)
    }

    /// Whether a response must not go out without a coding.
    package var refusesIdentity: Bool { (identity ?? (others == 0 ? 0 : 1)) == 0 }
}

extension RequestHead {
    /// Without an `Accept-Encoding` field nothing is preferred: some clients that send none cannot decode any.
    package func acceptedCodings(in bytes: UnsafeRawBufferPointer) -> AcceptedCodings {
        var codings = AcceptedCodings()
        unsafe fields.forEach(.acceptEncoding, in: bytes) { unsafe codings.read($0.value.of(bytes)) }
        return codings
    }
}
