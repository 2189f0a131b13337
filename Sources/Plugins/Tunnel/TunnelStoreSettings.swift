import GatewaySQLite
import PluginKit

/// Where the tunnel keeps what it must not forget.
enum TunnelStoreKind: String, SettingChoice {
    case sqlite
    case none
}

/// What the settings say of enrolments and shares.
struct TunnelStoreSettings: Settings {
    let kind: TunnelStoreKind
    let enrolmentsPerUser: Int
    let sharesPerUser: Int
    let database: SQLiteSettings

    init(from env: inout SettingsReader) {
        kind = env.optional(
            "STORE", default: .sqlite,
            "Where enrolments, shares and default agents are kept: `sqlite`, in the file `tunnel.sqlite` in "
                + "STATE_DIRECTORY, or `none`. Without that folder the tunnel works with tokens only, and says so.")
        enrolmentsPerUser = env.optional(
            "ENROLMENTS_PER_USER", default: 20, in: 1...1000, "Most enrolments of one user that are not revoked.")
        sharesPerUser = env.optional(
            "SHARES_PER_USER", default: 100, in: 1...1000, "Most shares that one user may give.")
        database = SQLiteSettings(from: &env)
    }

    /// The store, not open yet.
    func makeStore(for gateway: inout Registrar) -> any TunnelStore {
        switch kind {
        case .none: return NoTunnelStore(because: "TUNNEL_STORE is none")
        case .sqlite:
            let store = SQLiteTunnelStore(in: gateway.stateDirectory, settings: database, log: gateway.log)
            gateway.resource("store", store)
            return store
        }
    }
}
