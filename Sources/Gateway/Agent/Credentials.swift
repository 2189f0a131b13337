package import GatewayBytes
import GatewayRuntime

/// What an agent or consumer shows the gateway: a token, or an enrolment, which begins with `gwe_`.
package struct Credential: Sendable {
    package let secret: Secret
    package let isEnrolment: Bool

    /// Most bytes of one.
    package static let sizeLimit = 16 << 10

    /// - Parameter bytes: White space around it is no part of it.
    /// - Throws: When it is empty, too long, or could not stand in a field.
    package init(_ bytes: [UInt8]) throws(CredentialError) {
        let start = bytes.firstIndex { $0 > 0x20 } ?? bytes.endIndex
        let end = bytes.lastIndex { $0 > 0x20 } ?? bytes.startIndex
        guard start <= end, start < bytes.endIndex else { throw CredentialError("it is empty") }
        let token = Array(bytes[start...end])
        guard token.count <= Self.sizeLimit else { throw CredentialError("it is longer than \(Self.sizeLimit) bytes") }
        guard token.allSatisfy({ (0x21...0x7E).contains($0) }) else { throw CredentialError("it is not a token") }
        secret = Secret(token)
        isEnrolment = token.starts(with: "gwe_".utf8)
    }

    func isSame(as other: Credential) -> Bool {
        unsafe other.secret.withBytes { unsafe secret.equals(Array($0)) }
    }

    /// For the field and the message that show it.
    var text: String { unsafe secret.withBytes { unsafe String(decoding: $0, as: UTF8.self) } }
}

/// Why there is no credential; says nothing of its content.
package struct CredentialError: Error, Equatable, Sendable {
    package let message: String

    init(_ message: String) { self.message = message }
}

/// Where the credential comes from. Files and commands are asked anew whenever one is needed.
package enum CredentialSource: Sendable {
    case file(String)
    /// A line of shell that writes it to standard output.
    case command(String)
    /// On the command line, where every user of the machine can read it.
    case argument(Secret)
    case environment(Secret)

    /// How long a command may take.
    package static let commandTime = Duration.seconds(30)

    /// Whether asking again can bring another.
    var isFixed: Bool {
        switch self {
        case .file, .command: false
        case .argument, .environment: true
        }
    }

    /// Blocks: on a worker thread.
    package func read() throws(CredentialError) -> Credential {
        do throws(CredentialError) {
            return try Credential(try bytes())
        } catch {
            throw CredentialError("\(name): \(error.message)")
        }
    }

    private var name: String {
        switch self {
        case .file(let path): "the token file \(path)"
        case .command: "the token command"
        case .argument: "--token"
        case .environment: "GATEWAY_TOKEN"
        }
    }

    private func bytes() throws(CredentialError) -> [UInt8] {
        switch self {
        case .file(let path):
            do throws(SystemError) {
                return try SmallFile.bytes(of: path, limit: Credential.sizeLimit * 2)
            } catch {
                throw CredentialError("it cannot be read: \(error.reason)")
            }
        case .command(let line):
            do throws(ChildProcess.Failure) {
                return try ChildProcess.output(
                    ofShell: line, limit: Credential.sizeLimit * 2, within: Self.commandTime)
            } catch {
                throw CredentialError("\(error)")
            }
        case .argument(let secret), .environment(let secret):
            return unsafe secret.withBytes { unsafe Array($0) }
        }
    }
}
