import Testing

@testable import GatewayTLS

@Suite("Which certificate answers for which name")
struct ServerNamesTests {
    private func names(_ candidates: ([String], isRSA: Bool)...) -> ServerNames {
        ServerNames(candidates.map { ServerNames.Candidate(names: $0.0, isRSA: $0.isRSA) })
    }

    private func chosen(_ names: ServerNames, _ name: String) -> [Int] { names.groups[names.group(for: name)] }

    @Test("exact before wildcard, a wildcard for one label, the first for the rest")
    func order() {
        let names = names((["default"], isRSA: false), (["*.a.example"], isRSA: false), (["x.a.example"], isRSA: false))
        #expect(chosen(names, "x.a.example") == [2])
        #expect(chosen(names, "y.a.example") == [1])
        #expect(chosen(names, "z.y.a.example") == [0])
        #expect(chosen(names, "a.example") == [0])
        #expect(chosen(names, "*.a.example") == [1])
        #expect(chosen(names, "unknown") == [0])
    }

    @Test("an RSA and an ECDSA certificate for one name share a context, also when their other names differ")
    func pairs() {
        let names = names((["a", "b"], isRSA: true), (["a", "c"], isRSA: false))
        #expect(names.groups[0] == [0, 1])
        #expect(chosen(names, "a") == [0, 1])
        #expect(chosen(names, "b") == [0])
        #expect(chosen(names, "c") == [1])
    }

    @Test("a wildcard of the other key type completes an exact name's pair")
    func mixedPair() {
        let names = names((["*.a.example"], isRSA: true), (["x.a.example"], isRSA: false))
        #expect(chosen(names, "x.a.example") == [0, 1])
        #expect(chosen(names, "y.a.example") == [0])
    }

    @Test("of two with the same name and key type the earlier wins")
    func duplicates() {
        let names = names((["a"], isRSA: false), (["a"], isRSA: false))
        #expect(names.groups == [[0]])
    }

    @Test("a first certificate without names is still the default")
    func nameless() {
        let names = names(([], isRSA: false), (["a"], isRSA: false))
        #expect(chosen(names, "b") == [0])
        #expect(chosen(names, "a") == [1])
    }

    @Test(
        "names are compared in lower case, without the root's dot",
        arguments: [("Site.EXAMPLE", "site.example"), ("a.", "a"), ("*.A", "*.a"), ("a_b-1", "a_b-1")])
    func normalized(_ name: String, _ expected: String) { #expect(ServerNames.normalized(name.utf8) == expected) }

    @Test(
        "what is no host name is none",
        arguments: ["", ".", "a\0b", "a b", "a/b", "é", String(repeating: "a", count: 254)])
    func refused(_ name: String) { #expect(ServerNames.normalized(name.utf8) == nil) }
}
