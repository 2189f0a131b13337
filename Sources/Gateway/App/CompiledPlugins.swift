import EchoPlugin
import HLSPlugin
import PluginKit
import ProxyPlugin

/// Every plugin in this binary, outermost first. `PLUGINS=a,b` picks and orders; unset runs those that are on by default
/// and configured; empty runs none. An unknown or repeated name stops the start and suggests the nearest.
let compiledPlugins: [any Plugin.Type] = [
    Echo.self,  // names only its own paths, so its place does not matter
    HLSProxy.self,  // the more exact paths win, so a proxy for `/` leaves these alone
    ReverseProxy.self,
    SamplePlugin.self,  // on a port of its own, and only for serve --dev
]
