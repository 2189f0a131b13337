/// Who may import whom, lowest row first: a module may import from the rows above its own, never from its own row.
///
/// The same picture as `Package.swift`, written a second time on purpose: a new arrow has to be drawn twice.
let rows: [[String]] = [
    ["CLinux", "CZlib", "COpenSSL", "CJWT", "CISAL", "CSQLite"],
    ["GatewayBytes", "GatewayLocks"],
    ["GatewayConfig", "GatewayTelemetry"],
    ["GatewayRuntime"],
    ["GatewayHTTP", "GatewayCompression", "GatewayTLS", "GatewayAuth", "GatewayBackplane"],
    ["GatewayWebSocket", "GatewayTunnel"],
    ["GatewayTransport"],
    ["GatewayUpstream"],
    ["GatewayAgent", "PluginKit"],
    ["GatewayServer", "GatewaySQLite"],
    ["EchoPlugin", "HLSPlugin", "ProxyPlugin", "TunnelPlugin", "ExamplePlugin"],
    ["gateway"],
]

/// Bytes in, events out: a protocol that cannot reach a socket or a timer can be tested and fuzzed in memory.
let protocols: Set = [
    "GatewayHTTP", "GatewayCompression", "GatewayTLS", "GatewayAuth", "GatewayBackplane", "GatewayWebSocket",
    "GatewayTunnel",
]

/// One for each system outside of the process. A plugin may import those it needs, besides PluginKit.
let drivers: Set = ["GatewaySQLite"]

/// Protocols that one plugin speaks and the core does not: its plugin may import it, since PluginKit is for what all need.
let protocolsOfPlugins = ["TunnelPlugin": "GatewayTunnel"]

/// Each C library has one Swift importer, which owns, frees and translates; no C type leaves it.
///
/// OpenSSL is the exception. TLS needs its sessions; Auth needs its keys and digests, since libjwt checks a signature
/// but not that the key fits the algorithm. The two share no type, and Auth through TLS would be a false dependency.
let importersOfC: [String: Set<String>] = [
    "CLinux": ["GatewayRuntime"],
    "CZlib": ["GatewayCompression"],
    "CISAL": ["GatewayCompression"],
    "CJWT": ["GatewayAuth"],
    "CSQLite": ["GatewaySQLite"],
    "COpenSSL": ["GatewayAuth", "GatewayTLS"],
]

/// Modules that come with the toolchain, and who may import them.
///
/// Foundation costs 6 ms of start-up and is slow on the request path, so it is for tests only. Glibc means system calls,
/// which are Runtime's; the others named use it for the reason given.
let importersOfToolchain: [String: Set<String>?] = [
    "Synchronization": nil,
    "Foundation": [],
    "FoundationEssentials": [],
    "Glibc": [
        "GatewayRuntime",
        "GatewayLocks",  // a mutex, by which threads may wait for each other and for nothing else
        "GatewayTelemetry",  // the sink writes log lines from a thread of its own
        "GatewayHTTP",  // memchr, which no loop of ours beats
    ],
]

/// Modules that may start a thread. Everything else runs on a loop or asks the worker pool.
let ownersOfThreads: Set = ["GatewayRuntime", "GatewayTelemetry"]

/// The only module with `public` imports: it re-exports what a plugin is written in.
let publicModule = "PluginKit"

/// Public only to be inlined: the compiler inlines no `package` declaration into another module.
let publicFiles: Set = ["Sources/Gateway/Bytes/OutputBuffer.swift", "Sources/Gateway/Locks/Guarded.swift"]

let longestFile = 500

/// The row of `module`, or `nil` if the table does not know it.
func row(of module: String) -> Int? { rows.firstIndex { $0.contains(module) } }

/// The module that SwiftPM builds from a path under `Sources`, or `nil` for C headers and strays. Every example stands
/// for one plugin.
func module(ofPath path: String) -> String? {
    let parts = path.split(separator: "/")
    if parts.count == 3, parts[0] == "Examples" { return "ExamplePlugin" }
    guard parts.count > 3, parts[0] == "Sources" else { return nil }
    switch (parts[1], parts[2]) {
    case ("Gateway", "App"): return "gateway"
    case ("Gateway", "PluginKit"): return "PluginKit"
    case ("Gateway", let name): return "Gateway\(name)"
    case ("Plugins", let name): return "\(name)Plugin"
    default: return nil
    }
}
