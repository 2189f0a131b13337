import GatewayWebSocket
import Testing

@Suite("UTF-8 as it arrives (RFC 3629)")
struct UTF8ValidatorTests {
    /// Valid texts of the classic stress tests, by code point.
    static let valid: [[UInt8]] = [
        [], Array("Hello-µ@ßöäüàá-UTF-8!!".utf8), Array("κόσμε".utf8), Array("日本語テキスト、漢字かな".utf8),
        Array("😀👩‍👩‍👧‍👦 mixed with ASCII that is longer than sixteen bytes 🏁".utf8),
        [0x00], [0x7F], [0xC2, 0x80], [0xDF, 0xBF], [0xE0, 0xA0, 0x80], [0xEF, 0xBF, 0xBF], [0xEF, 0xBF, 0xBD],
        [0xED, 0x9F, 0xBF], [0xEE, 0x80, 0x80], [0xF0, 0x90, 0x80, 0x80], [0xF4, 0x8F, 0xBF, 0xBF],
        [0xEF, 0xBF, 0xBE], [0xF0, 0x9F, 0xBF, 0xBE], [0xF0, 0x9F, 0xBF, 0xBF], [0xF3, 0xBF, 0xBF, 0xBE],
    ]

    /// Invalid texts, with the number of bytes that may still be taken before the first impossible one.
    static let invalid: [([UInt8], Int)] = [
        // Continuations without a lead
        ([0x80], 0), ([0xBF], 0), ([0x80, 0xBF], 0), ([0x41, 0x80], 1),
        // Leads that never occur
        ([0xC0, 0x80], 0), ([0xC1, 0xBF], 0), ([0xF5, 0x80, 0x80, 0x80], 0), ([0xF8, 0x88, 0x80, 0x80, 0x80], 0),
        ([0xFC, 0x84, 0x80, 0x80, 0x80, 0x80], 0), ([0xFE], 0), ([0xFF], 0),
        // Overlong forms
        ([0xE0, 0x80, 0x80], 1), ([0xE0, 0x9F, 0xBF], 1), ([0xF0, 0x80, 0x80, 0xAF], 1), ([0xF0, 0x8F, 0xBF, 0xBF], 1),
        // Surrogates, alone and in pairs
        ([0xED, 0xA0, 0x80], 1), ([0xED, 0xBF, 0xBF], 1), ([0xED, 0xA0, 0x80, 0xED, 0xB0, 0x80], 1),
        // Above U+10FFFF
        ([0xF4, 0x90, 0x80, 0x80], 1), ([0xF7, 0xBF, 0xBF, 0xBF], 0),
        // Sequences cut short by something else
        ([0xC2, 0x41], 1), ([0xE1, 0x80, 0x41], 2), ([0xF1, 0x80, 0x80, 0x41], 3), ([0xE1, 0xC2, 0x80], 1),
        ([0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xED, 0xA0, 0x80], 6),
    ]

    @Test("valid text is valid in one piece, byte by byte and cut anywhere", arguments: valid)
    func accepts(_ text: [UInt8]) {
        #expect(fed([text]) == .complete)
        #expect(fed(text.map { [$0] }) == .complete)
        for cut in 0...text.count {
            #expect(fed([Array(text[..<cut]), Array(text[cut...])]) == .complete, "cut at \(cut)")
        }
        // Behind enough ASCII for the wide loads, at every offset in them.
        for pad in 0...33 { #expect(fed([[UInt8](repeating: 0x61, count: pad) + text]) == .complete) }
    }

    @Test("invalid text fails at its first impossible byte and not before", arguments: invalid)
    func refuses(_ text: [UInt8], _ possible: Int) {
        #expect(fed([Array(text[..<possible])]) != .refused)
        #expect(fed([Array(text[...possible])]) == .refused)
        #expect(fed([text]) == .refused)
        #expect(fed(text.map { [$0] }) == .refused)
        for cut in 0...text.count { #expect(fed([Array(text[..<cut]), Array(text[cut...])]) == .refused) }
        for pad in 0...33 { #expect(fed([[UInt8](repeating: 0x61, count: pad) + text]) == .refused) }
    }

    @Test("text cut inside a character is possible but not complete")
    func incomplete() {
        for text in [[0xC2], [0xE1, 0x80], [0xF1, 0x80, 0x80], [0xED], [0xF4, 0x8F]] as [[UInt8]] {
            #expect(fed([text]) == .incomplete)
        }
    }

    @Test("it agrees with the standard library on every two and three bytes")
    func exhaustive() {
        for first in UInt8.min...UInt8.max {
            for second in stride(from: UInt8(0), through: 0xFF, by: 1) {
                compare([first, second])
                if first >= 0xE0 || second >= 0xE0 {
                    for third in [0x00, 0x7F, 0x80, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF] as [UInt8] {
                        compare([first, second, third])
                    }
                }
            }
        }
    }

    private func compare(_ bytes: [UInt8]) {
        let expected = String(validating: bytes, as: UTF8.self) != nil
        #expect((fed([bytes]) == .complete) == expected, "\(bytes)")
    }

    private enum Outcome { case complete, incomplete, refused }

    private func fed(_ pieces: [[UInt8]]) -> Outcome {
        var validator = UTF8Validator()
        for piece in pieces {
            let isPossible = unsafe piece.withUnsafeBytes { unsafe validator.accepts($0) }
            if !isPossible { return .refused }
        }
        return validator.isComplete ? .complete : .incomplete
    }
}
