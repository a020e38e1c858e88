//go:build !unix

package main

import "os"

// notifyReload does nothing: there is no HUP here.
func notifyReload(chan<- os.Signal) {}
