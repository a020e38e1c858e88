package director

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// A hint asks those whom it may concern, once, and takes nobody out.
func TestHintsAskAtOnce(t *testing.T) {
	for _, tt := range []struct {
		answers    health.Verdict
		state      health.State
		back, lost int // how often a server is asked for a hint
	}{
		{health.OK, health.Up, 0, 1},
		{health.Fail, health.Down, 1, 0},
		{health.NoResult, health.Unknown, 1, 1}, // such as before there was a link
	} {
		t.Run(tt.state.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := healthtest.NewFake("fake")
				fake.Set(healthtest.Verdicts(tt.answers))
				setup := checked(webSetup(nil), fake)
				for i := range setup.Services[0].Servers {
					setup.Services[0].Servers[i].Policy.Interval = time.Hour
				}
				d := &Director{log: slog.New(slog.DiscardHandler), monitor: health.NewMonitor(nil)}
				if err := d.monitor.Set(setup.Watches()); err != nil {
					t.Fatal(err)
				}
				if err := d.watchHints(); err != nil {
					t.Fatal(err)
				}
				d.watched.set(setup)
				ctx, cancel := context.WithCancel(t.Context())
				go d.monitor.Run(ctx)
				defer cancel()
				time.Sleep(time.Minute)
				ask := func(back bool) string {
					a, b := fake.Count(addr(serverA)), fake.Count(addr(serverB))
					d.hinted(health.Hint{Addr: netip.MustParseAddr("10.0.0.1"), Back: back})
					time.Sleep(time.Second)
					return fmt.Sprint(fake.Count(addr(serverA))-a, fake.Count(addr(serverB))-b)
				}
				if got, want := fmt.Sprint(ask(true), ", ", ask(false)), fmt.Sprint(tt.back, " 0, ", tt.lost, " 0"); got != want {
					t.Errorf("asked %q for a way that came back and one that may be lost, want %q", got, want)
				}
				for _, st := range d.monitor.States() {
					if st.State != tt.state {
						t.Errorf("%s is %v, want %v", st.ID, st.State, tt.state)
					}
				}
			})
		})
	}
}
