package import GatewayConfig
package import PluginKit

/// What became of one compiled-in plugin.
package struct PluginState: Sendable {
    package enum Verdict: Sendable {
        case enabled(any Plugin)
        /// Not named by `PLUGINS`, or not on by default.
        case off
        /// On by default, but these required settings are missing.
        case dormant(missing: [String])
    }

    package let name: PluginName
    package let summary: String
    package let verdict: Verdict
    /// The names of its settings, if it is enabled.
    let settings: [String]
}

/// Picks and orders the plugins by `PLUGINS`.
package enum PluginSelection {
    /// Reads the settings of every plugin that is to run, and makes it.
    ///
    /// - Parameter problems: Gets a line for each unknown or repeated name.
    static func select(
        from compiled: [any Plugin.Type], names: [String]?, env: inout SettingsReader, problems: inout [String]
    ) -> [PluginState] {
        guard let names else {
            return compiled.map { type in
                type.isOnByDefault ? resolve(type, isNamed: false, env: &env) : state(of: type, .off)
            }
        }
        var states: [PluginState] = []
        var seen: Set<String> = []
        for name in names {
            guard let type = compiled.first(where: { $0.name.text == name }) else {
                problems.append(unknown(name, among: compiled))
                continue
            }
            guard seen.insert(name).inserted else {
                problems.append("PLUGINS names \(name) twice")
                continue
            }
            states.append(resolve(type, isNamed: true, env: &env))
        }
        return states + compiled.filter { !seen.contains($0.name.text) }.map { state(of: $0, .off) }
    }

    private static func unknown(_ name: String, among compiled: [any Plugin.Type]) -> String {
        let known = compiled.map { type in type.name.text }
        if let nearest = nearestName(to: name, among: known, tolerance: max(1, name.utf8.count / 4)) {
            return "PLUGINS names \(name), which does not exist; did you mean \(nearest)?"
        }
        return "PLUGINS names \(name), which does not exist; there are \(known.joined(separator: ", "))"
    }

    private static func state(of type: any Plugin.Type, _ verdict: PluginState.Verdict) -> PluginState {
        PluginState(name: type.name, summary: type.summary, verdict: verdict, settings: [])
    }

    private static func resolve<P: Plugin>(
        _ type: P.Type, isNamed: Bool, env: inout SettingsReader
    ) -> PluginState {
        // A plugin that nobody named and nobody configured sleeps; its missing settings are then no problem.
        if !isNamed {
            var trial = env
            let reading = read(type, env: &trial)
            if reading.isUnconfigured { return state(of: type, .dormant(missing: reading.missing)) }
        }
        let reading = read(type, env: &env)
        return PluginState(
            name: type.name, summary: type.summary, verdict: .enabled(P(settings: reading.settings)),
            settings: reading.names)
    }

    private static func read<P: Plugin>(
        _ type: P.Type, env: inout SettingsReader
    ) -> SettingsReading<P.Configuration> {
        env.read(prefix: type.name.settingsPrefix, section: "Plugin \(type.name)", type.summary)
    }

    /// Describes the settings of every plugin, for the reference.
    package static func describe(_ compiled: [any Plugin.Type], env: inout SettingsReader) {
        for type in compiled { describe(type, env: &env) }
    }

    private static func describe<P: Plugin>(_ type: P.Type, env: inout SettingsReader) {
        _ = read(type, env: &env)
    }
}
