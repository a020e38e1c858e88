package sched

import (
	"math"
	"net/netip"
	"testing"
	"time"
)

// homes are destinations for lblc and lblcr.
func home(i int) Flow {
	a := netip.AddrFrom4([4]byte{172, byte(i >> 16), byte(i >> 8), byte(i)})
	return Flow{Service: netip.AddrPortFrom(a, 80)}
}

func load(s *Server, active, inactive int32) { s.cell.load.Store(pack(active, inactive)) }

func TestLBLCKeepsAnAddressAtItsServer(t *testing.T) {
	s := mustNew(t, "lblc", nil)
	a := mustAdd(t, s, 'a', ServerConfig{Weight: 1})
	b := mustAdd(t, s, 'b', ServerConfig{Weight: 1, Upper: 50})
	pick := func(why string, f Flow, want string) {
		t.Helper()
		if got := nameOf(s.Pick(f)); got != want {
			t.Errorf("%s: %s, want %s", why, got, want)
		}
	}
	pick("a new address goes as with wlc, first wins", home(1), "b")
	load(b, 1, 30)
	pick("no more active ones than the weight", home(1), "b")
	pick("another address goes as with wlc", home(2), "a")
	load(b, 9, 0)
	load(a, 1, 0)
	pick("more, but no other is less than half full", home(1), "b")
	load(a, 0, 40)
	pick("more, and the other is", home(1), "a")
	load(b, 0, 0)
	pick("and so it stays", home(1), "a")
	for range 50 {
		b.Opened()
	}
	pick("the memory of another address is its own", home(3), "a")
	load(a, 0, 99)
	pick("an overloaded one is passed over by a new address", home(4), "a")
	if err := s.Edit(a, ServerConfig{Weight: 0}); err != nil {
		t.Fatal(err)
	}
	pick("a quiesced one loses its addresses, but there is no other", home(1), "-")
	if err := s.Edit(b, ServerConfig{Weight: 1}); err != nil {
		t.Fatal(err)
	}
	pick("an edit has ended the overload", home(1), "b")
	if err := s.Edit(a, ServerConfig{Weight: 1}); err != nil {
		t.Fatal(err)
	}
	// home(2) is still with a, although a has been quiesced meanwhile.
	pick("a quiesced one gets them back if nobody asked", home(2), "a")
}

// The kernel does not ask for the overload of the server that it remembers.
func TestLBLCKeepsAnAddressAtAnOverloadedServer(t *testing.T) {
	s := mustNew(t, "lblc", nil)
	mustAdd(t, s, 'a', ServerConfig{Weight: 9})
	b := mustAdd(t, s, 'b', ServerConfig{Weight: 9, Upper: 1})
	s.Pick(home(1))
	b.Opened()
	if got := nameOf(s.Pick(home(1))); got != "b" || !b.Overloaded() {
		t.Errorf("%s, want b, overloaded %t", got, b.Overloaded())
	}
	if got := nameOf(s.PickOther(home(1), b)); got != "a" {
		t.Errorf("avoiding b: %s", got)
	}
	if got := nameOf(s.Pick(home(1))); got != "a" {
		t.Errorf("after that: %s, want a", got)
	}
}

func TestLBLCAndRemovedServers(t *testing.T) {
	for _, name := range []string{"lblc", "lblcr"} {
		s := mustNew(t, name, nil)
		mustAdd(t, s, 'a', ServerConfig{Weight: 1})
		b := mustAdd(t, s, 'b', ServerConfig{Weight: 1})
		s.Pick(home(1))
		s.Pick(home(2))
		if err := s.Remove(b); err != nil {
			t.Fatal(err)
		}
		if got := nameOf(s.Pick(home(1))); got != "a" {
			t.Errorf("%s: without b: %s", name, got)
		}
		mustAdd(t, s, 'c', ServerConfig{Weight: 1})
		mustAdd(t, s, 'b', ServerConfig{Weight: 1})
		// To the kernel the returned b is the one that home(2) went to; a
		// has home(1) now, and with lblcr both: the newest of the set wins.
		if got := nameOf(s.Pick(home(1))) + nameOf(s.Pick(home(2))); got != "ab" {
			t.Errorf("%s: with b again: %s, want ab", name, got)
		}
	}
}

