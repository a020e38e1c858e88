package director

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
)

// reload takes a changed copy of the setup with all servers in a state.
func (b *bench) reload(s health.State, change func(*Setup)) {
	b.loop.ask(b.t.Context(), func(ctx context.Context) {
		next := *b.loop.setup
		change(&next)
		states := map[string]health.State{}
		for i := range 6 {
			states[fmt.Sprint("web/", i)] = s
		}
		b.loop.adopt(&next, states)
		b.loop.settle(ctx)
	})
}

// Who takes the control target out of the file while states are held wants to
// hold nothing back any more: nobody would ever end it.
func TestAReloadWithoutAControlTargetLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := waveBench(t, false)
		defer b.stop()
		b.fall("012345")
		time.Sleep(time.Second)
		synctest.Wait()
		b.wantUp("012345")
		b.reload(health.Down, func(s *Setup) { s.Alarm, s.Control = pool.Alarm{}, ControlTarget{} })
		b.wantUp("")
	})
}

// A server that left is none that is held, nor one of many that failed.
func TestAReloadForgetsTheFailuresOfThoseWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := waveBench(t, false)
		defer b.stop()
		b.fall("0123")
		time.Sleep(time.Second)
		synctest.Wait()
		b.reload(health.Down, func(s *Setup) {
			s.Services = []VirtualService{s.Services[0]}
			s.Services[0].Servers = s.Services[0].Servers[:2]
		})
		b.loop.ask(t.Context(), func(context.Context) {
			if n := b.loop.wave.Holds(); n != 2 {
				t.Errorf("%d targets are held, want 2", n)
			}
		})
	})
}

// asking is a control target that takes its time.
type asking struct{}

func (asking) Identity() string { return "asking" }
func (asking) Check(context.Context, health.Target) health.Result {
	time.Sleep(time.Second)
	return health.Result{Verdict: health.OK}
}

// A reload may come at the moment when the control target is asked.
func TestAReloadWhileTheControlTargetIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := waveBench(t, true)
		defer b.stop()
		b.loop.ask(t.Context(), func(context.Context) {
			b.loop.control = askControl
			b.loop.setup.Control.Checker = asking{}
		})
		for _, n := range "0123" { // at once: the loop's own goroutine begins to ask
			b.loop.inbox.verdict("web/"+string(n), health.Down)
		}
		for range 50 {
			b.reload(health.Down, func(*Setup) {})
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		b.wantUp("")
	})
}
