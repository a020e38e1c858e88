// Package lab builds networks of network namespaces for tests: namespaces,
// veth pairs, bridges, addresses, routes and sysctls, over netlink and inside
// the test's own process. What a test builds goes away with it.
//
// A test says lab.New(t), or lab.NewCluster(t) for the usual network of a load
// balancer: a client behind a router, two directors, three real servers. It
// works wherever namespaces may be made: as root, and in a guest of the rig.
//
// The package is for Linux; elsewhere it is empty.
package lab
