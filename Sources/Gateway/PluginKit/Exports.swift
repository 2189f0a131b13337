// The vocabulary a plugin writes in. Re-exported so that PluginKit is the only gateway module a plugin must import;
// a driver is another, for those that need it.
@_exported public import GatewayAuth
@_exported public import GatewayBackplane
@_exported public import GatewayBytes
@_exported public import GatewayConfig
@_exported public import GatewayHTTP
@_exported public import GatewayLocks
@_exported public import GatewayRuntime
@_exported public import GatewayTelemetry
@_exported public import GatewayUpstream
@_exported public import GatewayWebSocket
