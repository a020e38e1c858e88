package failover_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lvskit/lvskit/failover"
)

// daemonVariable in the environment makes the test binary a daemon with a
// router or a node in a beat process, so that tests can kill either of them.
const daemonVariable = "LVSKIT_TEST_FAILOVER_DAEMON"

// burnVariable makes it so many busy loops, until its input ends.
const burnVariable = "LVSKIT_TEST_BURN"

func burn(n int) {
	runtime.GOMAXPROCS(n + 1)
	for range n {
		go func() {
			runtime.LockOSThread()
			for i := uint8(0); ; i++ { // for ever
				runtime.KeepAlive(i)
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // ends as it should
	os.Exit(0)
}

// daemonConfig says what the daemon is.
type daemonConfig struct {
	Namespace string
	Router    *failover.RouterConfig
	Node      *failover.Config
	Addresses []failover.VirtualAddress
	Normal    bool // priority
	Hang      bool // the hook, when it becomes active
	Fault     string
}

// daemonMain runs the daemon if this process is to be it. It writes a line for
// each event.
func daemonMain() {
	if n, err := strconv.Atoi(os.Getenv(burnVariable)); err == nil {
		burn(n)
	}
	text := os.Getenv(daemonVariable)
	if text == "" {
		return
	}
	_ = os.Unsetenv(daemonVariable)
	if err := daemon(text); err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func daemon(text string) error {
	var c daemonConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var mu sync.Mutex
	say := func(line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(strings.ReplaceAll(line, "\n", " "))
	}
	event := func(e failover.Event) { say(e.String()) }
	hook := func(ctx context.Context, r failover.Role) error {
		say("hook " + r.String())
		if c.Hang && r == failover.RoleActive {
			select {} // whatever ctx says
		}
		return nil
	}
	beat, err := failover.NewBeat(&failover.BeatConfig{OnEvent: event, NormalPriority: c.Normal})
	if err != nil {
		return err
	}
	owner, err := failover.NewAddresses(&failover.AddressesConfig{Namespace: c.Namespace, Addresses: c.Addresses})
	if err != nil {
		return err
	}
	var run func(context.Context) error
	var status func() any
	if c.Router != nil {
		c.Router.Beat, c.Router.Owner, c.Router.OnEvent, c.Router.OnRole = beat, owner, event, hook
		c.Router.Transport = failover.RawIP{Namespace: c.Namespace}
		for _, v := range c.Addresses {
			c.Router.Addresses = append(c.Router.Addresses, v.Prefix.Addr())
		}
		r, err := failover.NewRouter(c.Router)
		if err != nil {
			return err
		}
		run, status = r.Run, func() any { return r.Status() }
	} else {
		c.Node.Beat, c.Node.Owner, c.Node.OnEvent, c.Node.OnRole = beat, owner, event, hook
		c.Node.Transport = failover.UDP{Namespace: c.Namespace}
		n, err := failover.New(c.Node)
		if err != nil {
			return err
		}
		n.SetFault(c.Fault)
		run, status = n.Run, func() any { return n.Status() }
	}
	var work sync.WaitGroup
	work.Go(func() { _ = beat.Run(ctx) })
	work.Go(func() {
		pid := 0
		for ctx.Err() == nil {
			if b := beat.Status(); b.Pid != pid && b.Priority != "" {
				pid = b.Pid
				say(fmt.Sprintf("beat %d %s locked=%v", pid, b.Priority, b.MemoryLocked))
			}
			time.Sleep(2 * time.Millisecond)
		}
	})
	err = run(ctx)
	stop()
	work.Wait()
	last, bad := json.Marshal(status())
	if bad != nil {
		return bad
	}
	say("status " + string(last))
	return err
}
