package import GatewayConfig
import GatewayTLS

/// Certificates of the main port and the plugins' ports, session tickets, and certificates of clients.
package struct TLSSettings: Settings, Equatable {
    package let certificates: [String]
    package let keys: [String]
    package let reloadInterval: Duration
    package let ticketKeys: [String]
    package let ticketRotation: Duration
    package let clientAuthorities: String?
    package let clientVerification: ClientVerification

    package init(from env: inout SettingsReader) {
        certificates = env.optional(
            exactly: "TLS_CERTIFICATE", default: [],
            "PEM files of certificate chains, leaf first. Several are chosen from by server name (SNI); the first is "
                + "the default. Setting this turns TLS on, on every port but OPS_LISTEN.")
        keys = env.optional(
            exactly: "TLS_KEY", default: [], "PEM files of the private keys, in the order of TLS_CERTIFICATE.")
        env.require(
            certificates.count == keys.count, "TLS_KEY",
            "must name one key for each certificate of TLS_CERTIFICATE")
        reloadInterval = env.optional(
            exactly: "TLS_RELOAD_INTERVAL", default: .seconds(60), in: .zero ... .seconds(86_400), bare: .milliseconds,
            "How often the files of this section are looked at, to be read again when they have changed; at least 100 "
                + "ms pass. 0: they are read again with a reload only. Files that do not fit together, or not yet, change "
                + "nothing; connections that are open go on as they are.")
        ticketKeys = env.optional(
            exactly: "TLS_TICKET_KEYS_FILE", default: [], in: 0...TLSTicketKeys.most,
            "Files of session ticket keys, 80 random bytes each (`openssl rand 80`), newest first: the first seals, all "
                + "open. Replicas with the same files resume each other's sessions. Whoever makes them rotates them. "
                + "Unset: each process has keys of its own.")
        ticketRotation = env.optional(
            exactly: "TLS_TICKET_ROTATION", default: .seconds(43_200), in: .seconds(1) ... .seconds(604_800),
            bare: .seconds,
            "How long a ticket key of the process's own seals; it opens tickets for 2 h more, as one of 16 at most, "
                + "and is then wiped. Not for those of TLS_TICKET_KEYS_FILE.")
        clientAuthorities = env.optional(
            exactly: "TLS_CLIENT_CA", example: "/etc/gateway/clients.pem",
            "PEM file of the certificates that vouch for those of clients: authorities, or clients' own; at most 64.")
        clientVerification = env.optional(
            exactly: "TLS_CLIENT_VERIFY", default: ClientVerification.none,
            "Whether clients are asked for a certificate: `optional` lets them come without one, `require` ends the "
                + "handshake of those that do, probes included (OPS_LISTEN has no TLS). A bad one ends it in any case.")
        env.require(
            (clientAuthorities == nil) == (clientVerification == .none), "TLS_CLIENT_VERIFY",
            "must be optional or require with TLS_CLIENT_CA, and none without it")
    }

    package var isEnabled: Bool { !certificates.isEmpty }

    /// Whether clients must show the same certificates under both.
    func asksClients(as other: TLSSettings) -> Bool {
        clientAuthorities == other.clientAuthorities && clientVerification == other.clientVerification
    }

    /// Every file that is named.
    var files: [String] { certificates + keys + ticketKeys + [clientAuthorities].compactMap(\.self) }
}

/// What is asked of clients.
package enum ClientVerification: String, SettingChoice {
    case none, optional, require

    var demand: TLSClientPolicy.Demand? {
        switch self {
        case .none: nil
        case .optional: .optional
        case .require: .require
        }
    }
}
