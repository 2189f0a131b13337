import GatewayHTTP
import GatewayRuntime
import GatewayTelemetry
import GatewayTransport
import GatewayTunnel
import GatewayUpstream

/// One TCP connection to a port of this machine, joined with a stream: bytes both ways, each direction ending by itself.
///
/// Bytes from the tunnel count as consumed once the kernel has them; the connection is read as there is credit.
final class PortServing {
    private let stream: TunnelStream
    private let loop: EventLoop
    private let log: Logger
    private let port: UInt16
    private var task: Task<Void, Never>?
    private var connection: ByteStream?
    /// What came before the connection stood.
    private var early: [UInt8] = []
    /// Bytes written and not yet counted as consumed.
    private var owed = 0
    private var hasInputEnded = false
    private var hasOutputEnded = false
    /// The connection is gone, and its last bytes are on their way: what still comes for it is nobody's.
    private var isDiscarding = false

    init(_ stream: TunnelStream, port: UInt16, on loop: EventLoop, log: Logger) {
        self.stream = stream
        self.port = port
        self.loop = loop
        self.log = log
    }

    /// - Parameter patience: For the connection to stand.
    func start(within patience: Duration) { task = loop.launch { await self.dial(within: patience) } }

    private func dial(within patience: Duration) async {
        do throws(UpstreamError) {
            let connection = try await PlainConnection.open(
                to: LocalTarget.addresses(port: port), on: loop, within: patience)
            guard stream.isOpen, connection.adopt(self) else {
                connection.close()
                return fail(.connectFailed("the connection closed at once"))
            }
            begin(connection)
        } catch {
            fail(error)
        }
    }

    private func fail(_ error: UpstreamError) {
        guard stream.isOpen else { return }
        log.warn("port cannot be reached", .int("port", port), .error(error))
        stream.reset(.unreachable, "nothing answers at this port")
    }

    private func begin(_ connection: ByteStream) {
        self.connection = connection
        stream.answer(StreamAnswer(status: .ok))
        let bytes = early
        early = []
        unsafe bytes.withUnsafeBytes { unsafe write($0, to: connection) }
        if hasInputEnded { connection.finishSending() }
        connection.resumeInput()
    }

    private func write(_ bytes: UnsafeRawBufferPointer, to connection: ByteStream) {
        unsafe connection.write(bytes)
        owed += bytes.count
        if connection.unsent == 0 { settle() }
    }

    private func settle() {
        let count = owed
        owed = 0
        stream.consume(count)
    }
}

extension PortServing: TunnelStreamHandler {
    func answered(_ answer: StreamAnswer) {}

    func received(_ bytes: UnsafeRawBufferPointer) {
        if isDiscarding { return stream.consume(bytes.count) }
        guard let connection else { return unsafe early.append(contentsOf: bytes) }
        unsafe write(bytes, to: connection)
    }

    func inputEnded() {
        hasInputEnded = true
        connection?.finishSending()
    }

    func roomGrew() { connection?.resumeInput() }

    func finished(_ reason: TunnelReset?, message: String) {
        task?.cancel()
        // The other end of the connection is to know whether it got everything.
        let connection = connection.take()
        if reason == nil { connection?.finish() } else { connection?.abort() }
    }
}

extension PortServing: ByteStreamHandler {
    func streamOpened() {}

    func streamReadable() {
        guard let connection, stream.room > 0 else { return connection?.pauseInput() ?? () }
        switch connection.receive(atMost: stream.room) {
        case .bytes(let count, _):
            _ = unsafe stream.write(UnsafeRawBufferPointer(rebasing: loop.receiveBuffer[..<count]))
        case .wouldBlock: break
        case .end:
            hasOutputEnded = true
            connection.pauseInput()
            stream.end()
        case .failed: breakOff()
        }
    }

    func streamPeerFinished() {}

    func streamDrained() { settle() }

    func streamDeadline() {}

    func streamClosed(_ reason: StreamEnd) {
        guard connection.take() != nil else { return }
        // It had said all it had to say; a reset would overtake that.
        guard hasOutputEnded else { return breakOff() }
        isDiscarding = true
        settle()
    }

    private func breakOff() {
        let connection = connection.take()
        connection?.abort()
        stream.reset(.broken, "the connection to the port broke")
    }
}
