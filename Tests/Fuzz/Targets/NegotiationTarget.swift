import GatewayBytes
import GatewayCompression
import GatewayWebSocket

/// The value of `Sec-WebSocket-Extensions`, as an offer to a server and as the answer to a client.
enum NegotiationTarget {
    static func run(_ bytes: [UInt8]) {
        // As the head parser gives it: any line with control characters was refused before.
        let lines = bytes.split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }
        guard let offers = try? ExtensionOffer.parse(lines) else { return }
        require((try? ExtensionOffer.parse([lines.joined(separator: ",")])) == offers, "one line reads otherwise")
        for keepsWindow in [false, true] {
            for windowBits in [9, 12, 15] {
                var settings = DeflateSettings.keepingWindows(keepsWindow)
                settings.windowBits = windowBits
                answer(offers, settings)
                accept(offers, settings)
            }
        }
    }

    private static func makeCodecs(_ settings: DeflateSettings) -> SharedCodecs {
        SharedCodecs(
            settings: settings, compressionBudget: CompressionBudget(limit: .mebibytes(1)),
            assemblyBudget: ByteBudget(limit: .mebibytes(1)))
    }

    /// A server's answer is one to some offer that was made (RFC 7692 §7.1).
    private static func answer(_ offers: [ExtensionOffer], _ settings: DeflateSettings) {
        let codecs = makeCodecs(settings)
        guard let context = codecs.negotiate(offers) else { return }
        let agreed = context.parameters
        require(9...15 ~= agreed.serverWindowBits && 8...15 ~= agreed.clientWindowBits, "\(agreed)")
        require(agreed.serverWindowBits <= settings.windowBits, "a larger window than configured: \(agreed)")
        require(settings.keepsOwnWindow || !agreed.serverKeepsWindow, "a window that is not to be kept: \(agreed)")
        guard let answer = try? ExtensionOffer.parse([agreed.answer]), answer.count == 1 else {
            fatalError("an answer that cannot be read: \(agreed.answer)")
        }
        require(offers.contains { isAnswer(answer[0], to: $0) }, "\(agreed.answer) answers none of \(offers)")
    }

    private static func isAnswer(_ answer: ExtensionOffer, to offer: ExtensionOffer) -> Bool {
        guard offer.name == answer.name, Set(offer.parameters.map(\.name)).count == offer.parameters.count else {
            return false
        }
        let given = Dictionary(answer.parameters.map { ($0.name, $0.value) }) { first, _ in first }
        let asked = Dictionary(offer.parameters.map { ($0.name, $0.value) }) { first, _ in first }
        // What the client demands of the server must be promised; what was not offered must not be used.
        if asked["server_no_context_takeover"] != nil, given["server_no_context_takeover"] == nil { return false }
        if let bits = asked["server_max_window_bits"] {
            guard let most = bits.flatMap({ Int($0) }), let promised = given["server_max_window_bits"],
                let promised = promised.flatMap({ Int($0) }), promised <= most
            else { return false }
        }
        if let limit = given["client_max_window_bits"] {
            guard let offered = asked["client_max_window_bits"], let limit = limit.flatMap({ Int($0) }) else {
                return false
            }
            if let most = offered.flatMap({ Int($0) }), limit > most { return false }
        }
        return true
    }

    /// A client takes an answer it can live with, and nothing else.
    private static func accept(_ answer: [ExtensionOffer], _ settings: DeflateSettings) {
        let codecs = makeCodecs(settings)
        let accepted: DeflateContext?
        do throws(HandshakeError) {
            accepted = try codecs.accept(answer: answer, to: codecs.clientOffer)
        } catch {
            return
        }
        guard let context = accepted else { return require(answer.isEmpty, "an answer is ignored: \(answer)") }
        let agreed = context.parameters
        // Told 8, which zlib cannot do, a client sends its messages as they are.
        require(8...15 ~= agreed.clientWindowBits && 8...15 ~= agreed.serverWindowBits, "\(agreed)")
        require(agreed.serverWindowBits <= settings.windowBits, "a larger window than offered: \(agreed)")
        require(settings.keepsPeerWindow || !agreed.serverKeepsWindow, "a window that is not to be kept: \(agreed)")
    }
}
