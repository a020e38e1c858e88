package failover

// RouteProtocol marks the routes that came with the addresses, as "proto 112"
// of ip-route(8): only such routes are ever removed.
const RouteProtocol = 112
