// swift-tools-version: 6.2
import PackageDescription

// Read this file as a diagram: a target may depend only on targets above it. Tests/ArchitectureTests compares every
// `import` line in the tree with the layers written here.

let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    // Dynamic exclusivity checks are the largest hidden cost on the data path; debug builds and tests keep them.
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

/// ISA-L compresses messages without context takeover 1.5 to 4.5 times cheaper than zlib; zlib does it all without it.
let withISAL = Context.environment["GATEWAY_WITHOUT_ISAL"] == nil

func gateway(_ name: String, on dependencies: [Target.Dependency] = [], settings: [SwiftSetting] = []) -> Target {
    .target(
        name: "Gateway\(name)", dependencies: dependencies, path: "Sources/Gateway/\(name)",
        swiftSettings: house + settings)
}

/// - Parameter embedding: Files that become part of the program, as bytes of `PackageResources`.
func plugin(_ name: String, on dependencies: [Target.Dependency] = [], embedding files: [String] = []) -> Target {
    .target(
        name: "\(name)Plugin", dependencies: ["PluginKit"] + dependencies, path: "Sources/Plugins/\(name)",
        resources: files.map { .embedInCode($0) }, swiftSettings: house)
}

/// Built with the tests, so that what the documents show cannot rot; not part of the program.
func example(_ name: String) -> Target {
    .target(
        name: "\(name)Plugin", dependencies: ["PluginKit"], path: "Examples/\(name)", swiftSettings: house)
}

func borrowed(_ name: String, pkgConfig: String? = nil, debian: String) -> Target {
    .systemLibrary(
        name: name, path: "Sources/CLibraries/\(name)", pkgConfig: pkgConfig, providers: [.apt([debian])])
}

func tests(of name: String, on dependencies: [Target.Dependency], excluding: [String] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies, path: "Tests/\(name)Tests", exclude: excluding,
        swiftSettings: house)
}

