package import PluginKit

/// What `CHAT_*` can say.
package struct ChatSettings: Settings {
    let requiresToken: Bool
    let longestMessage: ByteCount
    let feedBuffer: ByteCount

    package init(from env: inout SettingsReader) {
        requiresToken = env.optional(
            "REQUIRE_TOKEN", default: true, "Whether a token is needed. Its subject is the speaker's name.")
        longestMessage = env.optional(
            "LONGEST_MESSAGE", default: .kibibytes(4), in: .bytes(1) ... .kibibytes(64), bare: .bytes,
            "A longer message closes its sender's socket with 1009.")
        feedBuffer = env.optional(
            "FEED_BUFFER", default: .kibibytes(64), in: .kibibytes(1) ... .mebibytes(16), bare: .bytes,
            "Unsent bytes of one listener beyond which it misses messages, and is told how many.")
    }
}

/// Rooms to talk in.
///
/// | request | effect |
/// |---|---|
/// | WebSocket on `/chat/{room}` | hears everything said in the room, and speaks |
/// | WebSocket on `/chat/{room}/feed` | hears everything said in the room |
/// | `POST /chat/{room}` | says its body, once |
package struct Chat: Plugin {
    package static let name: PluginName = "chat"
    package static let summary = "Rooms to talk in, by WebSocket on /chat/{room}."

    private let settings: ChatSettings

    package init(settings: ChatSettings) { self.settings = settings }

    // docs: routes
    package func register(with gateway: inout Registrar) {
        let access: Access = settings.requiresToken ? .signedIn : .anyone
        let limit = settings.longestMessage.bytes
        let hall = Hall(
            rooms: PerLoop(count: gateway.context.loopCount) { _ in Rooms() },
            said: gateway.metrics.counter("messages_total", "Messages said in rooms."),
            connected: gateway.metrics.gauge("connected", "Sockets in rooms."))

        gateway.webSocket("/chat/{room}", access: access) { request in
            let room = try roomName(of: request)
            return SessionHandler { session in try await hall.converse(session, in: room, limit: limit) }
        }

        var feed = WebSocketOptions()
        feed.slowConsumer = .drop(limit: settings.feedBuffer.bytes)
        gateway.webSocket("/chat/{room}/feed", access: access, options: feed) { request in
            Listener(room: try roomName(of: request), hall: hall)
        }

        gateway.post("/chat/{room}", access: access) { request in
            let room = try roomName(of: request)
            let text = String(decoding: try await request.body.collect(limit: limit), as: UTF8.self)
            await hall.say(text, by: request.principal, in: room, from: request.loop)
            return Response(status: .accepted)
        }
    }
    // docs: end
}

// docs: fault
/// The room that a request names.
///
/// - Throws: 400 for a name that is not 1 to 40 of `a-z`, `0-9` and `-`.
private func roomName(of request: Request) throws(GatewayFault) -> String {
    let name = request.capture("room") ?? ""
    let isAllowed = name.utf8.allSatisfy { byte in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || byte == UInt8(ascii: "-")
    }
    guard isAllowed, (1...40).contains(name.utf8.count) else {
        throw GatewayFault(.badRequest, "bad_room", "A room's name is 1 to 40 of a-z, 0-9 and -.")
    }
    return name
}
// docs: end

// docs: rooms
/// Who is in which room, among the sockets of one loop. Never leaves it, so it needs no lock.
private final class Rooms {
    private var sockets: [String: [any WebSocket]] = [:]

    func enter(_ room: String, _ socket: any WebSocket) { sockets[room, default: []].append(socket) }

    func leave(_ room: String, _ socket: any WebSocket) {
        sockets[room]?.removeAll { $0 === socket }
        if sockets[room]?.isEmpty == true { sockets[room] = nil }
    }

    func deliver(_ message: PreparedMessage, to room: String) {
        // What is walked is a copy: a socket that is too slow may close here and leave.
        for socket in sockets[room] ?? [] { socket.send(message) }
    }
}
// docs: end

// docs: hall
/// The rooms of all loops.
private struct Hall: Sendable {
    let rooms: PerLoop<Rooms>
    let said: Counter
    let connected: Gauge

    func enter(_ room: String, _ socket: any WebSocket) {
        rooms.value(on: socket.loop).enter(room, socket)
        connected.add()
    }

    func leave(_ room: String, _ socket: any WebSocket) {
        rooms.value(on: socket.loop).leave(room, socket)
        connected.subtract()
    }

    /// Returns when every loop has passed the message to its sockets.
    func say(_ text: String, by speaker: Principal?, in room: String, from loop: EventLoop) async {
        said.increment()
        var line = JSONWriter()
        line.object { line in
            line.member("from", speaker?.subject ?? "somebody")
            line.member("text", text)
        }
        // Framed and compressed once, for the sockets of all loops.
        let message = PreparedMessage(.text, line.bytes)
        await rooms.forEach(from: loop) { $0.deliver(message, to: room) }
    }
}
// docs: end

// docs: session
extension Hall {
    /// Reads what a socket says until it closes. The next message is read once every loop has had this one: whoever talks
    /// faster than the gateway can pass it on is slowed down, and nothing piles up.
    fileprivate func converse(_ session: WebSocketSession, in room: String, limit: Int) async throws {
        let socket = session.socket
        enter(room, socket)
        defer { leave(room, socket) }
        while let message = await session.next() {
            guard message.bytes.count <= limit else {
                return socket.close(.messageTooBig, reason: "at most \(limit) bytes")
            }
            await say(message.text, by: socket.principal, in: room, from: socket.loop)
        }
    }
}
// docs: end

// docs: handler
/// A socket that hears a room. It never waits for anything, so it needs no task: idle, it costs this object.
private final class Listener: WebSocketHandler {
    private let room: String
    private let hall: Hall

    init(room: String, hall: Hall) {
        self.room = room
        self.hall = hall
    }

    func opened(_ socket: any WebSocket) { hall.enter(room, socket) }

    func received(_ message: WebSocketMessage, on socket: any WebSocket) {
        socket.close(.policyViolation, reason: "this socket only listens")
    }

    func closed(_ socket: any WebSocket, code: CloseCode, reason: String) { hall.leave(room, socket) }
}
// docs: end
