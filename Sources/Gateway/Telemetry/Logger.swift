import GatewayBytes
import Synchronization

/// Where all loggers of a process meet: level, format and sink.
package final class LogSystem: Sendable {
    package let format: LogFormat
    package let service: String
    package let sink: LogSink
    private let coloured: Bool
    private let clock: @Sendable () -> WallTime
    private let threshold: Atomic<UInt8>
    /// What settings say, whatever ``override(level:)`` has said since.
    private let configured: Atomic<UInt8>

    /// - Parameter service: The `service` of every line.
    /// - Parameter coloured: True only if the lines go to a terminal; has no effect on JSON.
    /// - Parameter clock: A test's own time.
    package init(
        level: LogLevel, format: LogFormat, service: String = "gateway", coloured: Bool = false, sink: LogSink,
        clock: @escaping @Sendable () -> WallTime = { WallTime.now() }
    ) {
        threshold = Atomic(level.rank)
        configured = Atomic(level.rank)
        self.format = format
        self.service = service
        self.coloured = coloured
        self.sink = sink
        self.clock = clock
        sink.describeLoss { [format, service] lost in
            var buffer = OutputBuffer(capacity: 256)
            LogLine(
                time: clock(), level: .warn, service: service, component: "log", message: "log lines lost",
                fields: [.int("lines", lost)]
            ).append(to: &buffer, format: format, coloured: coloured)
            return unsafe buffer.withUnsafeBytes { unsafe Array($0) }
        }
    }

    /// Lines less severe than this are not written. May be changed while the process runs.
    package var level: LogLevel {
        get {
            let rank = threshold.load(ordering: .relaxed)
            return LogLevel.allCases.first { $0.rank == rank } ?? .info
        }
        set {
            configured.store(newValue.rank, ordering: .relaxed)
            threshold.store(newValue.rank, ordering: .relaxed)
        }
    }

    func override(level: LogLevel?) {
        threshold.store(level?.rank ?? configured.load(ordering: .relaxed), ordering: .relaxed)
    }

    /// - Parameter component: Which part of the gateway speaks: a module's or a plugin's name.
    package func logger(_ component: StaticString) -> Logger { Logger(system: self, component: component) }

    @inline(__always)
    func isEnabled(_ level: LogLevel) -> Bool { level.rank <= threshold.load(ordering: .relaxed) }

    @inline(never)
    func write(_ level: LogLevel, _ component: StaticString, _ message: StaticString, _ fields: [LogField]) {
        var buffer = OutputBuffer(capacity: 512)
        LogLine(
            time: clock(), level: level, service: service, component: component, message: message, fields: fields
        ).append(to: &buffer, format: format, coloured: coloured)
        sink.submit(buffer, lines: 1)
    }
}

/// Writes log lines for one component: a constant phrase and typed fields.
///
/// ```swift
/// log.info("listening", .string("address", address), .int("port", port))
/// ```
/// Fields are not evaluated unless the level is enabled; a disabled line costs one comparison. Never blocks: a line
/// that finds the sink full is dropped and counted.
package struct Logger: Sendable {
    let system: LogSystem
    package let component: StaticString

    /// A logger that writes nowhere, for tests and defaults.
    package static let silent = LogSystem(level: .error, format: .text, sink: LogSink(limit: .zero) { _ in true })
        .logger("silent")

    package func isEnabled(_ level: LogLevel) -> Bool { system.isEnabled(level) }

    /// The least severe level that any logger of the process writes.
    package var level: LogLevel { system.level }

    /// Changes ``level`` until settings are applied anew; `nil` goes back to what they say now.
    package func override(level: LogLevel?) { system.override(level: level) }

    /// The same log under another name, such as `audit`.
    package func named(_ component: StaticString) -> Logger { Logger(system: system, component: component) }

    /// Any level, any number of fields.
    package func log(_ level: LogLevel, _ message: StaticString, fields: @autoclosure () -> [LogField]) {
        guard system.isEnabled(level) else { return }
        system.write(level, component, message, fields())
    }

    /// Something failed that a person should look at.
    package func error(
        _ message: StaticString, _ f1: @autoclosure () -> LogField = .none, _ f2: @autoclosure () -> LogField = .none,
        _ f3: @autoclosure () -> LogField = .none, _ f4: @autoclosure () -> LogField = .none,
        _ f5: @autoclosure () -> LogField = .none, _ f6: @autoclosure () -> LogField = .none
    ) {
        guard system.isEnabled(.error) else { return }
        system.write(.error, component, message, [f1(), f2(), f3(), f4(), f5(), f6()])
    }

    /// Something is odd, and the gateway goes on.
    package func warn(
        _ message: StaticString, _ f1: @autoclosure () -> LogField = .none, _ f2: @autoclosure () -> LogField = .none,
        _ f3: @autoclosure () -> LogField = .none, _ f4: @autoclosure () -> LogField = .none,
        _ f5: @autoclosure () -> LogField = .none, _ f6: @autoclosure () -> LogField = .none
    ) {
        guard system.isEnabled(.warn) else { return }
        system.write(.warn, component, message, [f1(), f2(), f3(), f4(), f5(), f6()])
    }

    /// What an operator wants to know of a healthy gateway.
    package func info(
        _ message: StaticString, _ f1: @autoclosure () -> LogField = .none, _ f2: @autoclosure () -> LogField = .none,
        _ f3: @autoclosure () -> LogField = .none, _ f4: @autoclosure () -> LogField = .none,
        _ f5: @autoclosure () -> LogField = .none, _ f6: @autoclosure () -> LogField = .none
    ) {
        guard system.isEnabled(.info) else { return }
        system.write(.info, component, message, [f1(), f2(), f3(), f4(), f5(), f6()])
    }

    /// What helps to find out why.
    package func debug(
        _ message: StaticString, _ f1: @autoclosure () -> LogField = .none, _ f2: @autoclosure () -> LogField = .none,
        _ f3: @autoclosure () -> LogField = .none, _ f4: @autoclosure () -> LogField = .none,
        _ f5: @autoclosure () -> LogField = .none, _ f6: @autoclosure () -> LogField = .none
    ) {
        guard system.isEnabled(.debug) else { return }
        system.write(.debug, component, message, [f1(), f2(), f3(), f4(), f5(), f6()])
    }

    /// Every step.
    package func trace(
        _ message: StaticString, _ f1: @autoclosure () -> LogField = .none, _ f2: @autoclosure () -> LogField = .none,
        _ f3: @autoclosure () -> LogField = .none, _ f4: @autoclosure () -> LogField = .none,
        _ f5: @autoclosure () -> LogField = .none, _ f6: @autoclosure () -> LogField = .none
    ) {
        guard system.isEnabled(.trace) else { return }
        system.write(.trace, component, message, [f1(), f2(), f3(), f4(), f5(), f6()])
    }
}
