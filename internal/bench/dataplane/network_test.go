//go:build linux && (peers || kernel)

package dataplane

import (
	"fmt"
	"testing"

	"github.com/lvskit/lvskit/internal/lab"
)

// network returns a namespace with the real servers in it.
func network(tb testing.TB) *lab.Namespace {
	tb.Helper()
	ns := lab.New(tb).Namespace("bench")
	ns.Sysctl("net.ipv4.tcp_congestion_control", "reno")
	ns.Sysctl("net.ipv4.ip_local_port_range", "10240 65535")
	ns.Sysctl("net.core.somaxconn", fmt.Sprint(backlog))
	ns.Sysctl("net.ipv4.tcp_max_syn_backlog", fmt.Sprint(backlog))
	srv, err := startServers(ns)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := srv.stop(); err != nil {
			tb.Error(err)
		}
	})
	return ns
}

// show prints a table: Log would cut it after ten lines.
func show(table string) { fmt.Print("\n", table) }
