//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyReload passes the signal that asks for the configuration to be read
// again.
func notifyReload(c chan<- os.Signal) { signal.Notify(c, syscall.SIGHUP) }
