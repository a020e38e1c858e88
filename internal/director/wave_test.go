package director

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// waveBench serves six servers that are up; answers are what the control
// target says, one after the other and then the last one for ever.
func waveBench(t *testing.T, answers ...bool) *bench {
	t.Helper()
	b := newBench(t, ipvstest.New(), "", webSetup(func(v *VirtualService) {
		v.Servers = nil
		for i := range 6 {
			v.Servers = append(v.Servers, RealServer{Name: fmt.Sprint(i), Destination: dest(fmt.Sprintf("10.0.0.%d:80", i), 1)})
		}
	}))
	b.loop.ask(t.Context(), func(context.Context) {
		b.loop.setup.Alarm = pool.Alarm{Share: 0.5, Window: 10 * time.Second}
		b.loop.control = func(context.Context, ControlTarget) (bool, string) {
			time.Sleep(100 * time.Millisecond)
			ok := answers[0]
			if len(answers) > 1 {
				answers = answers[1:]
			}
			return ok, "as told"
		}
	})
	b.role(stanceServe)
	for i := range 6 {
		b.verdict(fmt.Sprint("web/", i), health.Up)
	}
	b.wantUp("012345")
	return b
}

func (b *bench) wantUp(names string) {
	b.t.Helper()
	var want []string
	for _, n := range names {
		want = append(want, fmt.Sprintf("tcp/192.0.2.1:80 10.0.0.%c:80=1", n))
	}
	b.wantServers(want...)
}

func (b *bench) fall(names string) {
	for _, n := range names {
		b.verdict("web/"+string(n), health.Down)
	}
}

func (b *bench) rise(names string) {
	for _, n := range names {
		b.verdict("web/"+string(n), health.Up)
	}
}

func TestManyFailuresCountWhenTheControlTargetAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := waveBench(t, true)
		defer b.stop()
		b.fall("0123")
		b.wantUp("345") // the fourth is one too many, and is asked about
		time.Sleep(time.Second)
		synctest.Wait()
		b.wantUp("45")
		b.fall("4")
		b.wantUp("5")
	})
}

func TestARouterThatIsCutOffTakesNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := waveBench(t, false, false, false, true)
		defer b.stop()
		b.fall("0123")
		time.Sleep(time.Second)
		synctest.Wait()
		b.wantUp("012345")
		b.fall("45")
		b.wantUp("012345")
		var why string
		b.loop.ask(t.Context(), func(context.Context) { why = b.loop.wave.Why() })
		if !strings.Contains(why, "this router is cut off") || !strings.Contains(why, "as told") {
			t.Errorf("why: %q", why)
		}
		// A reload meanwhile does not let them go.
		b.loop.ask(t.Context(), func(ctx context.Context) {
			states := map[string]health.State{}
			for i := range 6 {
				states[fmt.Sprint("web/", i)] = health.Down
			}
			b.loop.adopt(b.loop.setup, states)
			b.loop.settle(ctx)
		})
		b.wantUp("012345")
		// The control target answers at the fourth time; then all have a
		// window to answer themselves.
		time.Sleep(3 * controlEvery)
		b.rise("0123")
		b.wantUp("012345")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		b.wantUp("0123")
		// All is calm, and one failure is one failure.
		b.fall("0")
		b.wantUp("123")
	})
}

func TestWithoutAControlTargetThereIsNoAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := waveBench(t, false)
		defer b.stop()
		b.loop.ask(t.Context(), func(context.Context) { b.loop.setup.Alarm = pool.Alarm{} })
		b.fall("012345")
		b.wantUp("")
	})
	if ok, why := askControl(t.Context(), ControlTarget{}); ok || why == "" {
		t.Errorf("a control target that is none: %t, %q", ok, why)
	}
}
