package rtnl

import (
	"fmt"
	"runtime"

	"github.com/vishvananda/netns"
)

// Inside runs f on a thread that is in the namespace, so that sockets it opens
// belong there. f starts no goroutines that are to be there, too.
func Inside(namespace string, f func() error) error {
	if namespace == "" {
		return f()
	}
	target, err := netns.GetFromPath(namespace)
	if err != nil {
		return fmt.Errorf("failover: network namespace %s: %w", namespace, err)
	}
	defer target.Close()
	done := make(chan error, 1)
	go func() {
		// The thread is not unlocked: if it cannot return, it ends here.
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			done <- fmt.Errorf("failover: own network namespace: %w", err)
			return
		}
		defer home.Close()
		if err := netns.Set(target); err != nil {
			done <- fmt.Errorf("failover: enter network namespace %s: %w", namespace, err)
			return
		}
		err = f()
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}
