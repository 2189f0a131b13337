package import GatewayConfig
package import PluginKit

/// Everything the environment says, read once: the core's settings and the plugins to run.
package struct Configuration: Sendable {
    package let core: CoreSettings
    package let plugins: [PluginState]
    /// Everything wrong, one line each; the gateway does not start with any.
    package let problems: [String]
    package let warnings: [String]
    /// The effective value of every setting that was read.
    package let values: [SettingReport]
    /// What stands for the value of each setting that has one.
    let digests: [String: SettingDigest]

    /// - Parameters:
    ///   - environment: The process's and its settings files', or a test's.
    ///   - sources: What is wrong with the files that the environment was read from.
    ///   - compiled: The plugins of this binary, outermost first.
    ///   - readFile: Reads the files that `…_FILE` settings name.
    package init(
        environment: [String: String], sources: SourceNotes = SourceNotes(), compiled: [any Plugin.Type],
        readFile: @escaping SettingsReader.FileReading
    ) {
        var env = SettingsReader(environment: environment, readFile: readFile)
        Self.describeSource(&env)
        core = CoreSettings(from: &env)
        Self.describeSelection(&env)
        var problems: [String] = []
        // Set but empty runs none; unset runs those on by default. The reader does not tell the two apart.
        let names = environment["PLUGINS"].map { settingElements(of: $0) }
        plugins = PluginSelection.select(from: compiled, names: names, env: &env, problems: &problems)
        self.problems =
            sources.problems + env.problems.map(\.description) + problems + core.auth.problems + core.originProblems
        warnings = sources.warnings + env.warnings.map(\.description) + core.auth.warnings
        values = env.values
        digests = env.digests
    }

    /// What there is to say of files with settings.
    package struct SourceNotes: Sendable {
        package var problems: [String] = []
        package var warnings: [String] = []

        package init() {}
    }

    /// Read by the program, before there is anything else to read.
    private static func describeSource(_ env: inout SettingsReader) {
        env.section("Settings file")
        let _: String? = env.optional(
            exactly: "GATEWAY_ENV_FILE", example: "/etc/gateway/settings.env",
            "File with further settings, in the syntax of systemd's EnvironmentFile, unless `--env-file` names some.")
    }

    private static func describeSelection(_ env: inout SettingsReader) {
        env.section("Plugins")
        let _: String? = env.optional(
            exactly: "PLUGINS", example: "echo,hls",
            "Which plugins run, outermost first. Unset: those that are on by default and have what they require. "
                + "Empty: none.")
    }

    /// The plugins that run, in order.
    package var enabled: [any Plugin] {
        plugins.compactMap { state in
            if case .enabled(let plugin) = state.verdict { return plugin }
            return nil
        }
    }

    /// What stands for the values of these settings, those without a value left out.
    func digests(of names: [String]) -> [String: SettingDigest] {
        names.reduce(into: [:]) { $0[$1] = digests[$1] }
    }

    /// The settings reference, in Markdown.
    package static func reference(compiled: [any Plugin.Type]) -> String {
        var env = SettingsReader.describing()
        describeSource(&env)
        _ = CoreSettings(from: &env)
        describeSelection(&env)
        PluginSelection.describe(compiled, env: &env)
        return SettingsDocument.markdown(
            env.sections, title: "Configuration",
            introduction: """
                Every setting is an environment variable, or stands in a file. A duration is a whole number and a \
                unit (`500ms`, `30s`, `5m`, `2h`, `1d`), a size likewise (`10B`, `64KiB`, `1MiB`, `1GiB`). `gateway \
                config` prints the values in effect, `gateway check` says what is wrong with them; the gateway does \
                not start with a value it does not understand or that is out of range.

                This page is written by `gateway config --reference` from the lines of code that read the settings \
                (`make docs`); a test keeps it current.

                ## Files, and changes without a restart

                `gateway serve --env-file FILE`, or GATEWAY_ENV_FILE, reads settings from a file in the syntax of \
                systemd's EnvironmentFile: `NAME=value` lines, `#` comments, single and double quotes; nothing is \
                expanded. What the environment sets wins over files, and a later file over an earlier one. After a \
                change:

                ```
                gateway check --env-file FILE   # would a gateway start with it?
                gateway plan                    # asks the running one: 4,112 sockets kept, 37 closed: /ws auth changed
                gateway reload                  # does it, and says what came of it; kill -HUP does it too
                ```

                Everything is read anew, files of secrets and certificates too, and applied as a whole or not at all. \
                No request is lost, and only those WebSockets close, with 1012, whose own route, plugin or limits \
                changed: [which change closes what](../ARCHITECTURE.md#how-settings-change).

                `plan` and `reload` find the gateway by CONTROL_SOCKET, which is in STATE_DIRECTORY unless set \
                (`serve --dev`: in `~/.local/state/gateway`). Give them the same environment or file as the gateway.
                """)
    }
}
