package health_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// Real sockets under a Monitor: servers that die and come back are seen to,
// while the set is reloaded all the time.
func TestMonitorWithRealServers(t *testing.T) {
	const n = 8
	var servers []*healthtest.Server
	var ws []health.Watch
	banner, err := health.NewSendExpect(&health.SendExpectConfig{Expect: "220"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		s := healthtest.NewServer(t, healthtest.Say("220 ready"))
		servers = append(servers, s)
		ws = append(ws, health.Watch{
			ID: fmt.Sprint(i), Target: health.Target{Addr: s.Addr()}, Checker: banner,
			Policy: health.Policy{Interval: 50 * time.Millisecond, Timeout: 5 * time.Second, Rise: 2, Fall: 2},
		})
	}
	m := health.NewMonitor(&health.Config{MaxConcurrent: 3})
	if err := m.Set(ws); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	waitFor := func(state health.State, ids ...int) {
		t.Helper()
		deadline := time.Now().Add(30 * time.Second)
		for _, id := range ids {
			for {
				if st, _ := m.State(fmt.Sprint(id)); st.State == state {
					break
				} else if time.Now().After(deadline) {
					t.Fatalf("watch %d is not %v but %+v", id, state, st)
				}
				time.Sleep(5 * time.Millisecond)
				if err := m.Set(ws); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	waitFor(health.Up, 0, 1, 2, 3, 4, 5, 6, 7)
	servers[0].Down()
	servers[1].Set(healthtest.Say("421 busy"))
	servers[2].Set(healthtest.Close())
	waitFor(health.Down, 0, 1, 2)
	waitFor(health.Up, 3, 4, 5, 6, 7)
	servers[0].Up()
	servers[1].Set(healthtest.Say("220 back"))
	servers[2].Set(healthtest.Say("220 back"))
	waitFor(health.Up, 0, 1, 2, 3, 4, 5, 6, 7)
	for _, w := range m.States() {
		if want := uint64(1); w.ID > "2" && w.Counters.Changes != want {
			t.Errorf("watch %s changed %d times: %+v", w.ID, w.Counters.Changes, w.Last)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
