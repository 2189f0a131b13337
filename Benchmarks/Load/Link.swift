/// A connection to the server: a socket, and TLS on it if the run asks for it.
struct Link {
    let socket: Socket
    let session: TLSSession?

    /// Fills `buffer` from `start`. Zero is the end of the stream, `nil` nothing to read yet.
    @inline(__always)
    func receive(into buffer: inout [UInt8], from start: Int) throws(Fault) -> Int? {
        guard let session else { return try socket.receive(into: &buffer, from: start) }
        return try session.receive(into: &buffer, from: start)
    }

    /// How much of `bytes` the kernel took; zero when its buffer is full.
    @inline(__always)
    func send(_ bytes: [UInt8]) throws(Fault) -> Int {
        guard let session else { return try socket.send(bytes) }
        return try session.send(bytes, from: 0)
    }

    /// Whether there may be input that the kernel does not report.
    @inline(__always)
    var mayHoldMore: Bool { session?.mayHoldMore ?? false }

    func close() {
        session?.end()
        socket.close()
    }
}
