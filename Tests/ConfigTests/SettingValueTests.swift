import GatewayBytes
import Testing

@testable import GatewayConfig

/// A setting's text, its meaning or its refusal, spelled on one line.
struct Sample<Value: Sendable>: Sendable, CustomTestStringConvertible {
    let text: String
    let value: Value

    init(_ text: String, _ value: Value) {
        self.text = text
        self.value = value
    }

    var testDescription: String { text }
}

/// Reads one setting named `X` from `text` and returns its value, or the one problem.
func readOne<Value: SettingValue>(
    _ text: String, as type: Value.Type = Value.self, in limits: Value.Limits? = nil, bare: Value.BareUnit? = nil
) -> Result<Value, SettingProblem> {
    var env = SettingsReader(environment: ["X": text])
    let value: Value = env.required(exactly: "X", in: limits, bare: bare, "A test.")
    guard let problem = env.problems.first else { return .success(value) }
    #expect(env.problems.count == 1)
    return .failure(problem)
}

func problem<Value: SettingValue>(
    _ text: String, as type: Value.Type, in limits: Value.Limits? = nil, bare: Value.BareUnit? = nil
) -> String? {
    if case .failure(let problem) = readOne(text, as: type, in: limits, bare: bare) { return problem.description }
    return nil
}

enum Flavour: String, SettingChoice {
    case plain
    case veryHot = "very-hot"
    case mild
}

@Suite("Values of settings")
struct SettingValueTests {
    @Test(
        "a duration is a number and a unit",
        arguments: [
            Sample("30s", Duration.seconds(30)), Sample("500ms", .milliseconds(500)),
            Sample("250us", .microseconds(250)),
            Sample("5m", .seconds(300)), Sample("2h", .seconds(7200)), Sample("1d", .seconds(86_400)),
            Sample("30 s", .seconds(30)), Sample(" 30s\n", .seconds(30)), Sample("0", .zero),
        ])
    func duration(_ sample: Sample<Duration>) throws {
        #expect(try readOne(sample.text).get() == sample.value)
    }

    @Test("a bare number counts in the unit that the setting says")
    func bareDuration() throws {
        #expect(try readOne("30000", bare: .milliseconds).get() == Duration.seconds(30))
        #expect(try readOne("60", bare: .seconds).get() == Duration.seconds(60))
        #expect(try readOne("5s", bare: .milliseconds).get() == Duration.seconds(5))
    }

