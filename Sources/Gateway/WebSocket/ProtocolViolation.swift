/// Why a connection has to be closed by its receiver. Each case has its close code and a constant phrase.
package enum ProtocolViolation: Error, Equatable, Sendable {
    /// Reserved bits that no negotiated extension owns, or not on this frame (RFC 6455 §5.2, RFC 7692 §6).
    case reservedBits(UInt8)
    case unknownOpcode(UInt8)
    case fragmentedControlFrame(Opcode)
    case oversizedControlFrame(Opcode)
    /// A client must mask (RFC 6455 §5.1).
    case unmaskedFrame
    /// A server must not mask.
    case maskedFrame
    /// A length spelled with more bytes than it needs (RFC 6455 §5.2: "the minimal number of bytes MUST be used").
    case lengthNotMinimal
    /// The top bit of a 64-bit length is set.
    case lengthOutOfRange
    case unexpectedContinuation
    /// A new message before the last one was complete.
    case interruptedMessage
    case frameTooBig(limit: Int)
    case messageTooBig(limit: Int)
    case tooManyFragments(limit: Int)
    /// All messages in assembly together have reached the process's budget.
    case assemblyBudgetExhausted
    case invalidText
    case invalidCompression
    case closePayloadOfOneByte
    case invalidCloseCode(UInt16)
    case closeReasonNotText
    case outOfMemory

    package var closeCode: CloseCode {
        switch self {
        case .invalidText, .invalidCompression, .closeReasonNotText: .invalidPayload
        case .frameTooBig, .messageTooBig: .messageTooBig
        case .tooManyFragments: .policyViolation
        case .assemblyBudgetExhausted: .tryAgainLater
        case .outOfMemory: .internalError
        default: .protocolError
        }
    }

    /// What the close frame tells the peer; short enough for one.
    package var reason: StaticString {
        switch self {
        case .reservedBits: "reserved bits set"
        case .unknownOpcode: "unknown opcode"
        case .fragmentedControlFrame: "fragmented control frame"
        case .oversizedControlFrame: "control frame over 125 bytes"
        case .unmaskedFrame: "client frame not masked"
        case .maskedFrame: "server frame masked"
        case .lengthNotMinimal: "frame length not minimal"
        case .lengthOutOfRange: "frame length out of range"
        case .unexpectedContinuation: "continuation without a message"
        case .interruptedMessage: "message not finished"
        case .frameTooBig: "frame too big"
        case .messageTooBig: "message too big"
        case .tooManyFragments: "too many fragments"
        case .assemblyBudgetExhausted: "try again later"
        case .invalidText: "text is not UTF-8"
        case .invalidCompression: "compressed data is broken"
        case .closePayloadOfOneByte: "close code cut short"
        case .invalidCloseCode: "close code not allowed"
        case .closeReasonNotText: "close reason is not UTF-8"
        case .outOfMemory: "out of memory"
        }
    }
}
