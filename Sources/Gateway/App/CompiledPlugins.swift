import EchoPlugin
import HLSPlugin
import PluginKit
import ProxyPlugin
import TunnelPlugin

/// Every plugin in this binary, outermost first. `PLUGINS=a,b` picks and orders; unset runs those that are on by default
/// and configured; empty runs none. An unknown or repeated name stops the start and suggests the nearest.
let compiledPlugins: [any Plugin.Type] = [
    Echo.self,  // names only its own paths, so its place does not matter
    HLSProxy.self,
    Tunnel.self,  // behind echo, which takes the main WebSocket when it is named
    ReverseProxy.self,  // after the others, since its prefixes may be as short as `/`
    SamplePlugin.self,  // on a port of its own, and only for serve --dev
]
