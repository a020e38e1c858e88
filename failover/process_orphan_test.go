package failover

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// The addresses of a node whose process is gone stay for as long as its partner
// waits for a beat, and longer if the next process goes on or nobody else would
// serve.
func TestAddressesOfANodeWithoutAProcess(t *testing.T) {
	t.Parallel()
	const dead = 300 * time.Millisecond
	for _, tt := range []struct {
		name     string
		role     Role
		relieved bool
		silent   bool
		next     Role // what the next process decides; RoleInit: nothing
		want     time.Duration
	}{
		{"no other process comes", RoleActive, true, false, RoleInit, dead},
		{"another process goes on", RoleActive, true, false, RoleActive, time.Second},
		{"nobody else would serve", RoleActive, false, false, RoleInit, time.Second},
		{"it was no longer active", RoleBackup, true, false, RoleInit, 0},
		{"it was silent before", RoleActive, true, true, RoleInit, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &fakeKeeper{have: []string{"192.0.2.1/32"}}
				owner, err := newAddresses(&AddressesConfig{Addresses: vips("192.0.2.1/32")}, k, k)
				if err != nil {
					t.Fatal(err)
				}
				beat := newBeat(&BeatConfig{}, nil)
				m := beat.member(memberSpec{Node: &Config{DeadAfter: dead}}, owner, callbacks{}, newEventQueue(discard(), nil))
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- m.run(ctx) }()
				m.note(Event{Kind: EventRole, Role: tt.role})
				m.mu.Lock()
				m.relieved = tt.relieved
				m.mu.Unlock()
				began := time.Now()
				m.orphaned(tt.silent)
				m.bury()
				m.lost(errors.New("killed"))
				synctest.Wait()
				if tt.next != RoleInit {
					time.Sleep(dead / 2)
					m.note(Event{Kind: EventRole, Role: tt.next})
				}
				here := func() bool {
					owner.mu.Lock() // of k
					defer owner.mu.Unlock()
					return len(k.have) > 0
				}
				for here() && time.Since(began) < time.Second {
					time.Sleep(time.Millisecond)
					synctest.Wait()
				}
				if got := time.Since(began); got != tt.want {
					t.Errorf("they stay for %v, want %v", got, tt.want)
				}
				beat.finish()
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if here() {
					t.Error("they stay at the end")
				}
			})
		})
	}
}
