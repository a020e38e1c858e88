package userspace

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
)

// withoutDescriptors runs f while the process can open nothing.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// What lacks for one destination lacks for another: no second attempt.
func TestNoRetryForAnErrorOfOurOwn(t *testing.T) {
	a, bb := named(t, "a"), named(t, "b")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(a.addr, 1), dest(bb.addr, 1))
	u := udpService(t, b, "rr", dest(a.addr, 1))
	client := netip.MustParseAddrPort("127.0.0.1:9")
	withoutDescriptors(t, func() {
		if _, _, err := b.services[s.Key].connect(client, s.Key.Addr); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("tcp: got %v, want %v", err, syscall.EMFILE)
		}
		f := (*b.services[u.Key].fronts[0].front.(*udpFrontend))[0]
		f.loop.mu.Lock()
		_, err := f.sessions.get(client, b.now())
		f.loop.mu.Unlock()
		if !errors.Is(err, syscall.EMFILE) {
			t.Errorf("udp: got %v, want %v", err, syscall.EMFILE)
		}
	})
	if k := b.Counters(); k.LocalErrors != 2 || k.ConnectErrors != 0 || k.Retries != 0 {
		t.Errorf("counters %+v, want two errors of our own", k)
	}
	for _, key := range []netip.AddrPort{a.addr, bb.addr} {
		if x := state(t, b, s, key); x.Active+x.Inactive != 0 {
			t.Errorf("%v counts %d active and %d inactive connections", key, x.Active, x.Inactive)
		}
	}
	if got := asks(t, s, 2); got != "ab" && got != "ba" {
		t.Errorf("afterwards asked %s", got)
	}
}
