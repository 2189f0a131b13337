import GatewayConfig
import PluginKit

/// One plugin, made from one set of settings, and everything it declared.
///
/// Lives from generation to generation as long as nothing changes that it was told: its state is in what it declared.
final class PluginInstance: Sendable {
    let name: PluginName
    let registrations: Registrations
    /// What each of its settings was; those that have no value are left out.
    private let settings: [String: SettingDigest]
    private let told: GatewayContext?

    init(
        name: PluginName, settings: [String: SettingDigest], told: GatewayContext?, registrations: Registrations
    ) {
        self.name = name
        self.settings = settings
        self.told = told
        self.registrations = registrations
    }

    /// Whether a plugin made now would be told the same.
    func isWhat(_ settings: [String: SettingDigest], _ context: GatewayContext) -> Bool {
        self.settings == settings && (told == nil || told == context)
    }
}
