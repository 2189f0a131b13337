import GatewayCompression

/// The four parameters of permessage-deflate as one element of the header spells them (RFC 7692 §7.1).
struct DeflateTerms: Equatable {
    var serverNoTakeover = false
    var clientNoTakeover = false
    var serverWindowBits: UInt8?
    var clientWindowBits: UInt8?
    /// client_max_window_bits without a value, which only an offer may have.
    var leavesClientWindowOpen = false

    static let name = "permessage-deflate"

    /// - Returns: `nil` for another extension, an unknown or repeated parameter, or a value that is not allowed.
    init?(_ offer: ExtensionOffer) {
        guard offer.name == Self.name else { return nil }
        var seen: Set<String> = []
        for parameter in offer.parameters {
            guard seen.insert(parameter.name).inserted, read(parameter) else { return nil }
        }
    }

    private mutating func read(_ parameter: ExtensionOffer.Parameter) -> Bool {
        switch (parameter.name, parameter.value) {
        case ("server_no_context_takeover", nil): serverNoTakeover = true
        case ("client_no_context_takeover", nil): clientNoTakeover = true
        case ("client_max_window_bits", nil): leavesClientWindowOpen = true
        case ("server_max_window_bits", let text?):
            serverWindowBits = Self.bits(text)
            return serverWindowBits != nil
        case ("client_max_window_bits", let text?):
            clientWindowBits = Self.bits(text)
            return clientWindowBits != nil
        default: return false
        }
        return true
    }

    /// 8 through 15, in decimal without leading zeros.
    private static func bits(_ text: String) -> UInt8? {
        guard let value = UInt8(text), 8...15 ~= value, text == String(value) else { return nil }
        return value
    }
}

extension DeflateSettings {
    /// What a server answers to one offer, memory aside; `nil` to decline it.
    func answer(to offer: ExtensionOffer) -> DeflateParameters? {
        guard let terms = DeflateTerms(offer) else { return nil }
        let most = UInt8(windowBits)
        var agreed = DeflateParameters()
        agreed.serverKeepsWindow = keepsOwnWindow && !terms.serverNoTakeover
        agreed.clientKeepsWindow = keepsPeerWindow && !terms.clientNoTakeover
        agreed.answersServerWindow = terms.serverWindowBits != nil
        agreed.serverWindowBits = min(most, terms.serverWindowBits ?? 15)
        // zlib's raw deflate cannot keep to 256 bytes, so a demand for that is declined.
        guard agreed.serverWindowBits >= 9 else { return nil }
        agreed.answersClientWindow = terms.leavesClientWindowOpen || terms.clientWindowBits != nil
        // Without the parameter in the offer the answer must not have it, and the client may use all of 15.
        agreed.clientWindowBits = agreed.answersClientWindow ? min(most, terms.clientWindowBits ?? 15) : 15
        return agreed
    }
}

extension SharedCodecs {
    /// Chooses compression for a new socket of a server (RFC 7692 §5): the first acceptable offer, in the client's
    /// order, and for it the most that the memory budget allows: windows as agreed, then no context takeover, then no
    /// compression at all.
    ///
    /// The windows are paid for when this returns, and released with the context.
    ///
    /// - Returns: The context, whose ``DeflateParameters/answer`` goes into the response; `nil` without compression.
    package func negotiate(_ offers: [ExtensionOffer]) -> DeflateContext? {
        guard settings.isEnabled else { return nil }
        for offer in offers {
            guard var agreed = settings.answer(to: offer) else { continue }
            if let context = context(for: agreed, role: .server) { return context }
            agreed.serverKeepsWindow = false
            agreed.clientKeepsWindow = false
            return context(for: agreed, role: .server)
        }
        return nil
    }

    /// The client's `Sec-WebSocket-Extensions`; `nil` when compression is off or there is no memory for it.
    package var clientOffer: String? {
        guard settings.isEnabled, compressionBudget.hasRoom(for: Inflater.memoryEstimate(windowBits: 15)) else {
            return nil
        }
        var text = DeflateTerms.name
        if !settings.keepsPeerWindow { text += "; server_no_context_takeover" }
        if !settings.keepsOwnWindow { text += "; client_no_context_takeover" }
        if settings.windowBits < 15 { text += "; server_max_window_bits=\(settings.windowBits)" }
        return text + "; client_max_window_bits" + (settings.windowBits < 15 ? "=\(settings.windowBits)" : "")
    }

    /// Takes a server's answer to ``clientOffer`` (RFC 7692 §5.1, §7.1).
    ///
    /// - Parameter offer: What was sent, ``clientOffer`` as it was then.
    /// - Returns: `nil` when the server does not compress.
    /// - Throws: ``HandshakeError``: the answer is not one to the offer, and the connection must fail.
    package func accept(
        answer: [ExtensionOffer], to offer: String?
    ) throws(HandshakeError) -> DeflateContext? {
        guard !answer.isEmpty else { return nil }
        guard offer != nil, answer.count == 1, let terms = DeflateTerms(answer[0]) else {
            throw .unacceptableExtension
        }
        let mayServerKeep = settings.keepsPeerWindow
        let most = UInt8(settings.windowBits)
        guard !terms.leavesClientWindowOpen, terms.serverNoTakeover || mayServerKeep,
            (terms.serverWindowBits ?? 15) <= most, (terms.clientWindowBits ?? 8) <= 15
        else { throw .unacceptableExtension }
        var agreed = DeflateParameters()
        agreed.serverKeepsWindow = !terms.serverNoTakeover
        agreed.clientKeepsWindow = settings.keepsOwnWindow && !terms.clientNoTakeover
        agreed.serverWindowBits = terms.serverWindowBits ?? 15
        agreed.clientWindowBits = min(most, terms.clientWindowBits ?? 15)
        if let context = context(for: agreed, role: .client) { return context }
        // The server decides about its own window; this end's is a matter of choice.
        agreed.clientKeepsWindow = false
        guard let context = context(for: agreed, role: .client) else { throw .noMemoryForExtension }
        return context
    }
}
