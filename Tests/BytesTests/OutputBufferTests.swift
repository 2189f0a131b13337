import GatewayBytes
import Testing

@Suite("Output buffer")
struct OutputBufferTests {
    @Test("bytes leave in the order they came, through growth and consumption")
    func order() {
        var buffer = OutputBuffer(capacity: 64)
        var expected: [UInt8] = []
        var next: UInt8 = 0
        for step in 0..<500 {
            let chunk = (0..<step % 37).map { _ -> UInt8 in
                next &+= 1
                return next
            }
            buffer.append(chunk)
            expected += chunk
            let gone = min(expected.count, step % 29)
            buffer.consume(gone)
            expected.removeFirst(gone)
            let count = buffer.count
            #expect(count == expected.count)
        }
        let written = contents(buffer)
        #expect(written == expected)
    }

    @Test("every kind of piece is appended")
    func pieces() {
        var buffer = OutputBuffer()
        buffer.append(UInt8(ascii: "a"))
        buffer.append("b" as StaticString)
        buffer.append(text: "cé")
        buffer.append([0x64, 0x65])
        buffer.append([0x78, 0x66, 0x78][1..<2])
        buffer.append([0x67].span)
        buffer.append([UInt8]())
        let written = contents(buffer)
        #expect(String(decoding: written, as: UTF8.self) == "abcédefg")
    }

    @Test(
        "integers are written in base ten",
        arguments: [0, 1, 9, 10, 99, 100, 65535, 999_999_999, 1_000_000_000, 9_999_999_999_999_999_999, .max]
            as [UInt64])
    func decimal(_ value: UInt64) {
        var buffer = OutputBuffer()
        buffer.append(decimal: value)
        let written = contents(buffer)
        #expect(String(decoding: written, as: UTF8.self) == String(value))
    }

    @Test("signed integers keep their sign", arguments: [0, -1, 42, .min, .max] as [Int])
    func signed(_ value: Int) {
        var buffer = OutputBuffer()
        buffer.append(decimal: value)
        let written = contents(buffer)
        #expect(String(decoding: written, as: UTF8.self) == String(value))
    }

    @Test("integers are written in base sixteen", arguments: [0, 1, 15, 16, 255, 256, 0xDEAD_BEEF, .max] as [UInt64])
    func hexadecimal(_ value: UInt64) {
        var buffer = OutputBuffer()
        buffer.append(hexadecimal: value)
        let written = contents(buffer)
        #expect(String(decoding: written, as: UTF8.self) == String(value, radix: 16))
    }

    @Test("a half-written message is undone")
    func truncation() {
        var buffer = OutputBuffer()
        buffer.append(Array("keep".utf8))
        buffer.consume(1)
        let size = buffer.count
        buffer.append(Array("drop".utf8))
        buffer.truncate(to: size)
        let written = contents(buffer)
        #expect(written == Array("eep".utf8))
        buffer.removeAll()
        let isEmpty = buffer.isEmpty
        #expect(isEmpty)
    }

    @Test("a writer in place says how much it wrote")
    func inPlace() {
        var buffer = OutputBuffer(capacity: 64)
        buffer.append([UInt8](repeating: 1, count: 60))
        unsafe buffer.appendInPlace(room: 100) { free in
            unsafe free[0] = 7
            return free.count >= 100 ? 1 : 0
        }
        let count = buffer.count
        #expect(count == 61)
        let written = contents(buffer)
        #expect(written.last == 7)
    }

    @Test("an emptied buffer keeps its memory")
    func keepsCapacity() {
        var buffer = OutputBuffer(capacity: 64)
        buffer.append([UInt8](repeating: 1, count: 1000))
        let grown = buffer.capacity
        buffer.consume(1000)
        let isEmpty = buffer.isEmpty
        #expect(isEmpty)
        let capacity = buffer.capacity
        #expect(capacity == grown)
    }
}

@Suite("Vocabulary")
struct VocabularyTests {
    @Test(
        "a byte count prints its largest whole unit",
        arguments: [
            (.zero, "0 B"), (.bytes(1), "1 B"), (.bytes(1500), "1500 B"), (.bytes(1024), "1 KiB"),
            (.kibibytes(64), "64 KiB"), (.kibibytes(1536), "1536 KiB"), (.mebibytes(1), "1 MiB"),
            (.gibibytes(4), "4 GiB"),
        ] as [(ByteCount, String)])
    func byteCount(_ count: ByteCount, _ text: String) {
        #expect(count.description == text)
    }

    @Test("byte counts compare by size")
    func order() {
        #expect(ByteCount.kibibytes(1) < .bytes(1025))
        #expect(ByteCount.kibibytes(1024) == .mebibytes(1))
    }

    @Test("no way of printing a secret shows it")
    func secret() {
        let secret = Secret("hunter2")
        var dumped = ""
        dump(secret, to: &dumped)
        let nested = ["key": [secret]]
        for text in [
            "\(secret)", String(reflecting: secret), dumped, "\(nested)", String(describing: Optional(secret)),
        ] {
            #expect(text.contains("<secret>"))
            #expect(!text.contains("hunter2"))
        }
        #expect(Mirror(reflecting: secret).children.isEmpty)
    }

    @Test("a secret gives its bytes only inside a closure, and passes errors on")
    func secretBytes() {
        struct Refusal: Error, Equatable {}
        let secret = Secret([1, 2, 3])
        #expect(unsafe secret.withBytes { unsafe Array($0) } == [1, 2, 3])
        #expect(secret.count == 3)
        #expect(Secret("").isEmpty)
        do throws(Refusal) {
            unsafe try secret.withBytes { _ throws(Refusal) in throw Refusal() }
            Issue.record("the error was swallowed")
        } catch {
            #expect(error == Refusal())
        }
    }
}