func TestLBLCRKeepsASetOfServers(t *testing.T) {
	s := mustNew(t, "lblcr", nil)
	a := mustAdd(t, s, 'a', ServerConfig{Weight: 1})
	b := mustAdd(t, s, 'b', ServerConfig{Weight: 1})
	c := mustAdd(t, s, 'c', ServerConfig{Weight: 1})
	var now time.Duration
	pick := func(why, want string) {
		t.Helper()
		f := home(1)
		f.Now = now
		if got := nameOf(s.Pick(f)); got != want {
			t.Errorf("%s: %s, want %s", why, got, want)
		}
	}
	set := func(want string) {
		t.Helper()
		got := ""
		for _, s := range (*s.bound.Load().algorithm.(*lblcr).cache.slot(home(1).Service.Addr())).set {
			got += nameOf(s)
		}
		if got != want {
			t.Errorf("the set is %q, want %q", got, want)
		}
	}
	load(c, 1, 0)
	pick("a new address goes as with wlc, first wins", "b")
	set("b")
	load(b, 2, 0)
	pick("b is crowded, a is empty: a joins", "a")
	set("ab")
	load(a, 0, 3)
	load(b, 0, 2)
	load(c, 0, 0)
	pick("the least loaded of the set, c is not asked", "b")
	load(a, 2, 0)
	load(b, 2, 1)
	pick("all of the set are crowded: c joins", "c")
	set("cab")
	// Nobody asking for all that time would end the entry itself.
	now = 12 * time.Hour
	pick("half a day later", "c")
	now = 24 * time.Hour
	pick("the set is not old enough to shrink", "c")
	set("cab")
	now++
	load(a, 0, 9)
	load(b, 0, 5)
	load(c, 0, 7)
	pick("b is least loaded; a, the most loaded, leaves", "b")
	set("cb")
	now += 12 * time.Hour
	pick("half a day later", "b")
	now += 12 * time.Hour
	pick("one at a time", "b")
	set("cb")
	now++
	if err := s.Edit(c, ServerConfig{}); err != nil {
		t.Fatal(err)
	}
	pick("the most loaded of those with a weight, which was picked just now", "b")
	set("c")
	pick("only a quiesced one is left: wlc, b joins", "b")
	set("bc")
}

func cacheOf(s *Scheduler) *cache {
	switch a := s.bound.Load().algorithm.(type) {
	case *lblc:
		return &a.cache
	case *lblcr:
		return &a.cache
	}
	return nil
}

func TestCachesForgetAfterTheExpiration(t *testing.T) {
	for _, name := range []string{"lblc", "lblcr"} {
		s := mustNew(t, name, nil)
		mustAdd(t, s, 'a', ServerConfig{Weight: 1})
		at := func(i int, now time.Duration) int {
			f := home(i)
			f.Now = now
			s.Pick(f)
			return cacheOf(s).chained
		}
		const begin = 7 * time.Hour
		// The look after 24 hours is the 47th whole one, 24:03:50 after.
		const whole = cacheFullEvery * cacheInterval
		if n := at(1, begin); n != 1 {
			t.Errorf("%s: %d entries, want 1", name, n)
		}
		if n := at(2, begin+47*whole-1); n != 2 {
			t.Errorf("%s: %d entries a moment before, want 2", name, n)
		}
		if n := at(2, begin+47*whole); n != 1 {
			t.Errorf("%s: %d entries after 24 hours, want 1", name, n)
		}
		// Five minutes later than a whole look it waits for the next.
		at(3, begin+47*whole+5*time.Minute)
		if n := at(2, begin+94*whole); n != 2 {
			t.Errorf("%s: %d entries after a little less than 24 hours, want 2", name, n)
		}
		if n := at(2, begin+95*whole); n != 1 {
			t.Errorf("%s: %d entries half an hour later, want 1", name, n)
		}
		if n := at(4, time.Hour); n != 2 {
			t.Errorf("%s: %d entries when time goes back, want 2", name, n)
		}
		// No jump takes long, or overflows.
		if n := at(5, math.MaxInt64); n != 1 {
			t.Errorf("%s: %d entries at the end of time, want 1", name, n)
		}
		if n := at(6, math.MinInt64); n != 2 {
			t.Errorf("%s: %d entries before the beginning, want 2", name, n)
		}
	}
}

