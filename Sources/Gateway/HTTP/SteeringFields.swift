/// What the fields that steer a message have said so far: its length, its coding, its connection.
///
/// Requests and responses read them with the same strictness, but for one option of Connection; and they differ in what
/// follows from them.
struct SteeringFields: Sendable {
    struct Connection: OptionSet, Sendable {
        let rawValue: UInt8
        static let close = Connection(rawValue: 1)
        static let keepAlive = Connection(rawValue: 2)
        static let upgrade = Connection(rawValue: 4)
        /// Allowed by RFC 9110 §7.6.1, and servers do send it. In a request it is an attempt to have the framing
        /// dropped on the way, so requests refuse it.
        static let transferEncoding = Connection(rawValue: 8)
    }

    private enum Coding {
        case absent, chunked
        case refused(FramingError)
    }

    private(set) var contentLength: Int?
    private(set) var connection: Connection = []
    /// `Upgrade` lists `websocket`.
    private(set) var offersWebSocket = false
    private var coding = Coding.absent

    /// Reads one field line if it is one that steers. Errors of the coding wait for ``framing``, since a
    /// Content-Length further on weighs more.
    @inline(__always)
    mutating func read(_ known: KnownName?, _ value: Input, names: NameIndex) throws(FramingError) {
        switch known {
        case .contentLength: try readContentLength(value)
        case .transferEncoding: readTransferEncoding(value)
        case .connection: try readConnection(value, names: names)
        case .upgrade: try readUpgrade(value)
        default: break
        }
    }

    /// RFC 9112 §6.3, with every doubtful case refused.
    @inline(__always)
    func isChunked(minorVersion: UInt8) throws(FramingError) -> Bool {
        if case .absent = coding { return false }
        guard contentLength == nil else { throw .contentLengthWithTransferEncoding }
        guard minorVersion == 1 else { throw .transferEncodingInHTTP10 }
        if case .refused(let error) = coding { throw error }
        return true
    }

    /// RFC 9112 §9.3.
    @inline(__always)
    func keepsAlive(minorVersion: UInt8) -> Bool {
        if connection.contains(.close) { return false }
        return minorVersion == 1 || connection.contains(.keepAlive)
    }

    private mutating func readContentLength(_ value: Input) throws(FramingError) {
        guard contentLength == nil else { throw .repeatedContentLength }
        guard !value.isEmpty, value.count == 1 || value[0] != 0x30 else { throw .malformedContentLength }
        for index in 0..<value.count where value[index] &- 0x30 > 9 { throw .malformedContentLength }
        guard let length = value.decimal else { throw .contentLengthTooLarge }
        contentLength = length
    }

    private mutating func readTransferEncoding(_ value: Input) {
        guard case .absent = coding else {
            coding = .refused(.repeatedTransferEncoding)
            return
        }
        coding = value.equalsIgnoringCase("chunked") ? .chunked : .refused(fault(inCodings: value))
    }

    /// A server that does not understand a coding says 501; one that cannot know where the body ends says 400
    /// (RFC 9112 §6.1, §6.3). Only codings in front of a final `chunked` are of the first kind.
    private func fault(inCodings value: Input) -> FramingError {
        var elements = ListElements(value)
        var before = 0
        var endsChunked = false
        while let element = elements.next() {
            guard element.isToken, !endsChunked else { return .malformedTransferEncoding }
            endsChunked = element.equalsIgnoringCase("chunked")
            if !endsChunked { before += 1 }
        }
        return endsChunked && before > 0 ? .unsupportedTransferCoding : .malformedTransferEncoding
    }

    private mutating func readConnection(_ value: Input, names: NameIndex) throws(FramingError) {
        var elements = ListElements(value)
        while let option = elements.next() {
            guard option.isToken else { throw .malformedConnection }
            if option.equalsIgnoringCase("close") {
                connection.insert(.close)
            } else if option.equalsIgnoringCase("keep-alive") {
                connection.insert(.keepAlive)
            } else if option.equalsIgnoringCase("upgrade") {
                connection.insert(.upgrade)
            } else if let known = KnownName(rawValue: names.find(option)), !known.mayBeConnectionOption {
                guard known == .transferEncoding else { throw .forbiddenConnectionOption }
                connection.insert(.transferEncoding)
            }
        }
    }

    /// `Upgrade = #( token [ "/" token ] )` (RFC 9110 §7.8).
    private mutating func readUpgrade(_ value: Input) throws(FramingError) {
        var elements = ListElements(value)
        while let element = elements.next() {
            var slash = 0
            while slash < element.count, element[slash] != 0x2F { slash += 1 }
            let name = element[0..<slash]
            guard name.isToken, slash == element.count || element[slash + 1..<element.count].isToken else {
                throw .malformedUpgrade
            }
            if name.equalsIgnoringCase("websocket"), slash == element.count { offersWebSocket = true }
        }
    }
}
