import GatewayBytes
import GatewayCompression
import GatewayWebSocket

/// What a client sends over a WebSocket, from the first frame on: with and without compression, under limits that short
/// inputs reach.
enum FramesTarget {
    private static let limits = MessageLimits(
        frame: .bytes(512), message: .bytes(1024), fragments: 6, frameWarning: .bytes(256))

    private struct Setting {
        let offer: String?
        let keepsWindow: Bool
    }

    private static let settings = [
        Setting(offer: nil, keepsWindow: false),
        Setting(offer: "permessage-deflate; client_max_window_bits", keepsWindow: false),
        Setting(offer: "permessage-deflate; client_max_window_bits", keepsWindow: true),
    ]

    static func run(_ bytes: [UInt8]) {
        for setting in settings {
            let whole = read(bytes, upTo: [bytes.count], setting)
            check(whole)
            for ends in Pieces.ways(to: bytes) {
                let pieces = read(bytes, upTo: ends, setting)
                require(isSame(pieces, whole), "in pieces up to \(ends): \(pieces), as a whole: \(whole)")
            }
        }
    }

    private static func read(_ bytes: [UInt8], upTo ends: [Int], _ setting: Setting) -> [SocketReader.Seen] {
        var reader = SocketReader(
            limits: limits, settings: .keepingWindows(setting.keepsWindow), offer: setting.offer)
        reader.receive(bytes, upTo: ends)
        let budget = reader.codecs.assemblyBudget
        let events = reader.events
        _ = consume reader
        require(budget.inUse == .zero, "\(budget.inUse) of the budget are never given back")
        return events
    }

    private static func check(_ events: [SocketReader.Seen]) {
        for (place, event) in events.enumerated() {
            switch event {
            case .message(let kind, let bytes):
                require(bytes.count <= limits.message, "a message of \(bytes.count) bytes")
                require(kind == .binary || isText(bytes), "text that is not UTF-8: \(bytes.shown)")
            case .ping(let bytes), .pong(let bytes):
                require(bytes.count <= 125, "a control frame of \(bytes.count) bytes")
            case .close(let code, let reason):
                require(code?.isAllowedOnWire ?? true, "close code \(String(describing: code))")
                require(isText(reason) && reason.count <= 123, "a close reason: \(reason.shown)")
                require(place == events.count - 1, "an event after the close frame")
            case .violation:
                require(place == events.count - 1, "an event after a violation")
            }
        }
    }

    private static func isText(_ bytes: [UInt8]) -> Bool { String(validating: bytes, as: UTF8.self) != nil }

    /// Of two faults in one compressed message, how much of it is looked at in one go decides which is found first.
    private static func isSame(_ left: [SocketReader.Seen], _ right: [SocketReader.Seen]) -> Bool {
        if left == right { return true }
        guard case .violation(let one) = left.last, case .violation(let other) = right.last else { return false }
        return left.dropLast() == right.dropLast() && isAboutContent(one) && isAboutContent(other)
    }

    private static func isAboutContent(_ violation: ProtocolViolation) -> Bool {
        switch violation {
        case .invalidText, .invalidCompression, .messageTooBig: true
        default: false
        }
    }
}
