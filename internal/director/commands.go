package director

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"

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
// things stand. So there are never more waiting than there are things.
type commands struct {
	log    *slog.Logger
	within time.Duration

	// stood is what was told last, true for up. It belongs to the loop.
	stood map[subject]bool

	mu      sync.Mutex
	waiting []job
	running bool
	wake    chan struct{}
}

// subject is what a program is about: a service, or a server of it.
type subject struct{ service, server string }

type job struct {
	subject
	up      bool
	command string
	target  netip.AddrPort
}

func newCommands(log *slog.Logger) *commands {
	return &commands{log: log, within: commandWithin, stood: make(map[subject]bool), wake: make(chan struct{}, 1)}
}

// tell compares what became of a service with what was told of it last.
func (c *commands) tell(v *VirtualService, g *pool.Group, known factsOf) {
	if v.QuorumUp != "" || v.QuorumDown != "" {
		if g.Quorum != pool.Undecided {
			c.stand(v, nil, g.Quorum == pool.Gained)
		}
	}
	for r := range v.each() {
		if r.Up == "" && r.Down == "" {
			continue
		}
		if state := known(v, r).state; state != health.Unknown {
			c.stand(v, r, state == health.Up)
		}
	}
}

// stand has the program run if this is news.
func (c *commands) stand(v *VirtualService, r *RealServer, up bool) {
	j := job{subject: subject{service: v.Name}, up: up, target: v.Service.Key.Addr, command: v.QuorumDown}
	if up {
		j.command = v.QuorumUp
	}
	if r != nil {
		j.server, j.target, j.command = r.Name, r.Target.Addr, r.Down
		if up {
			j.command = r.Up
		}
	}
	if was, told := c.stood[j.subject]; told && was == up {
		return
	}
	c.stood[j.subject] = up
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

// leave runs what is to be run when this router stops serving, and forgets
// what was told: who serves again tells it anew.
func (c *commands) leave(s *Setup) {
	for i := range s.Services {
		v := &s.Services[i]
		if !v.DownOnStop {
			continue
		}
		for r := range v.each() {
			if c.stood[subject{v.Name, r.Name}] {
				c.stand(v, r, false)
			}
		}
		if c.stood[subject{service: v.Name}] {
			c.stand(v, nil, false)
		}
	}
	clear(c.stood)
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
	log := c.log.With("service", j.service, "server", j.server, "up", j.up, "command", j.command)
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
