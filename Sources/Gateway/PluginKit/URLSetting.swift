package import GatewayConfig
package import GatewayHTTP

/// A setting may be a URL: `let url: HTTPURL = env.required("URL", "Where the document is.")`.
extension HTTPURL: SettingValue {
    /// For the settings reference.
    package static var settingType: String { "http or https URL" }

    /// Reads an absolute URL strictly, without user information.
    package static func read(_ text: String, bare: NoUnit?) throws(SettingError) -> HTTPURL {
        do throws(HTTPURLError) {
            return try HTTPURL(text)
        } catch {
            throw SettingError("not an absolute http or https URL (\(error))")
        }
    }

    /// Without its query, which may carry a credential.
    package var settingText: String { description }
    /// With its query.
    package var settingIdentity: String { String(decoding: bytes, as: UTF8.self) }
}
