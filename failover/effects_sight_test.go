package failover_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
)

// watched is a recorder whose addresses others may meddle with.
type watched struct {
	*failovertest.Recorder
	see   func(failover.Sighting)
	fails []error // of the next calls of Watch
	calls int
}

func (w *watched) Watch(ctx context.Context, see func(failover.Sighting)) error {
	w.calls++
	if len(w.fails) > 0 {
		err := w.fails[0]
		w.fails = w.fails[1:]
		return err
	}
	w.see = see
	<-ctx.Done()
	w.see = nil
	return nil
}

var (
	seenAddress = netip.MustParseAddr("192.0.2.100")
	seenMAC     = net.HardwareAddr{2, 0, 0, 0, 0, 9}
	removed     = failover.Sighting{Kind: failover.SightingRemoved, Address: seenAddress, Device: "eth0"}
	claimed     = failover.Sighting{Kind: failover.SightingClaimed, Address: seenAddress, Device: "eth0", MAC: seenMAC}
)

// serving starts a node alone, whose addresses are watched, and lets its plan
// of announcements pass.
func serving(t *testing.T) (*watched, *failover.Node) {
	t.Helper()
	w := &watched{Recorder: new(failovertest.Recorder)}
	n, err := failover.New(&failover.Config{Owner: w, OnEvent: w.OnEvent})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if w.see != nil {
			t.Error("the watch goes on")
		}
	})
	time.Sleep(10 * time.Second)
	synctest.Wait()
	if !n.Status().Serving {
		t.Fatalf("status %+v", n.Status())
	}
	w.Effects()
	w.Events()
	return w, n
}

// told returns the events of one kind and forgets all.
func (w *watched) told(k failover.EventKind) (out []failover.Event) {
	for _, e := range w.Events() {
		if e.Kind == k {
			out = append(out, e)
		}
	}
	return out
}

