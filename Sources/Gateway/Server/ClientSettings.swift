package import GatewayConfig
package import GatewayHTTP
import GatewayUpstream

/// Whose word on clients counts, and where it stands.
package struct ClientSettings: Settings {
    package let rule: ClientAddressRule

    package init(from env: inout SettingsReader) {
        let source = env.optional(
            exactly: "CLIENT_IP_HEADER", default: ClientAddressSource.xForwardedFor,
            """
            Where proxies in front name the client: the one place that is read, from its end, and only if the sender is \
            in TRUSTED_PROXIES. With `proxy-protocol` every connection to the main port and the plugins' ports must \
            come from there and begin with a PROXY header, version 1 or 2; point probes at OPS_LISTEN then. `none`: \
            whoever connects is the client.
            """)
        // Why nobody by default, not even loopback: tunnels, sidecars and every program of the machine come from there.
        let trusted = env.optional(
            exactly: "TRUSTED_PROXIES", type: "list of networks and addresses, separated by commas",
            default: IPPrefixList(),
            example: "10.0.0.0/8,192.0.2.7,fd00::/8",
            """
            The proxies in front. Only from them are the client's address, scheme and host and the request's id taken; \
            what anybody else says of these is removed. Empty: from nobody, whichever address it has.
            """
        ) { (text) throws(SettingError) in try IPPrefixList(setting: text) }.prefixes
        env.require(
            source != .proxyProtocol || !trusted.isEmpty, "TRUSTED_PROXIES",
            "must list the proxies that send PROXY headers: with CLIENT_IP_HEADER=proxy-protocol nobody else may connect"
        )
        rule = ClientAddressRule(source, trusting: trusted)
    }
}

extension ClientAddressSource: SettingChoice {}
