import PluginKit

/// What the kernel says of this process. Read from `/proc`, which does not block; not for hot paths.
struct ProcessFigures: Equatable, Sendable {
    /// In bytes.
    var residentMemory = 0
    /// In seconds since the start.
    var userTime = 0.0
    var systemTime = 0.0
    var uptime = 0.0

    /// `nil` where there is no `/proc`.
    static func read() -> ProcessFigures? {
        guard let stat = SmallFile.read("/proc/self/stat"), let status = SmallFile.read("/proc/self/status"),
            let uptime = SmallFile.read("/proc/uptime")
        else { return nil }
        return ProcessFigures(stat: stat, status: status, uptime: uptime)
    }

    /// - Returns: `nil` when the kernel writes something else.
    init?(stat: String, status: String, uptime: String) {
        // The second field is the program's name in parentheses, which may hold anything; count from its end.
        guard let name = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: name)...].split(separator: " ")
        let memory = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }?.split(separator: " ")
        guard fields.count > 19, let user = Double(fields[11]), let system = Double(fields[12]),
            let start = Double(fields[19]), let now = uptime.split(separator: " ").first.flatMap({ Double($0) })
        else { return nil }
        residentMemory = (memory?.dropFirst().first(where: { !$0.isEmpty }).flatMap { Int($0) } ?? 0) * 1024
        // Linux tells programs of hundredths of a second, whatever it counts in itself.
        userTime = user / 100
        systemTime = system / 100
        self.uptime = max(0, now - start / 100)
    }
}
