package director

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
)

const (
	// commandWithin limits one program; then it is killed with all that it
	// started.
	commandWithin = 30 * time.Second
	// leaveCommandsWithin limits all programs that run when the director ends.
	leaveCommandsWithin = 10 * time.Second
)

// commands runs the programs that lvs.cf names for changes, in order and one
// at a time, so that two quick changes cannot pass each other. What was not
// begun when the same thing changes again is replaced: what counts is how
// things stand. So there are never more waiting than there are things. The
// lines for the named pipe are not replaced, as they cost nothing.
type commands struct {
	log    *slog.Logger
	within time.Duration

	// stood is what was told last, true for up, and roles what was told of
	// routers; both belong to the loop, and so does what is to be told.
	stood           map[subject]bool
	roles           map[string]failover.Role
	active, decided bool
	setup           *Setup
	gone            map[string]*RouterSetup // that are leaving, by name
	pipe            *pipe

	mu      sync.Mutex
	waiting []job
	running bool
	wake    chan struct{}
}

// subject is what a program is about: a service, a server of it, a router, or
// the director as a whole. Those who are told of each change are one more for
// each.
type subject struct {
	service, server, router string
	notify                  bool
}

type job struct {
	subject
	state   string
	command string
	target  netip.AddrPort
}

func newCommands(log *slog.Logger) *commands {
	return &commands{
		log: log, within: commandWithin, stood: make(map[subject]bool), roles: make(map[string]failover.Role),
		setup: &Setup{}, gone: make(map[string]*RouterSetup), pipe: &pipe{log: log}, wake: make(chan struct{}, 1),
	}
}

// tell compares what became of a service with what was told of it last.
func (c *commands) tell(v *VirtualService, g *pool.Group, known factsOf) {
	all := c.setup.Notify != "" || c.setup.FIFO != ""
	if all || v.QuorumUp != "" || v.QuorumDown != "" {
		if g.Quorum != pool.Undecided {
			c.stand(v, nil, g.Quorum == pool.Gained)
		}
	}
	for r := range v.each() {
		if !all && r.Up == "" && r.Down == "" || r.Checker == nil && r.Up == "" && r.Down == "" {
			continue
		}
		if state := known(v, r).state; state != health.Unknown {
			c.stand(v, r, state == health.Up)
		}
	}
}

// stand has the programs run if this is news.
func (c *commands) stand(v *VirtualService, r *RealServer, up bool) {
	j := job{subject: subject{service: v.Name}, state: "DOWN", target: v.Service.Key.Addr, command: v.QuorumDown}
	if up {
		j.state, j.command = "UP", v.QuorumUp
	}
	kind, name := kindService, v.Name
	if r != nil {
		j.server, j.target, j.command = r.Name, r.Target.Addr, r.Down
		if up {
			j.command = r.Up
		}
		kind, name = kindServer, WatchID(v.Name, r.Name)
	}
	if was, told := c.stood[j.subject]; told && was == up {
		return
	}
	c.stood[j.subject] = up
	c.queue(j)
	c.notify(j.subject, kind, name, j.state, 0)
}

// queue has a program run when its turn comes, in place of one for the same
// subject that was not begun.
func (c *commands) queue(j job) {
	c.mu.Lock()
	for i, w := range c.waiting {
		if w.subject == j.subject {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			break
		}
	}
	if j.command != "" {
		c.waiting = append(c.waiting, j)
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// leave runs what is to be run when a service is not served here any more, and
// forgets what was told: who serves again tells it anew.
func (c *commands) leave(v *VirtualService) {
	for r := range v.each() {
		if v.DownOnStop && c.stood[subject{service: v.Name, server: r.Name}] {
			c.stand(v, r, false)
		}
		delete(c.stood, subject{service: v.Name, server: r.Name})
	}
	if v.DownOnStop && c.stood[subject{service: v.Name}] {
		c.stand(v, nil, false)
	}
	delete(c.stood, subject{service: v.Name})
}

// keep forgets what is in no configuration any more.
func (c *commands) keep(known func(subject) bool) {
	maps.DeleteFunc(c.stood, func(s subject, _ bool) bool { return !known(s) })
}

// run runs programs until ctx ends.
func (c *commands) run(ctx context.Context) {
	for {
		for {
			j, ok := c.next()
			if !ok || ctx.Err() != nil {
				break
			}
			c.do(ctx, j)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
	}
}

func (c *commands) next() (job, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = len(c.waiting) > 0
	if !c.running {
		return job{}, false
	}
	j := c.waiting[0]
	c.waiting = c.waiting[1:]
	return j, true
}

// idle tells that nothing waits and nothing runs.
func (c *commands) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting) == 0 && !c.running
}

// do runs one program as an external check does: split at blanks, without a
// shell, in a process group of its own, its output bounded; the words %h and
// %p are the address and the port of what changed.
func (c *commands) do(ctx context.Context, j job) {
	log := c.log.With("service", j.service, "server", j.server, "router", j.router, "state", j.state, "command", j.command)
	program, err := health.NewExternal(health.ExternalConfig{Command: j.command})
	if err != nil {
		log.Error("cannot run the command for a change", "err", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	r := program.Check(ctx, health.Target{Addr: j.target})
	if r.Verdict == health.OK {
		log.Info("ran the command for a change", "took", r.Duration)
		return
	}
	log.Error("the command for a change did not end well", "reason", r.Reason, "took", r.Duration)
}

// finish waits until all that waits has been run, or ctx ends.
func (c *commands) finish(ctx context.Context) {
	for !c.idle() {
		select {
		case <-ctx.Done():
			c.log.Error("commands were not run at the end: they take too long")
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
