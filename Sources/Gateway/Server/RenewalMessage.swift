import GatewayBytes

/// The core's own messages on sockets that were opened with a token.
///
/// ```
/// gateway → {"type":"auth_expiring","expiresIn":60}
/// client  → {"type":"auth","token":"…"}
/// gateway → {"type":"auth_renewed","expiresAt":1765000000}
/// gateway → {"type":"auth_refused","code":"token_expired","message":"…"}
/// ```
enum RenewalMessage {
    /// A renewal is a token in a little JSON; anything larger is the plugin's.
    private static let limit = 20 << 10

    /// The token of `{"type":"auth","token":…}`, members in either order; `nil` for every other message.
    ///
    /// Looks at the first member's name before anything is parsed, so ordinary messages cost a few comparisons.
    static func token(in message: UnsafeRawBufferPointer) -> [UInt8]? {
        guard message.count <= limit, unsafe startsLikeRenewal(message) else { return nil }
        guard let json = try? JSON.parse(unsafe Array(message)), json["type"]?.string == "auth",
            let token = json["token"]?.string
        else { return nil }
        return Array(token.utf8)
    }

    private static func startsLikeRenewal(_ message: UnsafeRawBufferPointer) -> Bool {
        guard message.count > 12, unsafe message[0] == UInt8(ascii: "{") else { return false }
        var rest = unsafe skipSpace(UnsafeRawBufferPointer(rebasing: message[1...]))
        if unsafe rest.starts(with: "\"token\"".utf8) { return true }
        // Many protocols have messages with a type: only this one's are parsed.
        for part in ["\"type\"", ":", "\"auth\""] {
            guard unsafe rest.starts(with: part.utf8) else { return false }
            unsafe rest = unsafe skipSpace(UnsafeRawBufferPointer(rebasing: rest[part.utf8.count...]))
        }
        return true
    }

    private static func skipSpace(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var place = 0
        while place < text.count, unsafe text[place] <= 0x20 { place += 1 }
        return unsafe UnsafeRawBufferPointer(rebasing: text[place...])
    }

    static func renewed(until expiry: Double) -> String {
        write {
            $0.member("type", "auth_renewed")
            $0.member("expiresAt", Int(expiry))
        }
    }

    static func refused(_ code: String, _ message: String) -> String {
        write {
            $0.member("type", "auth_refused")
            $0.member("code", code)
            $0.member("message", message)
        }
    }

    static func expiring(in seconds: Double) -> String {
        write {
            $0.member("type", "auth_expiring")
            $0.member("expiresIn", Int(seconds))
        }
    }

    private static func write(_ members: (inout JSONWriter) -> Void) -> String {
        var json = JSONWriter()
        json.object(members)
        return json.text
    }
}
