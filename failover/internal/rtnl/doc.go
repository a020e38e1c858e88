// Package rtnl is what package failover and its parts share of the kernel's
// networks: a thread or a netlink socket in a network namespace, and devices
// with their addresses over rtnetlink(7). Each function takes a namespace by its
// path, as /run/netns/blue; empty is the one of the process. Except for
// [Inside] it is for Linux.
package rtnl
