package import PluginKit

/// Work that each user may have done so and so often: as answers, and in a WebSocket's messages.
package struct Limited: Plugin {
    package static let name: PluginName = "limited"
    package static let summary = "Answers GET /limited/work and the WebSocket /limited as often as its limits allow."

    package init(settings: NoSettings) {}

    // docs: register
    package func register(with gateway: inout Registrar) {
        let work = gateway.rateLimit("work", RateRules(addresses: .settings))
        gateway.get("/limited/health") { _ in .text("fine") }
        gateway.get("/limited/work", access: .signedIn, limit: work) { _ in .text("done") }
        gateway.webSocket("/limited", limit: work) { request in Worker(limit: work, request: request) }
    }
    // docs: end
}

// docs: messages
/// Does one piece of work for each message, out of the same allowance as requests.
private final class Worker: WebSocketHandler {
    private let limit: RateLimit
    private let subject: RateSubject

    init(limit: RateLimit, request: Request) {
        self.limit = limit
        subject = RateSubject(of: request)
    }

    func received(_ message: WebSocketMessage, on socket: any WebSocket) {
        let use = RateUse(requests: 1, messages: 1, bytes: UInt64(message.count))
        switch limit.check(use, of: subject, on: socket.loop) {
        case .allowed: work(on: socket)
        case .refused(let refusal): refuse(refusal, on: socket)
        case .undecided(let question):
            // Another machine counts: nothing more is read until it has answered.
            socket.pause()
            socket.loop.launch {
                if let refusal = await question.answer() {
                    self.refuse(refusal, on: socket)
                } else {
                    self.work(on: socket)
                }
                socket.resume()
            }
        }
    }

    private func work(on socket: any WebSocket) { socket.send(text: "done") }

    private func refuse(_ refusal: RateRefusal, on socket: any WebSocket) {
        socket.send(
            text: #"{"type":"error","error":"Rate limit exceeded","retryAfter":\#(refusal.retryAfterSeconds)}"#)
    }
}
// docs: end
