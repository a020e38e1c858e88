//go:build linux && kernel

package main

import (
	"context"
	"iter"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs/procfs"
)

// hostIn is a host whose kernel is that of a namespace.
func hostIn(ns *lab.Namespace) host {
	return host{dial: func(ctx context.Context, _ string) (kernel, error) { return dialKernel(ctx, ns.Path()) }}
}

// What the sessions show with a kernel in memory they show with the real one.
// One only computes, and one does so for longer than an emulated processor has
// time for.
func TestKernelSessions(t *testing.T) {
	for _, path := range sessions(t) {
		name := filepath.Base(path)
		if name == "simulate.txtar" || name == "predict.txtar" && lab.Emulated() {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			ns := lab.New(t).Namespace("host")
			ns.Dummy("sync0")
			playSession(t, path, hostIn(ns))
		})
	}
}

func connectionsIn(ns *lab.Namespace) func(string) iter.Seq2[procfs.Connection, error] {
	return func(string) iter.Seq2[procfs.Connection, error] { return connectionRows(ns.Path()) }
}
