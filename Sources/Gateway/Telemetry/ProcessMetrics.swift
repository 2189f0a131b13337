/// The metrics that every Prometheus client shows of its process, made from what the caller read under `/proc`.
package struct ProcessMetrics: Sendable {
    /// The text of `/proc/self/stat`.
    package let stat: String
    /// `sysconf(_SC_CLK_TCK)` and `sysconf(_SC_PAGESIZE)`.
    package let ticksPerSecond: Int
    package let pageSize: Int
    /// Seconds since 1970 at which the machine started: `btime` of `/proc/stat`.
    package let bootTime: Int
    /// Entries of `/proc/self/fd`, and the soft `RLIMIT_NOFILE`.
    package let openDescriptors: Int
    package let maximumDescriptors: Int

    package init(
        stat: String, ticksPerSecond: Int, pageSize: Int, bootTime: Int, openDescriptors: Int, maximumDescriptors: Int
    ) {
        self.stat = stat
        self.ticksPerSecond = ticksPerSecond
        self.pageSize = pageSize
        self.bootTime = bootTime
        self.openDescriptors = openDescriptors
        self.maximumDescriptors = maximumDescriptors
    }

    /// Whatever could be made out; a kernel that writes something else costs figures, not the page.
    package var samples: [MetricSample] {
        var samples = [
            MetricSample("process_open_fds", "Number of open file descriptors.", value: Double(openDescriptors)),
            MetricSample("process_max_fds", "Maximum number of open descriptors.", value: Double(maximumDescriptors)),
        ]
        // The second field is the program's name in parentheses, which may contain anything; count from its end.
        guard let name = stat.lastIndex(of: ")"), ticksPerSecond > 0 else { return samples }
        let fields = stat[stat.index(after: name)...].split(whereSeparator: \.isWhitespace)
        func field(_ number: Int) -> Double? { number - 3 < fields.count ? Double(fields[number - 3]) : nil }
        let ticks = Double(ticksPerSecond)
        if let user = field(14), let system = field(15) {
            samples.append(
                MetricSample(
                    "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", kind: .counter,
                    value: (user + system) / ticks))
        }
        if let started = field(22) {
            samples.append(
                MetricSample(
                    "process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
                    value: Double(bootTime) + started / ticks))
        }
        if let virtual = field(23) {
            samples.append(
                MetricSample("process_virtual_memory_bytes", "Virtual memory size in bytes.", value: virtual))
        }
        if let resident = field(24) {
            samples.append(
                MetricSample(
                    "process_resident_memory_bytes", "Resident memory size in bytes.",
                    value: resident * Double(pageSize)))
        }
        return samples
    }
}
