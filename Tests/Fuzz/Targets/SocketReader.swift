import GatewayBytes
import GatewayCompression
import GatewayWebSocket

/// A WebSocket's reading end with everything it borrows, fed from arrays.
struct SocketReader: ~Copyable {
    /// An event with its bytes copied out.
    enum Seen: Equatable {
        case message(MessageKind, [UInt8])
        case ping([UInt8])
        case pong([UInt8])
        case close(CloseCode?, [UInt8])
        case violation(ProtocolViolation)
    }

    let codecs: SharedCodecs
    let deflate: DeflateContext?
    private var reader: MessageReader
    private(set) var events: [Seen] = []

    /// - Parameter extensions: What the client offers; without compression when `nil`.
    init(role: Role = .server, limits: MessageLimits, settings: DeflateSettings, offer: String?) {
        codecs = SharedCodecs(
            settings: settings, compressionBudget: CompressionBudget(limit: .mebibytes(16)),
            assemblyBudget: ByteBudget(limit: .mebibytes(16)))
        let offers = offer.flatMap { try? ExtensionOffer.parse([$0]) } ?? []
        switch role {
        case .server: deflate = codecs.negotiate(offers)
        case .client: deflate = (try? codecs.accept(answer: offers, to: codecs.clientOffer)) ?? nil
        }
        require((deflate != nil) == (offer != nil), "compression was not agreed on")
        reader = MessageReader(role: role, limits: limits, deflate: deflate)
    }

    /// Takes the memory that inflaters would be paid from, so that messages wait to be inflated whole.
    func exhaustCompressionBudget() {
        let budget = codecs.compressionBudget
        let isTaken = budget.reserve(budget.limit.bytes - budget.inUse.bytes)
        require(isTaken, "the budget changed")
    }

    mutating func receive(_ bytes: [UInt8]) {
        var buffer = bytes
        unsafe buffer.withUnsafeMutableBytes { raw in
            var input = unsafe raw
            while let event = unsafe next(&input) { events.append(event) }
            require(input.count == 0, "input left behind")
        }
    }

    mutating func receive(_ bytes: [UInt8], upTo ends: [Int]) {
        var start = 0
        for end in ends {
            receive(Array(bytes[start..<end]))
            start = end
        }
    }

    private mutating func next(_ input: inout UnsafeMutableRawBufferPointer) -> Seen? {
        do throws(ProtocolViolation) {
            switch try unsafe reader.next(&input, using: codecs) {
            case .needMore: return nil
            case .message(let kind, let bytes): return unsafe .message(kind, [UInt8](bytes))
            case .ping(let bytes): return unsafe .ping([UInt8](bytes))
            case .pong(let bytes): return unsafe .pong([UInt8](bytes))
            case .close(let code, let reason): return unsafe .close(code, [UInt8](reason))
            }
        } catch {
            return .violation(error)
        }
    }
}

extension DeflateSettings {
    /// Compresses whatever is sent, and lets both ends keep their windows or neither.
    static func keepingWindows(_ keeps: Bool) -> DeflateSettings {
        var settings = DeflateSettings()
        settings.threshold = 0
        settings.keepsOwnWindow = keeps
        settings.keepsPeerWindow = keeps
        return settings
    }
}