let package = Package(
    name: "gateway",
    products: [.executable(name: "gateway", targets: ["gateway"])],
    targets: [
        // 0  C libraries: one Swift importer each, no C type in a signature
        borrowed("CLinux", debian: "libc6-dev"),
        borrowed("CZlib", pkgConfig: "zlib", debian: "zlib1g-dev"),
        borrowed("COpenSSL", pkgConfig: "openssl", debian: "libssl-dev"),
        borrowed("CJWT", pkgConfig: "libjwt", debian: "libjwt-dev"),
        borrowed("CISAL", pkgConfig: "libisal", debian: "libisal-dev"),
        borrowed("CSQLite", pkgConfig: "sqlite3", debian: "libsqlite3-dev"),

        // 1  vocabulary
        gateway("Bytes"),
        gateway("Locks"),
        gateway("Config", on: ["GatewayBytes"]),
        gateway("Telemetry", on: ["GatewayBytes"]),

        // 2  the only threads, timers and file descriptors
        gateway("Runtime", on: ["CLinux", "GatewayBytes", "GatewayLocks"]),

        // 3-4  protocols: bytes in, events out; no sockets, no threads
        gateway("HTTP", on: ["GatewayBytes"]),
        gateway("Backplane", on: ["GatewayLocks"]),
        gateway(
            "Compression", on: ["CZlib", "GatewayBytes"] + (withISAL ? ["CISAL"] : []),
            settings: withISAL ? [.define("ISAL")] : []),
        gateway("WebSocket", on: ["GatewayBytes", "GatewayCompression", "GatewayHTTP", "GatewayLocks"]),
        gateway("Tunnel", on: ["GatewayBytes", "GatewayHTTP"]),
        gateway("TLS", on: ["COpenSSL", "GatewayBytes", "GatewayLocks"]),
        gateway("Auth", on: ["CJWT", "COpenSSL", "GatewayBytes", "GatewayConfig", "GatewayLocks"]),

        // 4  byte streams: a socket, its cipher and its unsent output; the pooled upstream client on top
        gateway("Transport", on: ["GatewayBytes", "GatewayRuntime", "GatewayTLS"]),
        gateway(
            "Upstream",
            on: [
                "GatewayBytes", "GatewayCompression", "GatewayConfig", "GatewayHTTP", "GatewayLocks", "GatewayRuntime",
                "GatewayTLS", "GatewayTelemetry", "GatewayTransport", "GatewayWebSocket",
            ]),

        // 5  the tunnel's far ends, for the program alone: they dial out and serve nobody but the gateway
        gateway(
            "Agent",
            on: [
                "GatewayBytes", "GatewayConfig", "GatewayHTTP", "GatewayRuntime", "GatewayTLS", "GatewayTelemetry",
                "GatewayTransport", "GatewayTunnel", "GatewayUpstream", "GatewayWebSocket",
            ]),

        // 5  the only gateway module a plugin must import
        .target(
            name: "PluginKit",
            dependencies: [
                "GatewayAuth", "GatewayBackplane", "GatewayBytes", "GatewayCompression", "GatewayConfig", "GatewayHTTP",
                "GatewayLocks",
                "GatewayRuntime", "GatewayTelemetry", "GatewayUpstream", "GatewayWebSocket",
            ],
            path: "Sources/Gateway/PluginKit", swiftSettings: house),

        // 6  the server never imports a plugin
        gateway(
            "Server",
            on: [
                "GatewayAuth", "GatewayBackplane", "GatewayBytes", "GatewayCompression", "GatewayConfig", "GatewayHTTP",
                "GatewayLocks",
                "GatewayRuntime", "GatewayTLS", "GatewayTelemetry", "GatewayTransport", "GatewayUpstream",
                "GatewayWebSocket", "PluginKit",
            ]),

        // 6  drivers: one for each system outside of the process, for plugins that need it
        gateway(
            "SQLite",
            on: ["CSQLite", "GatewayBytes", "GatewayConfig", "GatewayRuntime", "GatewayTelemetry", "PluginKit"]),

        // 7  plugins: PluginKit and the drivers they need, never each other
        plugin("Echo"),
        plugin("HLS"),
        plugin("Proxy"),
        plugin(
            "Tunnel", on: ["GatewaySQLite", "GatewayTunnel"],
            embedding: ["Page/index.html", "Page/page.css", "Page/page.js", "Page/icon.svg"]),

        // 8  the program
        .executableTarget(
            name: "gateway",
            dependencies: [
                "GatewayAgent", "GatewayAuth", "GatewayBytes", "GatewayConfig", "GatewayRuntime", "GatewayServer",
                "GatewayTLS", "GatewayTelemetry", "PluginKit", "EchoPlugin", "HLSPlugin", "ProxyPlugin",
                "TunnelPlugin",
            ],
            path: "Sources/Gateway/App", swiftSettings: house),

        // What README.md and docs/PLUGINS.md show
        example("Hello"),
        example("Maintenance"),
        example("Chat"),
        example("Snapshot"),
        example("Limited"),
        example("Keyed"),

        // A running gateway and a client, for the tests of plugins
        .target(
            name: "PluginTesting", dependencies: ["GatewayLocks", "GatewayServer", "GatewayTelemetry", "PluginKit"],
            path: "Tests/PluginTesting", swiftSettings: house),
        tests(
            of: "Examples",
            on: [
                "PluginTesting", "HelloPlugin", "MaintenancePlugin", "ChatPlugin", "SnapshotPlugin", "LimitedPlugin",
                "KeyedPlugin",
            ]),

        // What several test targets share; nothing that ships depends on it
        .target(
            name: "GatewayTestSupport", dependencies: ["CTestProcess", "GatewayLocks", "GatewayRuntime"],
            path: "Tests/Support", swiftSettings: house),
        .target(name: "CTestProcess", dependencies: ["COpenSSL"], path: "Tests/Process"),

        // What every driver of the backplane must pass: its tests call it with a driver of their own
        .target(
            name: "BackplaneConformance", dependencies: ["GatewayBackplane"], path: "Tests/BackplaneConformance",
            swiftSettings: house),
        tests(of: "Backplane", on: ["BackplaneConformance", "GatewayBackplane"]),

        tests(of: "Architecture", on: []),
        tests(of: "Bytes", on: ["GatewayBytes"]),
        tests(of: "Locks", on: ["GatewayLocks", "GatewayTestSupport"]),
        tests(of: "Config", on: ["GatewayConfig"]),
        tests(of: "Telemetry", on: ["GatewayTelemetry", "GatewayTestSupport"]),
        tests(of: "Runtime", on: ["GatewayRuntime", "GatewayTestSupport"]),
        tests(of: "HTTP", on: ["GatewayHTTP"]),
        tests(of: "Compression", on: ["GatewayCompression", "GatewayTestSupport"]),
        tests(of: "WebSocket", on: ["GatewayWebSocket", "GatewayTestSupport"]),
        tests(of: "Tunnel", on: ["GatewayBytes", "GatewayHTTP", "GatewayTunnel"]),
        tests(of: "TunnelStatus", on: ["GatewayTunnel", "PluginTesting", "TunnelPlugin"]),
        tests(
            of: "TunnelRights",
            on: ["GatewaySQLite", "GatewayTestSupport", "GatewayTunnel", "PluginKit", "PluginTesting", "TunnelPlugin"]),
        tests(
            of: "TunnelPlugin",
            on: ["GatewayTestSupport", "GatewayTunnel", "PluginKit", "PluginTesting", "TunnelPlugin"]),
        tests(of: "TLS", on: ["COpenSSL", "GatewayTLS"]),
        tests(of: "Auth", on: ["GatewayAuth", "GatewayTestSupport"]),
        tests(of: "Transport", on: ["GatewayTransport", "GatewayTestSupport"]),
        tests(of: "Upstream", on: ["GatewayUpstream", "GatewayTestSupport"]),
        tests(
            of: "Agent", on: ["GatewayAgent", "GatewayLocks", "GatewayTestSupport", "PluginTesting", "TunnelPlugin"]),
        tests(of: "PluginKit", on: ["GatewayTestSupport", "PluginKit"]),
        tests(of: "Server", on: ["GatewayServer", "GatewayTestSupport", "EchoPlugin"]),
        tests(
            of: "SQLite",
            on: [
                "GatewayBytes", "GatewayLocks", "GatewayRuntime", "GatewayServer", "GatewaySQLite", "GatewayTelemetry",
                "GatewayTestSupport", "PluginTesting", "sqlitewriter",
            ]),
        tests(of: "Echo", on: ["EchoPlugin"]),
        tests(of: "Proxy", on: ["ProxyPlugin"]),
        tests(of: "HLS", on: ["HLSPlugin"], excluding: ["Golden"]),

        // Writes to a database until the tests of the driver kill it
        .executableTarget(
            name: "sqlitewriter",
            dependencies: ["GatewayRuntime", "GatewaySQLite", "GatewayTelemetry"],
            path: "Tests/SQLiteWriter", swiftSettings: house),

        // The load generator of Benchmarks/run: no gateway module, so that it cannot gain or lose by what it measures
        .executableTarget(
            name: "benchload", dependencies: ["CLinux", "COpenSSL", "CZlib"], path: "Benchmarks/Load",
            swiftSettings: house),

        // What one check of a limit costs: `make bench-limits`
        .executableTarget(
            name: "benchlimits",
            dependencies: [
                "GatewayAuth", "GatewayBackplane", "GatewayBytes", "GatewayConfig", "GatewayRuntime",
                "GatewayTelemetry", "PluginKit",
            ],
            path: "Benchmarks/Limits", swiftSettings: house),
    ]
)

// The fuzz targets link against libFuzzer, which brings its own `main`; so they exist only for Tests/Fuzz/run.
if Context.environment["GATEWAY_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "fuzz",
            dependencies: [
                "COpenSSL", "GatewayAuth", "GatewayBytes", "GatewayCompression", "GatewayConfig", "GatewayHTTP",
                "GatewayTestSupport", "GatewayTunnel", "GatewayWebSocket", "HLSPlugin", "TunnelPlugin",
            ],
            path: "Tests/Fuzz/Targets", swiftSettings: house))
}
