/// What both ends of a tunnel session agree on; the gateway states it in its `welcome`.
package struct TunnelTerms: Equatable, Sendable {
    /// Bytes of one stream and direction that may be under way: written and not yet acknowledged as consumed.
    package var streamWindow = 256 << 10
    /// The same over all streams of the session, for each direction.
    package var sessionWindow = 4 << 20
    /// Most payload of one data frame.
    package var dataFrame = 64 << 10
    /// Most streams open at once.
    package var streams = 10
    /// How long the session outlives its carrier, in seconds.
    package var resumeGrace = 30

    package init() {}

    /// Whether a stream that nobody reads can use up the whole session, and so stall all others.
    package var letsOneStreamStallOthers: Bool {
        let (all, overflow) = streams.multipliedReportingOverflow(by: streamWindow)
        return overflow || all > sessionWindow
    }

    /// What keeps another party's terms from being used.
    var isUsable: Bool {
        (1...(16 << 20)).contains(streamWindow) && (streamWindow...(256 << 20)).contains(sessionWindow)
            && (1...(1 << 20)).contains(dataFrame) && (1...10_000).contains(streams)
            && (0...86_400).contains(resumeGrace)
    }
}

/// Constants of the protocol.
package enum TunnelProtocol {
    package static let version = 1
    /// The subprotocol of a carrier.
    package static let subprotocol = "tunnel.agent.v1"
    /// Most bytes of a text message; heads of requests are inside.
    package static let messageSize = 128 << 10
    /// Most header fields of a request or answer.
    package static let fields = 256
    /// Most characters of an agent's name.
    package static let nameLength = 64

    /// Most characters of what one end tells people at the other.
    package static let noteLength = 256

    /// What is kept of a text for people. Counted in scalars: one character can be made of any number of them.
    static func shortened(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.prefix(noteLength)))
    }

    /// Whether `name` can be an agent's: 1 to 64 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, and neither `.` nor `..`.
    package static func isAgentName(_ name: String) -> Bool {
        guard (1...nameLength).contains(name.utf8.count), name != ".", name != ".." else { return false }
        return name.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
        }
    }
}

/// Why a stream ended before both its directions were complete.
package enum TunnelReset: String, Sendable, CaseIterable {
    /// Whoever asked does not want the answer any more.
    case cancelled
    /// The agent does not offer this target, method or path.
    case refused
    /// The agent could not reach its target.
    case unreachable
    /// The target went silent for too long.
    case timeout
    /// The target, or the consumer's body, broke off.
    case broken
    /// The peer sent more than its credit.
    case flow
    /// The peer's bytes do not continue where they stopped.
    case offset
    /// The other end no longer knows the stream.
    case lost
    /// No more streams can be served.
    case overloaded
}

/// The peer broke the protocol: its carrier is closed with 1002 and `message`, and its session ends.
package struct TunnelViolation: Error, Equatable, Sendable {
    package let message: String
    package init(_ message: String) { self.message = message }
}
