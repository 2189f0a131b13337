import ChatPlugin
import PluginKit
import PluginTesting
import Testing

@Suite("The chat plugin")
struct ChatTests {
    private static let open = ["CHAT_REQUIRE_TOKEN": "false"]

    @Test("what is said on one loop is heard on the other, in order, and in its room only")
    func twoLoops() throws {
        let gateway = try GatewayUnderTest([Chat.self], settings: Self.open, loops: 2)
        let (here, there) = try gateway.socketsOnTwoLoops("/chat/lobby")
        let elsewhere = try gateway.socket("/chat/attic/feed")
        for word in ["one", "two", "three"] { try here.send(word) }
        for socket in [here, there] {
            for word in ["one", "two", "three"] {
                #expect(try socket.next() == .text(#"{"from":"somebody","text":"\#(word)"}"#))
            }
        }
        try there.send("four")
        #expect(try here.next() == .text(#"{"from":"somebody","text":"four"}"#))

        #expect(try gateway.ask("POST", "/chat/attic", body: "five").status == 202)
        #expect(try elsewhere.next() == .text(#"{"from":"somebody","text":"five"}"#))
        #expect(try gateway.metric("gateway_chat_messages_total") == 5)
    }

    @Test("who has left is forgotten, on every loop")
    func leaving() throws {
        let gateway = try GatewayUnderTest([Chat.self], settings: Self.open, loops: 2)
        do {
            let (here, there) = try gateway.socketsOnTwoLoops("/chat/lobby/feed")
            #expect(try gateway.metric("gateway_chat_connected") ?? 0 >= 2)
            try here.close()
            #expect(try here.next() == .close(1000))
            try there.send("hello?")
            #expect(try there.next() == .close(1008))
        }
        #expect(try eventually { try gateway.metric("gateway_chat_connected") == 0 })
        #expect(try gateway.ask("POST", "/chat/lobby", body: "anybody?").status == 202)
    }

    @Test("a speaker is named by the subject of the token")
    func names() throws {
        let gateway = try GatewayUnderTest([Chat.self])
        #expect(try gateway.socket("/chat/lobby").reply.status == 401)
        let socket = try gateway.socket("/chat/lobby", token: GatewayUnderTest.token(for: "ada"))
        try socket.send("hello")
        #expect(try socket.next() == .text(#"{"from":"ada","text":"hello"}"#))
    }

    @Test(
        "a bad room name is refused before the upgrade",
        arguments: ["Lobby", "%2e", String(repeating: "a", count: 41)])
    func badRoom(_ room: String) throws {
        let gateway = try GatewayUnderTest([Chat.self], settings: Self.open)
        for path in ["/chat/\(room)", "/chat/\(room)/feed"] {
            #expect(try gateway.socket(path).reply.status == 400)
        }
        #expect(try gateway.ask("POST", "/chat/\(room)", body: "x").status == 400)
        #expect(try gateway.socket("/chat/\(String(repeating: "a", count: 40))").reply.status == 101)
    }

    @Test("a message over the limit closes its sender with 1009, and as a request is refused with 413")
    func longMessage() throws {
        let settings = ["CHAT_REQUIRE_TOKEN": "false", "CHAT_LONGEST_MESSAGE": "8"]
        let gateway = try GatewayUnderTest([Chat.self], settings: settings)
        let socket = try gateway.socket("/chat/lobby")
        try socket.send("12345678")
        #expect(try socket.next() == .text(#"{"from":"somebody","text":"12345678"}"#))
        try socket.send("123456789")
        #expect(try socket.next() == .close(1009))
        #expect(try gateway.ask("POST", "/chat/lobby", body: "123456789").status == 413)
    }

    @Test("a listener that does not read misses messages and is told how many; nobody else does")
    func slowListener() throws {
        let settings = [
            "CHAT_REQUIRE_TOKEN": "false", "CHAT_LONGEST_MESSAGE": "64KiB", "CHAT_FEED_BUFFER": "1KiB",
            "COMPRESSION_ENABLED": "false",
        ]
        let gateway = try GatewayUnderTest([Chat.self], settings: settings, loops: 2)
        let deaf = try gateway.socket("/chat/lobby/feed")
        let speaker = try gateway.socket("/chat/lobby")
        // More than the kernel holds for a connection whose other end does not read.
        let text = String(repeating: "x", count: 60_000)
        let count = 400
        for _ in 0..<count {
            try speaker.send(text)
            #expect(try speaker.next() == .text(#"{"from":"somebody","text":"\#(text)"}"#))
        }
        var heard = 0
        var missed = 0
        while heard + missed < count {
            guard case .text(let line) = try deaf.next() else { break }
            if line.hasPrefix(#"{"type":"dropped","messages":"#) {
                missed += Int(line.dropFirst(29).dropLast()) ?? 0
            } else {
                heard += 1
            }
        }
        #expect(heard + missed == count)
        #expect(missed > 0)
    }

    @Test("a drain closes every socket with 1001")
    func drain() throws {
        let gateway = try GatewayUnderTest([Chat.self], settings: Self.open, loops: 2)
        let sockets = [try gateway.socket("/chat/lobby"), try gateway.socket("/chat/lobby/feed")]
        let drained = Signal()
        Threads.start("drain") {
            if gateway.stop() { drained.raise() }
        }
        for socket in sockets {
            #expect(try socket.next() == .close(1001))
            try socket.close(1001)
        }
        #expect(drained.wait(atMost: .seconds(20)))
    }
}
