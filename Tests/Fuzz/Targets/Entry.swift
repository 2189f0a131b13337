import Glibc

/// One parser and what must hold for it, whatever the bytes.
struct FuzzTarget: Sendable {
    let name: String
    /// Returns when everything held; see ``require(_:_:)``.
    let run: @Sendable ([UInt8]) -> Void

    static let all = [
        FuzzTarget(name: "request", run: RequestTarget.run),
        FuzzTarget(name: "response", run: ResponseTarget.run),
        FuzzTarget(name: "chunked", run: ChunkedTarget.run),
        FuzzTarget(name: "frames", run: FramesTarget.run),
        FuzzTarget(name: "inflate", run: InflateTarget.run),
        FuzzTarget(name: "negotiation", run: NegotiationTarget.run),
        FuzzTarget(name: "json", run: JSONTarget.run),
        FuzzTarget(name: "token", run: TokenTarget.run),
        FuzzTarget(name: "claims", run: ClaimsTarget.run),
        FuzzTarget(name: "keyset", run: KeySetTarget.run),
        FuzzTarget(name: "query", run: QueryTarget.run),
        FuzzTarget(name: "playlist", run: PlaylistTarget.run),
        FuzzTarget(name: "url", run: URLTarget.run),
        FuzzTarget(name: "preamble", run: ProxyHeaderTarget.run),
        FuzzTarget(name: "client", run: ClientTarget.run),
        FuzzTarget(name: "settings", run: SettingsTarget.run),
        FuzzTarget(name: "tunnel", run: TunnelTarget.run),
        FuzzTarget(name: "session", run: SessionTarget.run),
        FuzzTarget(name: "envelope", run: EnvelopeTarget.run),
    ]

    /// One binary holds all targets, since linking one for each would cost more than running them.
    static let chosen: FuzzTarget = {
        let name = unsafe getenv("FUZZ_TARGET").map { unsafe String(cString: $0) }
        if let target = all.first(where: { $0.name == name }) { return target }
        fatalError("FUZZ_TARGET must be one of: \(all.map { $0.name }.joined(separator: " "))")
    }()
}

/// Called by libFuzzer with every input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafeRawPointer?, _ count: Int) -> CInt {
    // Why a copy: an array of its own has exactly this size, so the address sanitizer sees a read behind its end.
    FuzzTarget.chosen.run(unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: count)))
    return 0
}

/// Swift keeps tags in the spare bits of a pointer inside an enum, where the leak sanitizer does not see the pointer; the
/// keys that live for ever are such.
@_cdecl("__lsan_default_suppressions")
public func leakSuppressions() -> UnsafePointer<UInt8> { unsafe StaticString("leak:FuzzKeys").utf8Start }

/// Ends the run with a crash, which libFuzzer keeps as a file, when something does not hold.
func require(_ condition: Bool, _ message: @autoclosure () -> String) {
    if !condition { fatalError(message()) }
}
