import CLinux
import Glibc

/// What the machine and its container allow this process.
package enum Resources {
    /// Raises the soft limit of descriptors to the hard one; returns what is allowed now.
    package static func raiseDescriptorLimit() -> Int {
        var limit = rlimit()
        guard unsafe linux_descriptor_limit(&limit) == 0 else { return 1024 }
        if limit.rlim_cur < limit.rlim_max {
            var raised = rlimit(rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max)
            if unsafe linux_set_descriptor_limit(&raised) == 0 { limit = raised }
        }
        return Int(clamping: limit.rlim_cur)
    }

    /// How many loops keep the processors busy: the smaller of the affinity mask and the cgroup's CPU limit, at least 1.
    package static func processorCount() -> Int {
        let affine = Int(linux_cpu_count())
        guard let quota = cgroupProcessors() else { return max(1, affine) }
        return max(1, min(affine, quota))
    }

    /// The cgroup limit in whole processors, rounded up; `nil` without one. Versions 2 and 1.
    private static func cgroupProcessors() -> Int? {
        let own = SmallFile.read("/proc/self/cgroup").flatMap { cgroupPath(in: $0) } ?? "/"
        let limits = ancestors(of: own).compactMap { folder in
            SmallFile.read("/sys/fs/cgroup\(folder)/cpu.max").flatMap { processors(cpuMax: $0) }
        }
        if let smallest = limits.min() { return smallest }
        guard let quota = SmallFile.read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").flatMap({ number($0) }), quota > 0,
            let period = SmallFile.read("/sys/fs/cgroup/cpu/cpu.cfs_period_us").flatMap({ number($0) }), period > 0
        else { return nil }
        return (quota + period - 1) / period
    }

    /// A group and those it lies in, whose limits hold for it too: `/a/b`, `/a` and the root, which is empty.
    static func ancestors(of path: String) -> [String] {
        var folders: [String] = []
        var parts = path.split(separator: "/")
        while !parts.isEmpty {
            folders.append("/" + parts.joined(separator: "/"))
            parts.removeLast()
        }
        return folders + [""]
    }

    static func cgroupPath(in text: String) -> String? {
        for line in text.split(separator: "\n") where line.hasPrefix("0::") { return String(line.dropFirst(3)) }
        return nil
    }

    /// Reads `cpu.max`: `200000 100000` is two processors, `max 100000` no limit.
    static func processors(cpuMax text: String) -> Int? {
        let parts = text.split(whereSeparator: { $0 == " " || $0 == "\n" })
        guard parts.count == 2, let quota = Int(parts[0]), let period = Int(parts[1]), quota > 0, period > 0 else {
            return nil
        }
        return quota / period + (quota % period == 0 ? 0 : 1)
    }

    private static func number(_ text: String) -> Int? { Int(text.filter { $0.isNumber || $0 == "-" }) }

    /// Writing to a socket whose peer left must be an error of that write, not the end of the process.
    package static func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }
}
