import GatewayConfig
import GatewayRuntime
import PluginKit

/// A port of the process: bound, with a listening socket for each loop that is to accept on it.
struct BoundPort: Sendable {
    let number: Int
    let entry: EntryPoint
    /// As it was asked for.
    let listen: ListenAddress
    let address: SocketAddress
    /// One for each loop from the first on.
    let descriptors: [CInt]

    /// Binds and listens. Nobody is accepted before loops are told.
    ///
    /// - Parameter isOwn: Whether this process listens on that port number already, by another address.
    /// - Throws: A line that names the port and what to do about it.
    init(
        number: Int, entry: EntryPoint, listen: ListenAddress, loops: Int, backlog: Int, isOwn: Bool = false
    ) throws(StartError) {
        let wanted = try Self.resolve(listen)
        var descriptors: [CInt] = []
        var bound = wanted
        do throws(SystemError) {
            if !isOwn { try Socket.probe(wanted) }
            // Operations are rare: one loop is enough for them.
            for _ in 0..<(entry == .operations ? 1 : loops) {
                let descriptor = try Socket.listen(on: bound, backlog: backlog)
                bound = Socket.localAddress(of: descriptor) ?? bound
                descriptors.append(descriptor)
            }
        } catch {
            for descriptor in descriptors { WatchedDescriptor.discard(descriptor) }
            throw Self.explain(error, entry, wanted)
        }
        self.number = number
        self.entry = entry
        self.listen = listen
        self.descriptors = descriptors
        address = bound
    }

    /// Gives up a port that no loop was told of.
    func discard() {
        for descriptor in descriptors { WatchedDescriptor.discard(descriptor) }
    }

    /// As reports write it: `main 127.0.0.1:3001`.
    var description: String { "\(entry.name) \(address)" }

    /// The address that `listen` stands for. Blocks, if it is a name.
    static func resolve(_ listen: ListenAddress) throws(StartError) -> SocketAddress {
        let every = listen.isEveryAddress
        let host = every ? "::" : listen.host
        if let address = SocketAddress(literal: host, port: listen.port.number) {
            // A kernel without IPv6 still has every IPv4 address.
            if every, !Socket.supportsIPv6 { return .everyIPv4(port: listen.port.number) }
            return address
        }
        do throws(NameLookup.Failure) {
            return try NameLookup.addresses(of: host, port: listen.port.number)[0]
        } catch {
            throw StartError("cannot listen on \(host): \(error.description)")
        }
    }

    private static func setting(of entry: EntryPoint) -> String {
        entry == .main ? "WEBSOCKET_PORT" : entry == .operations ? "OPS_LISTEN" : "its port setting"
    }

    /// Two entry points that want the same port.
    static func shared(_ address: SocketAddress, _ entry: EntryPoint, with other: EntryPoint) -> StartError {
        StartError(
            "port \(address.port) (\(setting(of: entry))) is that of \(other.name) too; choose another port",
            exitCode: 69)
    }

    private static func explain(_ error: SystemError, _ entry: EntryPoint, _ address: SocketAddress) -> StartError {
        let setting = setting(of: entry)
        if error.isAddressInUse {
            return StartError(
                "port \(address.port) (\(setting)) is in use by another program; stop it or choose another port",
                exitCode: 69)
        }
        if error.isPermissionDenied {
            return StartError(
                "no permission to listen on \(address) (\(setting)); use a port above 1023 or grant CAP_NET_BIND_SERVICE",
                exitCode: 77)
        }
        if error.isAddressUnavailable {
            let setting = entry == .main ? "LISTEN_ADDRESS" : setting
            return StartError("this machine has no address \(address.host) (\(setting))", exitCode: 69)
        }
        return StartError("cannot listen on \(address) (\(setting)): \(error.reason)", exitCode: 69)
    }
}

extension Generation {
    /// Every port it is to be reached by. The main one first.
    var wantedPorts: [(entry: EntryPoint, listen: ListenAddress)] {
        let listen = settings.listen
        var wanted: [(entry: EntryPoint, listen: ListenAddress)] = [
            (.main, ListenAddress(host: listen.address, port: listen.port))
        ]
        if let operations = listen.operations { wanted.append((.operations, operations)) }
        for entry in entryPoints {
            if let address = entry.listen { wanted.append((entry, address)) }
        }
        return wanted
    }
}