    @Test(
        "what is not a duration is refused", arguments: ["abc", "30", "-1s", "1.5s", "s", "30x", "30S", "1m30s", "+1s"])
    func notDuration(_ text: String) {
        #expect(
            problem(text, as: Duration.self) == "X=\(text): not a duration; write 30s, 500ms, 5m, 2h or 1d")
    }

    @Test("a refused duration says what a bare number would be")
    func notDurationBare() {
        #expect(
            problem("abc", as: Duration.self, bare: .milliseconds)
                == "X=abc: not a duration; write 30s or milliseconds like 30000")
        #expect(
            problem("abc", as: Duration.self, bare: .seconds) == "X=abc: not a duration; write 30s or seconds like 30")
        #expect(
            problem("99999999999999d", as: Duration.self, bare: .days)
                == "X=99999999999999d: not a duration; write 30s or days like 1")
    }

    @Test(
        "a duration is shown in the largest unit that divides it",
        arguments: [
            Sample("0s", Duration.zero), Sample("90s", .seconds(90)), Sample("2m", .seconds(120)),
            Sample("1h", .seconds(3600)), Sample("3d", .seconds(259_200)), Sample("1500ms", .milliseconds(1500)),
            Sample("1us", .microseconds(1)),
        ])
    func durationText(_ sample: Sample<Duration>) {
        #expect(sample.value.settingText == sample.text)
    }

    @Test(
        "a size is a number and a binary unit in any case",
        arguments: [
            Sample("64KiB", ByteCount.kibibytes(64)), Sample("64 kib", .kibibytes(64)), Sample("1MiB", .mebibytes(1)),
            Sample("2gi", .gibibytes(2)), Sample("4Mi", .mebibytes(4)), Sample("10B", .bytes(10)), Sample("0", .zero),
        ])
    func size(_ sample: Sample<ByteCount>) throws {
        #expect(try readOne(sample.text).get() == sample.value)
    }

    @Test("a size without a unit needs to know what it counts")
    func bareSize() throws {
        #expect(try readOne("1048576", bare: .bytes).get() == ByteCount.mebibytes(1))
        #expect(try readOne("8", bare: .mebibytes).get() == ByteCount.mebibytes(8))
        #expect(problem("1024", as: ByteCount.self) == "X=1024: not a size; write 64KiB, 1MiB or 1GiB")
        #expect(
            problem("64KB", as: ByteCount.self, bare: .bytes)
                == "X=64KB: not a size; write 64KiB, 1MiB or bytes like 65536")
        #expect(problem("9999999999GiB", as: ByteCount.self) != nil)
        #expect(ByteCount.kibibytes(64).settingText == "64KiB")
    }

    @Test("yes and no have several spellings", arguments: ["true", "1", "YES", "On"], ["false", "0", "no", "OFF"])
    func booleans(_ yes: String, _ no: String) throws {
        #expect(try readOne(yes, as: Bool.self).get())
        #expect(try !readOne(no, as: Bool.self).get())
    }

    @Test("anything else is neither yes nor no", arguments: ["maybe", "2", "y", "truth"])
    func notBoolean(_ text: String) {
        #expect(problem(text, as: Bool.self) == "X=\(text): neither yes nor no; write true or false")
    }

    @Test("whole numbers are digits")
    func integers() throws {
        #expect(try readOne("-12", as: Int.self).get() == -12)
        #expect(problem("1.5", as: Int.self) == "X=1.5: not a whole number; write digits only")
        #expect(problem("0x10", as: Int.self) != nil)
        #expect(problem("11", as: Int.self, in: 1...10) == "X=11: out of range; allowed is 1 to 10")
    }

    @Test("numbers are finite and decimal", arguments: ["nan", "inf", "1e400", "0x1p3", "1,5", ""])
    func notNumber(_ text: String) {
        #expect(problem(text, as: Double.self) != nil)
    }

    @Test("a number is read as it is shown", arguments: ["1000000000000000000000", "0.00001", "-0.5", "2.50", "1E3"])
    func shownNumber(_ text: String) throws {
        let number = try readOne(text, as: Double.self).get()
        #expect(try readOne(number.settingText, as: Double.self).get() == number)
    }

    @Test("numbers may have a fraction")
    func numbers() throws {
        #expect(try readOne("0.25", as: Double.self).get() == 0.25)
        #expect(problem("1.5", as: Double.self, in: 0...1) == "X=1.5: out of range; allowed is 0 to 1")
    }

    @Test("a range is enforced in the setting's own words")
    func ranges() {
        #expect(
            problem("5d", as: Duration.self, in: .milliseconds(100) ... .seconds(60))
                == "X=5d: out of range; allowed is 100ms to 1m")
        #expect(
            problem("1GiB", as: ByteCount.self, in: .kibibytes(1) ... .mebibytes(64))
                == "X=1GiB: out of range; allowed is 1KiB to 64MiB")
        #expect(problem("abcd", as: String.self, in: 1...3) == "X=abcd: out of range; allowed is 1 to 3 bytes")
        #expect(problem("a,b", as: [String].self, in: 0...1) == "X=a,b: out of range; allowed is 0 to 1 elements")
        #expect(problem("80", as: Port.self, in: 1024...65535) == "X=80: out of range; allowed is 1024 to 65535")
    }

    @Test("a choice is read in any case and refused with all choices")
    func choices() throws {
        #expect(try readOne("PLAIN", as: Flavour.self).get() == .plain)
        #expect(try readOne("Very-Hot", as: Flavour.self).get() == .veryHot)
        #expect(problem("hot", as: Flavour.self) == "X=hot: not a choice; write plain, very-hot or mild")
        #expect(Flavour.settingType == "`plain`, `very-hot` or `mild`")
    }

    @Test("a comma splits a list whatever stands behind it")
    func combiningMark() throws {
        #expect(try readOne("a,\u{301}b", as: [String].self).get() == ["a", "\u{301}b"])
    }

    @Test("a list is split at commas, trimmed, without empty elements")
    func lists() throws {
        #expect(try readOne("a, b ,,c,", as: [String].self).get() == ["a", "b", "c"])
        #expect(try readOne(" , ", as: [String].self).get() == [])
        #expect(try readOne("a b,\r\n\tc\t,\n", as: [String].self).get() == ["a b", "c"])
        #expect(try readOne("1s,500ms", as: [Duration].self).get() == [.seconds(1), .milliseconds(500)])
        #expect(
            problem("1,x", as: [Int].self) == "X=1,x: element 2 is not a whole number; write digits only")
    }

    @Test("the elements of any list are those of a list that this module reads itself")
    func elements() {
        #expect(settingElements(of: " a b ,, c\t,\r\n\td\n") == ["a b", "c", "d"])
        #expect(settingElements(of: "a,\u{301}b") == ["a", "\u{301}b"])
        #expect(settingElements(of: " ,\t") == [])
        #expect(settingElements(of: "") == [])
    }

    @Test("a port is a number that fits", arguments: ["65536", "-1", "http", "+80", "8 0"])
    func notPort(_ text: String) {
        #expect(problem(text, as: Port.self) == "X=\(text): not a port; write a number from 0 to 65535")
    }

    @Test("a Kubernetes service link under a port's name is explained")
    func serviceLink() {
        #expect(
            problem("tcp://10.0.0.1:3001", as: Port.self)
                == "X=tcp://10.0.0.1:3001: not a port but a Kubernetes service link; set the port, "
                + "or enableServiceLinks: false in the pod")
    }

    @Test("off turns a switchable setting off")
    func switchable() throws {
        #expect(try readOne("OFF", as: Switchable<Port>.self).get() == .off)
        #expect(try readOne("5000", as: Switchable<Port>.self).get() == .on(5000))
        #expect(
            problem("x", as: Switchable<Port>.self) == "X=x: not a port; write a number from 0 to 65535, or off")
        #expect(
            problem("80", as: Switchable<Port>.self, in: 1024...65535)
                == "X=80: out of range; allowed is 1024 to 65535")
        #expect(Switchable<Port>.on(80).settingText == "80")
        #expect(Switchable<Port>.off.settingText == "off")
        #expect(Switchable<Port>.settingType == "port, or `off`")
    }

    @Test(
        "an address to listen on is a host and a port",
        arguments: [
            Sample("127.0.0.1:9901", ListenAddress(host: "127.0.0.1", port: 9901)),
            Sample("[::1]:80", ListenAddress(host: "::1", port: 80)),
            Sample("[fe80::1%eth0]:80", ListenAddress(host: "fe80::1%eth0", port: 80)),
            Sample("localhost:0", ListenAddress(host: "localhost", port: 0)),
            Sample(":9901", ListenAddress(host: "", port: 9901)), Sample("*:9901", ListenAddress(host: "", port: 9901)),
        ])
    func listenAddress(_ sample: Sample<ListenAddress>) throws {
        let address = try readOne(sample.text, as: ListenAddress.self).get()
        #expect(address == sample.value)
        #expect(address.settingText == (sample.text == "*:9901" ? ":9901" : sample.text))
    }

    @Test(
        "what is not an address and port is refused",
        arguments: [
            "9901", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "::1:80", "[::1]", "[zz::]:80", "[1]:80",
            "256.1.1.1:80",
            "1.2.3:80", "a b:80", "host:80:90", "[::1%]:80", "http://x:80",
        ])
    func notListenAddress(_ text: String) {
        #expect(
            problem(text, as: ListenAddress.self)
                == "X=\(text): not an address and port; write 127.0.0.1:9901, [::1]:9901 or :9901")
    }
}
