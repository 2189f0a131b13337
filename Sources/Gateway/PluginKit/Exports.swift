// The vocabulary a plugin writes in. Re-exported so that PluginKit is the only gateway module a plugin imports.
@_exported package import GatewayAuth
@_exported package import GatewayBytes
@_exported package import GatewayConfig
@_exported package import GatewayHTTP
@_exported package import GatewayRuntime
@_exported package import GatewayTelemetry
@_exported package import GatewayUpstream
@_exported package import GatewayWebSocket