func TestCachesDropIdleEntriesWhenTheyAreTooMany(t *testing.T) {
	for _, name := range []string{"lblc", "lblcr"} {
		s := mustNew(t, name, nil)
		mustAdd(t, s, 'a', ServerConfig{Weight: 1})
		for i := range cacheMax + 300 {
			s.Pick(home(i))
		}
		c := cacheOf(s)
		at := func(now time.Duration) int {
			f := home(0)
			f.Now = now
			s.Pick(f)
			return c.chained
		}
		if n := at(6*cacheInterval - 1); n != cacheMax+300 {
			t.Errorf("%s: %d entries before the first look after six minutes, want %d", name, n, cacheMax+300)
		}
		// 4/3 of 300, and the rest of the last bucket.
		if n := at(6 * cacheInterval); n > cacheMax-100 || n < cacheMax-200 {
			t.Errorf("%s: %d entries after six minutes, want not many less than %d", name, n, cacheMax-100)
		}
		if c.entries != c.chained {
			t.Errorf("%s: counted %d entries, has %d", name, c.entries, c.chained)
		}
	}
}

func TestCachesAreBounded(t *testing.T) {
	for _, name := range []string{"lblc", "lblcr"} {
		for rules, want := range map[Rules]int{OlderRules: 16 * 64, NewerRules: 64 * 3 / 2} {
			s := mustNew(t, name, &Options{Rules: rules})
			mustAdd(t, s, 'a', ServerConfig{Weight: 1})
			c := cacheOf(s)
			c.max = 64
			for i := range 2000 {
				if s.Pick(home(i)) == nil {
					t.Fatal("no server for an address that is not remembered")
				}
			}
			if c.chained != want {
				t.Errorf("%s, %v rules: %d entries, want %d", name, rules, c.chained, want)
			}
		}
	}
}

// The older kernels forget to count a replaced entry of lblc out.
func TestOlderLBLCCountsReplacedEntries(t *testing.T) {
	for rules, want := range map[Rules]int{OlderRules: 11, NewerRules: 1} {
		s := mustNew(t, "lblc", &Options{Rules: rules})
		a := mustAdd(t, s, 'a', ServerConfig{Weight: 1})
		b := mustAdd(t, s, 'b', ServerConfig{Weight: 1})
		s.Pick(home(1))
		for i := range 10 {
			load(a, int32(i%2*9), 0)
			load(b, int32((i+1)%2*9), 0)
			s.Pick(home(1))
		}
		if c := cacheOf(s); c.entries != want || c.chained != 1 {
			t.Errorf("%v: counted %d, has %d, want %d and 1", rules, c.entries, c.chained, want)
		}
		// And what is left of the count makes no jump in time long.
		c := cacheOf(s)
		c.max = 4
		f := home(2)
		f.Now = math.MaxInt64
		s.Pick(f)
	}
}

func TestLBLCRForgetsRemovedServers(t *testing.T) {
	s := mustNew(t, "lblcr", nil)
	for i := range 2000 {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 80)
		d, err := s.Add(a, ServerConfig{Weight: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.Pick(home(1)) != d {
			t.Fatal("the only server was not picked")
		}
		if err := s.Remove(d); err != nil {
			t.Fatal(err)
		}
	}
	if n := len((*cacheOf(s).slot(home(1).Service.Addr())).set); n > cacheSpare+1 {
		t.Errorf("%d removed servers are remembered for one address", n)
	}
}