func TestSightings(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"what is removed is back at once and announced", func(t *testing.T) {
			w, _ := serving(t)
			w.see(removed)
			w.see(removed) // another address in the same sweep
			synctest.Wait()
			if diff := cmp.Diff([]string{"acquire", "announce"}, w.Effects()); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			if got := w.told(failover.EventRemoved); len(got) != 1 || got[0].Address != seenAddress || got[0].Channel != "eth0" || !strings.Contains(got[0].Reason, "put back at once") {
				t.Errorf("events %v", got)
			}
			time.Sleep(10 * time.Second)
			if got := count(w.Effects(), "announce"); got != 5 {
				t.Errorf("%d more announcements, want the rest of the plan", got)
			}
		}},
		{"who removes it all the time is given way, and named", func(t *testing.T) {
			w, n := serving(t)
			begin := time.Now()
			for range 10 * 60 * 10 {
				w.see(removed)
				time.Sleep(100 * time.Millisecond)
			}
			if why := n.Status().AddressError; !strings.Contains(why, "missing here until it is put back at ") {
				t.Errorf("the status says nothing of the addresses that are missing: %q", why)
			}
			repairs, got := count(w.Effects(), "acquire"), w.told(failover.EventRemoved)
			// 3 at once, then after 1, 2, 4, 8, 16 s, and every 30 s; and the
			// slow refresh once a minute.
			if repairs < 20 || repairs > 3+5+20+10 {
				t.Errorf("%d repairs in %v", repairs, time.Since(begin))
			}
			if len(got) < 20 || len(got) > 30 {
				t.Fatalf("%d events", len(got))
			}
			for i, e := range got {
				// In a status it is read later: no time from now.
				if named := strings.Contains(e.Reason, "and is put back after a pause of ") && strings.Contains(e.Reason, "look for a network manager"); named != (i >= 3) {
					t.Errorf("event %d: %v", i, e)
				}
			}
			if last := got[len(got)-1].Reason; !strings.Contains(last, "put back after a pause of 30s") {
				t.Errorf("the last one: %s", last)
			}
			time.Sleep(2 * time.Minute) // in peace
			if why := n.Status().AddressError; why != "" {
				t.Errorf("trouble with addresses that are there: %s", why)
			}
			w.Effects()
			w.Events()
			w.see(removed)
			synctest.Wait()
			if got := w.told(failover.EventRemoved); len(got) != 1 || !strings.Contains(got[0].Reason, "at once") {
				t.Errorf("after some peace: %v", got)
			}
		}},
		{"what cannot be put back is tried again", func(t *testing.T) {
			w, _ := serving(t)
			w.FailWith(errors.New("no such device"))
			w.see(removed)
			time.Sleep(time.Second)
			w.FailWith(nil)
			w.Effects()
			time.Sleep(6 * time.Second)
			if got := count(w.Effects(), "acquire"); got != 1 {
				t.Errorf("%d repairs", got)
			}
			if n := w.Count(failover.EventAddressMended); n != 1 {
				t.Errorf("mended %d times", n)
			}
		}},
		{"a device that is back gets its addresses, and that is no trouble", func(t *testing.T) {
			w, _ := serving(t)
			w.see(failover.Sighting{Kind: failover.SightingRestored, Device: "eth0"})
			synctest.Wait()
			if diff := cmp.Diff([]string{"acquire", "announce"}, w.Effects()); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			if got := w.Events(); len(got) != 0 {
				t.Errorf("events %v", got)
			}
		}},
		{"a duplicate is added again, and told with the cure", func(t *testing.T) {
			w, _ := serving(t)
			w.see(failover.Sighting{Kind: failover.SightingDuplicate, Device: "eth0", Address: seenAddress})
			synctest.Wait()
			if diff := cmp.Diff([]string{"acquire", "announce"}, w.Effects()); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			if got := w.told(failover.EventDuplicate); len(got) != 1 || !strings.Contains(got[0].Reason, "without nodad") {
				t.Errorf("events %v", got)
			}
		}},
		{"a claim is answered at once", func(t *testing.T) {
			w, _ := serving(t)
			w.see(claimed)
			time.Sleep(15 * time.Millisecond)
			if diff := cmp.Diff([]string{"announce"}, w.Effects()); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			got := w.told(failover.EventClaimed)
			if len(got) != 1 || got[0].Address != seenAddress || got[0].MAC.String() != seenMAC.String() || got[0].Channel != "eth0" {
				t.Fatalf("events %v", got)
			}
			const want = "address-claimed address 192.0.2.100 channel eth0 mac 02:00:00:00:00:09: 02:00:00:00:00:09 told the network that it has 192.0.2.100"
			if s := got[0].String(); !strings.HasPrefix(s, want) {
				t.Errorf("it reads %q", s)
			}
		}},
		{"claims without end are answered and told at a bounded rate", func(t *testing.T) {
			w, _ := serving(t)
			for i := range 60 * 1000 {
				s := claimed
				s.MAC = net.HardwareAddr{2, 0, 0, 0, byte(i >> 8), byte(i)}
				w.see(s)
				time.Sleep(time.Millisecond)
			}
			if got := count(w.Effects(), "announce"); got < 60 || got > 61*4 {
				t.Errorf("%d announcements in a minute, want four a second at most", got)
			}
			if got := len(w.told(failover.EventClaimed)); got < 30 || got > 61 {
				t.Errorf("%d events in a minute, want one a second at most", got)
			}
			for range 60 * 100 {
				w.see(claimed)
				time.Sleep(10 * time.Millisecond)
			}
			if got := len(w.told(failover.EventClaimed)); got != 1 {
				t.Errorf("%d events of one claimant in a minute", got)
			}
			// The last claim is answered too.
			w.Effects()
			time.Sleep(time.Second)
			if got := count(w.Effects(), "announce"); got == 0 {
				t.Error("the last word is the other one's")
			}
		}},
		{"a neighbour that does not believe is told again", func(t *testing.T) {
			w, _ := serving(t)
			w.see(failover.Sighting{Kind: failover.SightingUnbelieved, Device: "eth0", Address: seenAddress, Neighbour: netip.MustParseAddr("192.0.2.254")})
			time.Sleep(15 * time.Millisecond)
			if diff := cmp.Diff([]string{"announce"}, w.Effects()); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			if got := w.told(failover.EventUnbelieved); len(got) != 1 || !strings.Contains(got[0].Reason, "192.0.2.254 answers our own address") {
				t.Errorf("events %v", got)
			}
		}},
		{"a rival on two devices is told on both, once a minute on each", func(t *testing.T) {
			w, _ := serving(t)
			for range 120 {
				for i, device := range []string{"eth0", "eth1"} {
					w.see(failover.Sighting{Kind: failover.SightingClaimed, Device: device, Address: seenAddress, MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(i)}})
				}
				time.Sleep(500 * time.Millisecond)
			}
			devices := make(map[string]int)
			for _, e := range w.told(failover.EventClaimed) {
				devices[e.Channel]++
			}
			if diff := cmp.Diff(map[string]int{"eth0": 1, "eth1": 1}, devices); diff != "" {
				t.Errorf("events by device (-want +got):\n%s", diff)
			}
		}},
		{"a claim is no news when the role is lost just after it", func(t *testing.T) {
			w, n := serving(t)
			w.see(claimed)
			n.SetFault("test")
			time.Sleep(time.Second)
			if got := w.told(failover.EventClaimed); len(got) != 0 || count(w.Effects(), "announce") != 0 {
				t.Errorf("events %v, or an announcement", got)
			}
		}},
		{"the rightful owner's announcements are no news to a node that does not serve", func(t *testing.T) {
			w, n := serving(t)
			n.SetFault("test")
			synctest.Wait()
			w.Effects()
			w.Events()
			w.see(claimed)
			w.see(removed)
			synctest.Wait()
			time.Sleep(time.Second)
			if e, a := w.Events(), w.Effects(); len(e)+len(a) != 0 {
				t.Errorf("events %v, effects %v", e, a)
			}
			n.SetFault("")
			time.Sleep(10 * time.Second)
			if got := count(w.Effects(), "acquire"); got != 1 {
				t.Errorf("%d acquisitions: what was seen before counts", got)
			}
		}},
		{"a watch that breaks is begun again", func(t *testing.T) {
			w := &watched{Recorder: new(failovertest.Recorder), fails: []error{errors.New("broken"), errors.New("broken"), errors.ErrUnsupported}}
			n, err := failover.New(&failover.Config{Owner: w, OnEvent: w.OnEvent})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- n.Run(ctx) }()
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := w.Count(failover.EventAddressTrouble); n != 2 || w.calls != 3 {
				t.Errorf("%d troubles, %d watches", n, w.calls)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(tt.run))
	}
}
