import GatewayBytes
import GatewayTestSupport

@testable import GatewayTelemetry

/// 2026-01-02T03:04:05.678Z
let noon = WallTime(seconds: 1_767_323_045, nanoseconds: 678_901_234)

/// A log system at a fixed time, and what it wrote so far.
struct TestLog {
    let memory = MemoryLog()
    let sink: LogSink
    let system: LogSystem

    init(_ level: LogLevel = .trace, _ format: LogFormat, coloured: Bool = false, limit: ByteCount = .kibibytes(64)) {
        let memory = memory
        sink = LogSink(limit: limit) { memory.write($0) }
        system = LogSystem(level: level, format: format, coloured: coloured, sink: sink, clock: { noon })
    }

    var text: String {
        sink.flush(atMost: .seconds(5))
        return memory.text
    }
}

extension OutputBuffer {
    var text: String { unsafe withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) } }
}
