package failover_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
)

// planned is a recorder with a plan, which notes when it announced.
type planned struct {
	*failovertest.Recorder
	plan  failover.Announcing
	begin time.Time
	at    []time.Duration
	kept  int
}

func (p *planned) Announcing() failover.Announcing { return p.plan }

func (p *planned) Acquire(context.Context) error {
	p.kept++
	return nil
}

func (p *planned) Announce(context.Context) error {
	if p.begin.IsZero() {
		p.begin = time.Now()
	}
	p.at = append(p.at, time.Since(p.begin))
	return nil
}

func TestAnnouncementsFollowThePlan(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	standard := []time.Duration{0, 20 * ms, 100 * ms, 500 * ms, s, 5 * s}
	tests := []struct {
		name string
		plan failover.Announcing
		want []time.Duration // of the first 70 s
	}{
		{"the zero value", failover.Announcing{}, append(standard[:6:6], 65*s)},
		{"fewer", failover.Announcing{Count: 2}, []time.Duration{0, 20 * ms, 20*ms + 60*s}},
		{"more", failover.Announcing{Count: 8}, append(standard[:6:6], 10*s, 15*s)},
		{"with an interval", failover.Announcing{Count: 3, Interval: 2 * s}, []time.Duration{0, 2 * s, 4 * s, 64 * s}},
		{"an interval alone", failover.Announcing{Interval: 3 * s}, []time.Duration{0, 3 * s, 6 * s, 9 * s, 12 * s, 15 * s}},
		{"with a refresh", failover.Announcing{Count: 1, Refresh: 30 * s}, []time.Duration{0, 30 * s, 60 * s}},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(func(t *testing.T) {
			p := &planned{Recorder: new(failovertest.Recorder), plan: tt.plan}
			n, err := failover.New(&failover.Config{Owner: p})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- n.Run(ctx) }()
			time.Sleep(70 * time.Second)
			synctest.Wait()
			if diff := cmp.Diff(tt.want, p.at); diff != "" {
				t.Errorf("announced at (-want +got):\n%s", diff)
			}
			rounds := tt.plan.Count
			if rounds == 0 {
				rounds = 6
			}
			if want := 1 + len(tt.want) - rounds; p.kept != want {
				t.Errorf("acquired %d times, want %d: once, and with each refresh", p.kept, want)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}))
	}
}

func TestPlansAreRefusedWithAReason(t *testing.T) {
	for want, plan := range map[string]failover.Announcing{
		"-1 announcements are out of range":              {Count: -1},
		"1001 announcements are out of range":            {Count: 1001},
		"interval -1s between announcements":             {Interval: -time.Second},
		"interval 1h0m1s between announcements":          {Interval: time.Hour + time.Second},
		"refresh of announcements every 99ms":            {Refresh: 99 * time.Millisecond},
		"use 0 for the default, or 100ms to 1h0m0s":      {Refresh: -time.Second},
		"use 0 for the default, or up to 1h0m0s":         {Interval: 2 * time.Hour},
		"refresh of announcements every 2h0m0s is out o": {Refresh: 2 * time.Hour},
	} {
		o := new(failover.Addresses)
		if err := o.SetAnnouncing(plan); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", plan, err, want)
		}
	}
	o := new(failover.Addresses)
	plan := failover.Announcing{Count: 1000, Interval: time.Hour, Refresh: 100 * time.Millisecond}
	if err := o.SetAnnouncing(plan); err != nil || o.Announcing() != plan {
		t.Errorf("%+v, %v", o.Announcing(), err)
	}
}
