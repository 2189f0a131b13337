package import GatewayConfig

/// One thing the gateway can do, compiled in and switched on by `PLUGINS`.
///
/// A plugin is a value: `init` stores its settings, ``register(with:)`` declares everything it adds. Neither does any
/// I/O, so `gateway check` and `gateway plugins` can run both without side effects.
package protocol Plugin: Sendable {
    /// What it reads from the environment, under the prefix ``PluginName/settingsPrefix``. ``NoSettings`` for none.
    associatedtype Configuration: Settings

    /// How `PLUGINS`, logs and metric names call it.
    static var name: PluginName { get }
    /// One sentence for `gateway plugins` and the settings reference.
    static var summary: String { get }
    /// Whether it runs when `PLUGINS` is unset and its required settings are there.
    static var isOnByDefault: Bool { get }

    /// Stores what it needs of `settings`. No I/O.
    init(settings: Configuration)

    /// Declares routes, middleware, sockets, services, checks and metrics, in order.
    ///
    /// What it makes lives until the settings of the plugin change or it is switched off: then requests and sockets that
    /// still hold it finish, services are cancelled, and another instance registers. Called without effect for
    /// `gateway plan`, so declaring must change nothing outside of what it returns.
    func register(with gateway: inout Registrar)
}

extension Plugin {
    /// On, as soon as it is configured.
    package static var isOnByDefault: Bool { true }
}

/// The settings of a plugin that has none.
package struct NoSettings: Settings {
    /// Reads nothing.
    package init(from env: inout SettingsReader) {}
}

/// A plugin's name: lower-case letters, digits and hyphens. Part of the program, so it can name log lines and metrics.
package struct PluginName: Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// The name as the program spells it.
    package let literal: StaticString

    /// Every name is a literal: `"hello"`.
    package init(stringLiteral literal: StaticString) { self.literal = literal }

    /// The name as text.
    package var text: String { literal.description }
    package var description: String { text }

    /// The prefix of its settings: `hls` reads `HLS_…`.
    package var settingsPrefix: String { text.uppercased().map { $0 == "-" ? "_" : String($0) }.joined() }

    package static func == (left: PluginName, right: PluginName) -> Bool { left.text == right.text }
    package func hash(into hasher: inout Hasher) { hasher.combine(text) }
}
