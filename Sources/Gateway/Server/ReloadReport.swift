import GatewayConfig

/// What a change of settings does or would do, for people.
package struct ReloadReport: Sendable {
    struct Setting: Equatable, Sendable {
        let name: String
        /// As `gateway config` shows them: no secret, and `nil` for one that is not set.
        let before: String?
        let after: String?
    }

    /// Everything wrong; with any, nothing changes.
    package internal(set) var problems: [String] = []
    var warnings: [String] = []
    var sockets = SocketTally()
    var settings: [Setting] = []
    /// `echo kept, proxy changed`; empty if none runs.
    var plugins = ""
    var opened: [String] = []
    var closed: [String] = []
    /// Settings that differ from those the process started with, and wait for the next start.
    var restart: [String] = []
    /// The problems are those of the files of TLS.
    var hasBadCertificates = false
    /// Event loops that did not say in time what becomes of their sockets.
    var silentLoops = 0

    /// 0, or 78 when nothing changes because of problems, or 75 when the count of sockets is not complete.
    package var exitCode: Int32 { problems.isEmpty ? (silentLoops == 0 ? 0 : 75) : 78 }

    mutating func describe(_ change: GenerationChange, started: Configuration) {
        let (old, new) = (change.old.configuration, change.new.configuration)
        settings = change.settings.map { name in
            Setting(name: name, before: old.text(of: name), after: new.text(of: name))
        }
        plugins = change.plugins.map { "\($0.name) \($0.fate)" }.joined(separator: ", ")
        restart = new.names(changedFrom: started).filter { SettingEffects.of($0) == .restart }
    }

    /// `4,112 sockets kept, 37 closed: /ws auth changed`.
    package var summary: String {
        let closed = sockets.closed.sorted { ($1.value, $0.key.place) < ($0.value, $1.key.place) }
        let total = closed.reduce(0) { $0 + $1.value }
        let text = "\(Self.grouped(sockets.kept)) sockets kept, \(Self.grouped(total)) closed"
        guard !closed.isEmpty else { return text }
        let reasons = closed.map { group, count in
            let reason = "\(group.place) \(group.reason)"
            return closed.count == 1 ? reason : "\(reason) (\(Self.grouped(count)))"
        }
        return "\(text): \(reasons.joined(separator: ", "))"
    }

    /// The whole of it, line by line.
    package var lines: [String] {
        guard problems.isEmpty else {
            return problems.map { "problem: \($0)" } + ["nothing changes: the settings have problems"]
        }
        var lines = [summary]
        if silentLoops > 0 { lines.append("\(silentLoops) event loops did not answer; their sockets are not counted") }
        lines += settings.map { "setting \($0.name): \($0.before ?? "unset") -> \($0.after ?? "unset")" }
        if !plugins.isEmpty { lines.append("plugins: \(plugins)") }
        lines += opened.map { "port opened: \($0)" } + closed.map { "port closed: \($0)" }
        lines += restart.map { "\($0) changed: takes effect at the next start" }
        return lines + warnings.map { "warning: \($0)" }
    }

    /// With commas between thousands.
    static func grouped(_ number: Int) -> String {
        let digits = Array(String(number))
        var text = ""
        for (place, digit) in digits.enumerated() {
            if place > 0, (digits.count - place) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return text
    }
}

extension Configuration {
    fileprivate func text(of name: String) -> String? { values.first { $0.name == name }?.text }
}
