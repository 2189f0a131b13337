import GatewayConfig
import PluginKit

/// What an open WebSocket stands on: the reasons for which another generation would not have it.
struct SocketGrounds: Hashable {
    let route: ResolvedRoute
    let showedToken: Bool
    let isEncrypted: Bool
    /// It came from a web page that ALLOWED_ORIGINS let in.
    let cameByOrigin: Bool

    static func == (left: SocketGrounds, right: SocketGrounds) -> Bool {
        left.route === right.route && left.showedToken == right.showedToken
            && left.isEncrypted == right.isEncrypted && left.cameByOrigin == right.cameByOrigin
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(ObjectIdentifier(route))
        hasher.combine(showedToken)
        hasher.combine(isEncrypted)
        hasher.combine(cameByOrigin)
    }
}

/// What differs between two generations, and which open sockets that ends.
struct GenerationChange: Sendable {
    let old: Generation
    let new: Generation
    /// Names of all settings whose value is another, in the order of reading.
    let settings: [String]
    private let effects: [SettingEffect]

    init(from old: Generation, to new: Generation) {
        self.old = old
        self.new = new
        settings = new.configuration.names(changedFrom: old.configuration)
        effects = settings.compactMap(SettingEffects.of)
    }

    /// Why a socket that opened under ``old`` must close, in few words; `nil` if it stays.
    func reason(toClose grounds: SocketGrounds) -> String? {
        let route = grounds.route
        if let owner = route.owner {
            guard let successor = new.plugins.first(where: { $0.name == owner.name }) else {
                return "plugin \(owner.name) removed"
            }
            guard successor === owner else { return "plugin \(owner.name) changed" }
        }
        guard let counterpart = new.counterpart(of: route) else { return "route removed" }
        guard counterpart.gate.elementsEqual(route.gate, by: { $0 === $1 }) else { return "middleware changed" }
        if grounds.showedToken, effects.contains(.tokens) { return "auth changed" }
        if grounds.isEncrypted, effects.contains(.clients) { return "client certificates changed" }
        if effects.contains(.limits) { return "limits changed" }
        if grounds.cameByOrigin, effects.contains(.origins) { return "allowed origins changed" }
        return nil
    }

    // MARK: Plugins

    enum PluginFate: String, CaseIterable {
        case kept, changed, added, removed
    }

    /// What becomes of each plugin, in the order of PLUGINS, the removed ones last.
    var plugins: [(name: PluginName, fate: PluginFate)] {
        let present = new.plugins.map { plugin -> (PluginName, PluginFate) in
            let before = old.plugins.first { $0.name == plugin.name }
            guard let before else { return (plugin.name, .added) }
            return (plugin.name, before === plugin ? .kept : .changed)
        }
        let removed = old.plugins.filter { plugin in !new.plugins.contains { $0.name == plugin.name } }
        return present + removed.map { ($0.name, .removed) }
    }
}

extension Configuration {
    /// Settings of parts that are read in both, and have another value here.
    func names(changedFrom old: Configuration) -> [String] {
        let before = Set(old.values.map(\.name))
        return values.map(\.name).filter { before.contains($0) && digests[$0] != old.digests[$0] }
    }
}
