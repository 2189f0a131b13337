import PluginKit

/// The value of HLS_ALLOWED_ORIGINS: servers that links, playlists and redirects may lead to.
struct AllowedOrigins: Sendable {
    private var origins: Set<[UInt8]> = []

    /// Most origins on the list.
    static let limit = 1024

    init() {}

    init(_ text: String) throws(SettingError) {
        let parts = settingElements(of: text)
        guard parts.count <= Self.limit else { throw SettingError("more than \(Self.limit) origins") }
        for (index, part) in parts.enumerated() {
            do throws(SettingError) {
                origins.insert(try Self.origin(part))
            } catch {
                throw SettingError("origin \(index + 1) is \(error.message)")
            }
        }
    }

    private static func origin(_ text: String) throws(SettingError) -> [UInt8] {
        guard !text.contains("*") else { throw SettingError("a pattern; write each origin in full") }
        let url: HTTPURL
        do throws(HTTPURLError) {
            url = try HTTPURL(text)
        } catch {
            throw SettingError("not scheme://host[:port] (\(error)); write https://cdn.example")
        }
        guard url.target.elementsEqual("/".utf8), !text.contains("#") else {
            throw SettingError("more than scheme://host[:port]; leave out path and query")
        }
        return Array(url.originBytes)
    }

    func allows(_ url: HTTPURL) -> Bool { origins.contains(Array(url.originBytes)) }
}

extension AllowedOrigins: CustomStringConvertible {
    var description: String { origins.map { String(decoding: $0, as: UTF8.self) }.sorted().joined(separator: ",") }
}
