// Package rtnl is what package failover and its parts share of the kernel's
// networks: a thread or a netlink socket in a network namespace, devices with
// their addresses over rtnetlink(7), and what that tells of changes. A namespace
// is given by its path, as /run/netns/blue; empty is the one of the process.
// Except for [Inside] and the codec of notices it is for Linux.
package rtnl
