package import GatewayConfig
package import GatewayHTTP

/// Networks in a setting, such as TRUSTED_PROXIES and ALLOW_PRIVATE_NETWORKS.
extension IPPrefixList {
    /// Most networks of one setting: every address in question is compared with all of them.
    private static let limit = 256

    /// Reads networks and plain addresses, separated by commas.
    package init(setting text: String) throws(SettingError) {
        let elements = settingElements(of: text)
        guard elements.count <= Self.limit else { throw SettingError("more than \(Self.limit) networks") }
        var networks: [IPPrefix] = []
        for (index, element) in elements.enumerated() {
            do throws(IPPrefixError) {
                networks.append(try IPPrefix(element))
            } catch {
                throw SettingError("element \(index + 1) is \(Self.explain(error))")
            }
        }
        self.init(networks)
    }

    private static func explain(_ error: IPPrefixError) -> String {
        switch error {
        case .malformed: "not a network; write 10.0.0.0/8, 192.0.2.7 or fd00::/8"
        case .length: "a network of an impossible length; write 0 to 32 behind an IPv4 address, 0 to 128 behind IPv6"
        case .bitsBehindLength(let meant): "not where a network begins; write \(meant)"
        }
    }
}
