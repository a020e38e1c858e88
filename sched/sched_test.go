package sched

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Servers in tests are named by letters: a is 10.0.0.1, b is 10.0.0.2, ...
func addrOf(name byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, name - 'a' + 1}), 80)
}

func nameOf(s *Server) string {
	if s == nil {
		return "-"
	}
	return string(rune('a' + s.Addr().Addr().As4()[3] - 1))
}

func mustNew(t testing.TB, name string, opts *Options) *Scheduler {
	t.Helper()
	s, err := New(name, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustAdd(t testing.TB, s *Scheduler, name byte, c ServerConfig) *Server {
	t.Helper()
	d, err := s.Add(addrOf(name), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// play runs a script of words against a scheduler and returns the picks:
//
//	+a3    add server a of weight 3
//	a=5    edit a's weight to 5
//	-a     remove a
//	5      pick five times
//	!a     pick once, avoiding a
//	a/9,2  give a nine active and two inactive connections
func play(t *testing.T, s *Scheduler, script string) string {
	t.Helper()
	servers := map[byte]*Server{}
	var picks strings.Builder
	for _, word := range strings.Fields(script) {
		var n, m int
		switch {
		case word[0] == '+':
			fmt.Sscan(word[2:], &n)
			servers[word[1]] = mustAdd(t, s, word[1], ServerConfig{Weight: n})
		case word[0] == '-':
			if err := s.Remove(servers[word[1]]); err != nil {
				t.Fatal(err)
			}
		case word[0] == '!':
			picks.WriteString(nameOf(s.PickOther(Flow{}, servers[word[1]])))
		case len(word) > 1 && word[1] == '=':
			fmt.Sscan(word[2:], &n)
			if err := s.Edit(servers[word[0]], ServerConfig{Weight: n}); err != nil {
				t.Fatal(err)
			}
		case len(word) > 1 && word[1] == '/':
			if _, err := fmt.Sscanf(word[2:], "%d,%d", &n, &m); err != nil {
				t.Fatal(err)
			}
			servers[word[0]].cell.load.Store(pack(int32(n), int32(m)))
		default:
			if _, err := fmt.Sscan(word, &n); err != nil {
				t.Fatalf("word %q: %v", word, err)
			}
			for range n {
				picks.WriteString(nameOf(s.Pick(Flow{})))
			}
		}
	}
	return picks.String()
}

// The vectors below are derived by hand from the rules; each comment is the
// derivation. The list is the newest first: after +a +b +c it is c b a.
func TestPicksDerivedByHand(t *testing.T) {
	tests := []struct {
		name, sched, script, want string
		rules                     Rules
	}{
		// The pointer starts at the head place, so the first pick is the
		// newest; then round and round.
		{"rr goes from the newest to the oldest", "rr", "+a1 +b1 +c1 7", "cbacbac", OlderRules},
		{"rr reads no weight but zero", "rr", "+a1 +b100 +c0 4", "baba", OlderRules},
		{"rr without a server", "rr", "2", "--", OlderRules},
		{"rr with quiesced servers only", "rr", "+a0 +b0 2", "--", OlderRules},
		{"rr with one server", "rr", "+a1 3", "aaa", OlderRules},
		// c b a, pointer at b. Deleting b moves it back to c: next is a.
		{"rr deletes the current server", "rr", "+a1 +b1 +c1 2 -b 3", "cb" + "aca", OlderRules},
		// Pointer at c, the first: deleting it moves back to the head place.
		{"rr deletes the current and first server", "rr", "+a1 +b1 +c1 1 -c 3", "c" + "bab", OlderRules},
		// Pointer at b; d is put in front: a comes first, then d.
		{"rr adds in front of the current server", "rr", "+a1 +b1 +c1 2 +d1 3", "cb" + "adc", OlderRules},
		// Pointer at c; b quiesced is passed over, and is back later.
		{"rr quiesces and returns", "rr", "+a1 +b1 +c1 1 b=0 3 b=1 3", "c" + "aca" + "cba", OlderRules},
		// The avoided server loses its turn, nothing else moves.
		{"rr avoids one", "rr", "+a1 +b1 +c1 !c 2 !c", "b" + "ac" + "b", OlderRules},
		{"rr avoids the only one", "rr", "+a1 !a 1", "-a", OlderRules},

		// +a4: di 4, mw 4-3=1, cw 1 (was 0). +b2: di 2, mw 4-1=3; cw 1 fits:
		// 1/2*2+1 = 1. List b a. Walk at 1: b a. End: 1-2<=0, cw 3: a (b<3).
		// End: cw 1: b a; cw 3: a ...
		{"wrr keeps the level left by adds", "wrr", "+a4 +b2 7", "ba" + "a" + "ba" + "a" + "b", OlderRules},
		// The other way: +a2: di 2 mw 1 cw 1. +b4: di 2 mw 3 cw 1. List b a.
		{"wrr with the heavy one newest", "wrr", "+a2 +b4 6", "ba" + "b" + "ba" + "b", OlderRules},
		// a3 alone: di 3 mw 1 cw 1. +b2: di 1 mw 3, cw stays 1 (di = 1).
		// +c1: di 1 mw 3 cw 1. c b a at 1: c b a; cw 3: a; 2: b a; 1: c b a.
		{"wrr 3 2 1", "wrr", "+a3 +b2 +c1 9", "cba" + "a" + "ba" + "cba", OlderRules},
		// 6 4 2 is 3 2 1 times two. a6: di 6 mw 1 cw 1; b4: di 2 mw 5 cw 1;
		// c2: di 2 mw 5 cw 1. cba at 1; 5: a; 3: b a; 1: c b a.
		{"wrr divides by the greatest common divisor", "wrr", "+a6 +b4 +c2 9", "cba" + "a" + "ba" + "cba", OlderRules},
		// Equal weights 5: di 5, mw 1: plain rounds.
		{"wrr with equal weights", "wrr", "+a5 +b5 +c5 6", "cbacba", OlderRules},
		// c0 does not count for di (2) and is never picked.
		{"wrr with a quiesced server", "wrr", "+a4 +b2 +c0 6", "ba" + "a" + "ba" + "a", OlderRules},
		{"wrr with quiesced servers only", "wrr", "+a0 +b0 2", "--", OlderRules},
		// b a: pick b; then the edit puts the mark at the head: b again.
		// di 1 (3 and 2): cw stays 1, mw 3. b a, then 3: a, 2: b a.
		{"wrr begins anew after an edit", "wrr", "+a4 +b2 1 a=3 6", "b" + "ba" + "a" + "ba" + "b", OlderRules},
		// 3 2 1 after "cba a" cw is 3. Deleting the heaviest: mw 2, cw 3>2
		// becomes 2. List c b: b; 1: c b; 2: b.
		{"wrr deletes the heaviest", "wrr", "+a3 +b2 +c1 4 -a 4", "cbaa" + "b" + "cb" + "b", OlderRules},
		// All quiesced: mw 0, cw 1>0 becomes 0. Then a2: di 2 mw 1, cw 0
		// becomes 1.
		{"wrr wakes from nothing", "wrr", "+a1 a=0 1 a=2 2", "-" + "aa", OlderRules},
		// Level 4 (a at 4; di 1: 4 and 3), list b a: "ba" at 1, then 4: a.
		// b=2: di 2 mw 3; cw 4>3 becomes 3. a; 1: b a; 3: a.
		{"wrr fits the level to a new divisor", "wrr", "+a4 +b3 3 b=2 4", "baa" + "a" + "ba" + "a", OlderRules},
		// List b a, weights 2 1. +a1: cw 1; +b2: di 1 mw 2 cw 1.
		// Avoid b: a at 1. Then the end, cw 2: b; 1: b a.
		{"wrr avoids one", "wrr", "+a1 +b2 !b 3", "a" + "bba", OlderRules},
		// b a at 1: b. Avoiding a, the end comes and cw is 2: b. Then b a
		// are left at 2 (a is too light) and at 1: b a.
		{"wrr avoids the tail", "wrr", "+a1 +b2 1 !a 2", "b" + "b" + "ba", OlderRules},
		{"wrr avoids the only one", "wrr", "+a7 !a 2", "-aa", OlderRules},

		// Overheads c 256, b 5, a 0 -> a; all equal -> the first, c.
		{"lc picks the least, first wins", "lc", "+a1 +b1 +c9 1 c/1,0 1 b/0,5 1 a/0,5 1", "c" + "b" + "a" + "b", OlderRules},
		// One active (256) is more than 255 inactive and less than 257; at
		// 256 both are equal and the first in the list, b, wins.
		{"lc weighs an active as 256 inactive ones", "lc", "+a1 +b1 b/1,0 a/0,255 1 a/0,256 1 a/0,257 1", "a" + "b" + "b", OlderRules},
		// Newer rules: an active one is 257; 256 inactive are less.
		{"lc by the newer rules", "lc", "+a1 +b1 b/1,0 a/0,256 1 a/0,257 1", "a" + "b", NewerRules},
		{"lc passes over weight zero", "lc", "+a1 +b0 a/9,9 1", "a", OlderRules},
		{"lc avoids the least", "lc", "+a1 +b1 a/9,9 !b", "a", OlderRules},
		{"lc without a server", "lc", "1", "-", OlderRules},

		// No connections: 0*w > 0*w never holds, the first stays.
		{"wlc idle takes the newest", "wlc", "+a1 +b1 +c1 2", "cc", OlderRules},
		// b 256/1, a 512/3: 256*3=768 > 512*1: a. a 768/3: 768>768 no: b.
		{"wlc compares by weight, first wins", "wlc", "+a3 +b1 b/1,0 a/2,0 1 a/3,0 1", "a" + "b", OlderRules},
		// b 1 inactive of weight 1, a 3 of weight 3: tie, b; b 1, a 2: a.
		{"wlc counts inactive ones", "wlc", "+a3 +b1 b/0,1 a/0,3 1 a/0,2 1", "b" + "a", OlderRules},
		// 8,000,000 active: 256*8e6 = 2.048e9 fits 31 bits; times a weight
		// of 2^31-1 needs 64. b: 2.048e9/1, a: 2.048e9/2147483647 -> a.
		{"wlc multiplies in 64 bits", "wlc", "+a2147483647 +b1 a/8000000,0 b/8000000,0 1", "a", OlderRules},
		// 2^23 active: 256*2^23 = 2^31 is -2^31 in 32 bits: looks idle.
		{"overhead wraps in 32 bits", "lc", "+a1 +b1 a/8388608,0 1", "a", OlderRules},
		{"wlc never takes weight zero", "wlc", "+a0 +b1 b/9,9 2", "bb", OlderRules},
		{"wlc starts at the first eligible", "wlc", "+a1 +b0 1", "a", OlderRules},
		{"wlc avoids the first", "wlc", "+a1 +b1 a/5,0 !b", "a", OlderRules},

		// Idle: b 1/1, a 1/3: 1*3 > 1*1, a. a 2/3: 3 > 2, a. a 3/3: 3 > 3
		// does not hold, b.
		{"sed counts the connection to come", "sed", "+a3 +b1 1 a/1,0 1 a/2,0 1", "a" + "a" + "b", OlderRules},
		{"sed does not see inactive ones", "sed", "+a3 +b1 a/0,900 1", "a", OlderRules},
		{"sed without a server", "sed", "+a0 1", "-", OlderRules},
		// a has 1/3, b 2/1 of the best delay, but b is idle and comes first.
		{"nq takes the first idle one", "nq", "+a3 +b1 1", "b", OlderRules},
		{"nq takes an idle one of the smallest weight", "nq", "+a1 +b9 b/1,0 1", "a", OlderRules},
		// b 2/1, a 2/3: 2*3 > 2*1, a.
		{"nq goes as sed when none is idle", "nq", "+a3 +b1 b/1,0 a/1,0 1", "a", OlderRules},
		{"nq does not see inactive ones", "nq", "+a1 +b1 b/0,5 1", "b", OlderRules},
		{"nq avoids the idle one", "nq", "+a1 +b1 a/5,0 !b", "a", OlderRules},
		// c b a with 1 3 3: b is the first of the heaviest.
		{"fo takes the heaviest, first wins", "fo", "+a3 +b3 +c1 2 b=0 1 a=0 1 c=0 1", "bb" + "a" + "c" + "-", OlderRules},
		{"fo reads no connections", "fo", "+a1 +b2 b/900,900 1 !b", "b" + "a", OlderRules},
		// a takes while it has at most 2 active ones, then b while 1.
		{"ovf flows over at more than the weight", "ovf", "+a2 +b1 1 a/2,0 1 a/3,0 1 b/2,0 1", "a" + "a" + "b" + "-", OlderRules},
		{"ovf does not see inactive ones", "ovf", "+a2 +b1 a/0,9 1", "a", OlderRules},
		{"ovf with equal weights, first wins", "ovf", "+a2 +b2 +c0 1", "b", OlderRules},
		{"none picks nothing", "none", "+a1 2", "--", OlderRules},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := mustNew(t, tt.sched, &Options{Rules: tt.rules})
			if diff := cmp.Diff(tt.want, play(t, s, tt.script)); diff != "" {
				t.Errorf("%s: %q (-want +got):\n%s", tt.sched, tt.script, diff)
			}
		})
	}
}

func TestUseKeepsServersAndBindsAnew(t *testing.T) {
	s := mustNew(t, "rr", nil)
	if got := play(t, s, "+a4 +b2 1"); got != "b" {
		t.Fatalf("rr: picked %q", got)
	}
	if err := s.Use("rr"); err != nil {
		t.Fatal(err)
	}
	if got := play(t, s, "1"); got != "a" {
		t.Errorf("the same name again: picked %q, want the state kept and a", got)
	}
	// Bound over the finished list wrr starts at the top level, 3: a first.
	// The replay of the adds would have left 1.
	if err := s.Use("wrr"); err != nil {
		t.Fatal(err)
	}
	if got := play(t, s, "4"); got != "abaa" {
		t.Errorf("wrr bound later: picked %q, want abaa", got)
	}
	if err := s.Use("nope"); !errors.Is(err, ErrUnknownScheduler) || s.Name() != "wrr" {
		t.Errorf("Use(nope) = %v with %q in use", err, s.Name())
	}
}

func TestErrors(t *testing.T) {
	_, err := New("wrong", nil)
	if !errors.Is(err, ErrUnknownScheduler) {
		t.Fatalf("New(wrong) = %v", err)
	}
	if want := `unknown scheduler "wrong": known are ` +
		"dh, fo, lblc, lblcr, lc, mh, none, nq, ovf, rr, sed, sh, twos, wlc, wrr"; err.Error() != want {
		t.Errorf("New(wrong) = %q, want %q", err, want)
	}
	if _, err := New("rr", &Options{Rules: 9}); err == nil {
		t.Error("New with unknown rules succeeded")
	}
	s := mustNew(t, "rr", nil)
	a := mustAdd(t, s, 'a', ServerConfig{Weight: 1})
	if _, err := s.Add(addrOf('a'), ServerConfig{}, nil); !errors.Is(err, ErrServerExists) {
		t.Errorf("second add: %v", err)
	}
	for _, c := range []ServerConfig{{Weight: -1}, {Weight: MaxWeight + 1}, {Lower: 1}, {Upper: 5, Lower: 6}} {
		if _, err := s.Add(addrOf('b'), c, nil); err == nil {
			t.Errorf("add of %+v succeeded", c)
		}
		if err := s.Edit(a, c); err == nil {
			t.Errorf("edit to %+v succeeded", c)
		}
	}
	if err := mustNew(t, "rr", nil).Edit(a, ServerConfig{}); !errors.Is(err, ErrServerNotFound) {
		t.Errorf("edit by another scheduler: %v", err)
	}
	if err := s.Remove(a); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(a); !errors.Is(err, ErrServerNotFound) {
		t.Errorf("second remove: %v", err)
	}
	if err := s.Edit(a, ServerConfig{}); !errors.Is(err, ErrServerNotFound) {
		t.Errorf("edit after remove: %v", err)
	}
}

func TestRulesText(t *testing.T) {
	for _, r := range []Rules{OlderRules, NewerRules} {
		text, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Rules
		if err := back.UnmarshalText(text); err != nil || back != r {
			t.Errorf("%v became %v, %v", r, back, err)
		}
	}
	var r Rules
	if err := r.UnmarshalText([]byte("new")); err == nil {
		t.Error("UnmarshalText(new) succeeded")
	}
	if got := Rules(7).String(); got != "rules(7)" {
		t.Errorf("String = %q", got)
	}
}

func TestServersAreListedNewestFirst(t *testing.T) {
	s := mustNew(t, "wlc", nil)
	play(t, s, "+a1 +b1 +c1 b=7")
	var got string
	for _, d := range s.Servers() {
		got += nameOf(d)
	}
	if got != "cba" {
		t.Errorf("Servers = %q, want cba", got)
	}
}

func TestReaddedServerKeepsItsConnections(t *testing.T) {
	for _, rules := range []Rules{OlderRules, NewerRules} {
		s := mustNew(t, "lc", &Options{Rules: rules})
		mustAdd(t, s, 'a', ServerConfig{Weight: 1})
		old := mustAdd(t, s, 'b', ServerConfig{Weight: 1, Upper: 2})
		old.Opened()
		old.Activated()
		old.Opened()
		if err := s.Remove(old); err != nil {
			t.Fatal(err)
		}
		b := mustAdd(t, s, 'b', ServerConfig{Weight: 1, Upper: 2})
		if b == old || b.Active() != 1 || b.Inactive() != 1 || !b.Overloaded() {
			t.Errorf("%v: added again with %d/%d, overloaded %t", rules, b.Active(), b.Inactive(), b.Overloaded())
		}
		// Its connections end: those that were opened through the old value
		// are the same ones.
		old.Closed(true)
		old.Closed(false)
		if b.Active() != 0 || b.Inactive() != 0 || b.Overloaded() {
			t.Errorf("%v: after the end %d/%d, overloaded %t", rules, b.Active(), b.Inactive(), b.Overloaded())
		}
		if got := nameOf(s.Pick(Flow{})); got != "b" {
			t.Errorf("%v: picked %s, want b", rules, got)
		}
	}
}

func TestRemovedServersAreForgotten(t *testing.T) {
	s := mustNew(t, "wlc", nil)
	for range 100 {
		for c := byte('a'); c <= 'z'; c++ {
			d := mustAdd(t, s, c, ServerConfig{Weight: 1})
			d.Opened()
			if err := s.Remove(d); err != nil {
				t.Fatal(err)
			}
			d.Closed(false)
		}
	}
	if n := len(s.gone); n > 1 {
		t.Errorf("%d removed servers without connections are kept", n)
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	for _, name := range Names() {
		s := mustNew(t, name, nil)
		play(t, s, "+a3 +b2 +c1")
		if n := testing.AllocsPerRun(100, func() {
			d := s.Pick(Flow{Client: addrOf('x'), Service: addrOf('y')})
			if d == nil {
				return
			}
			d.Opened()
			d.Activated()
			d.Deactivated()
			d.Closed(false)
		}); n != 0 {
			t.Errorf("%s: %v allocations a pick", name, n)
		}
	}
}

// Picks at once are those of some order of them: as many of each server as
// one after the other. For rr that holds while quiesced servers come and go.
func TestConcurrentPicksTakeTurns(t *testing.T) {
	for _, name := range []string{"rr", "wrr"} {
		s := mustNew(t, name, nil)
		sequential := mustNew(t, name, nil)
		for i, weight := range []int{3, 1, 4, 1, 5} {
			mustAdd(t, s, byte('a'+i), ServerConfig{Weight: weight})
			mustAdd(t, sequential, byte('a'+i), ServerConfig{Weight: weight})
		}
		const pickers, picks = 8, 701
		var counts [pickers]map[string]int
		var wg sync.WaitGroup
		for p := range counts {
			counts[p] = map[string]int{}
			wg.Go(func() {
				for range picks {
					counts[p][nameOf(s.Pick(Flow{}))]++
				}
			})
		}
		if name == "rr" {
			wg.Go(func() {
				for i := range 300 {
					d, err := s.Add(addrOf(byte('k'+i%10)), ServerConfig{}, nil)
					if err != nil {
						t.Error(err)
						return
					}
					if err := s.Remove(d); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		want, got := map[string]int{}, map[string]int{}
		for range pickers * picks {
			want[nameOf(sequential.Pick(Flow{}))]++
		}
		for _, c := range counts {
			for name, n := range c {
				got[name] += n
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: picks a server (-one after the other +at once):\n%s", name, diff)
		}
		// The mark, too, is where it would be.
		for range 20 {
			if want, got := nameOf(sequential.Pick(Flow{})), nameOf(s.Pick(Flow{})); want != got {
				t.Errorf("%s: then %s, want %s", name, got, want)
			}
		}
	}
}

// With the heaviest server overloaded, wrr goes to the level of the others at
// once: one round for each level would take minutes here.
func TestWRRPassesOverLevelsThatNobodyReaches(t *testing.T) {
	for step, light := range map[int]int{1: 5, 3: 9, 1 << 20: 1 << 20} {
		s := mustNew(t, "wrr", nil)
		mustAdd(t, s, 'c', ServerConfig{Weight: step})
		mustAdd(t, s, 'b', ServerConfig{Weight: light})
		a := mustAdd(t, s, 'a', ServerConfig{Weight: MaxWeight / step * step, Upper: 1})
		a.Opened()
		got := map[string]int{}
		for range 12 * (light + step) / step {
			got[nameOf(s.Pick(Flow{}))]++
		}
		if diff := cmp.Diff(map[string]int{"b": 12 * light / step, "c": 12}, got); diff != "" {
			t.Errorf("weights %d and %d, picks (-want +got):\n%s", light, step, diff)
		}
	}
}

// Counts must come out even, and the overload mark must not stick, whatever
// the goroutines do at once.
func TestConcurrentUse(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			s := mustNew(t, name, nil)
			var servers []*Server
			for c := byte('a'); c < 'e'; c++ {
				servers = append(servers, mustAdd(t, s, c, ServerConfig{Weight: int(c-'a') + 1, Upper: 3}))
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for i := range 500 {
						f := home(i % 50)
						f.Client, f.Now = f.Service, time.Duration(i)*time.Minute
						d := s.Pick(f)
						if d == nil {
							continue
						}
						d.Opened()
						d.Activated()
						if i%2 == 0 {
							d.Deactivated()
						}
						d.Closed(i%2 != 0)
					}
				})
			}
			wg.Go(func() {
				for i := range 200 {
					e, err := s.Add(addrOf('z'), ServerConfig{Weight: 2}, nil)
					if err != nil {
						t.Error(err)
						return
					}
					if err := s.Edit(servers[i%4], ServerConfig{Weight: i%4 + 1, Upper: 3}); err != nil {
						t.Error(err)
					}
					if err := s.Remove(e); err != nil {
						t.Error(err)
					}
				}
			})
			wg.Wait()
			for _, d := range servers {
				if d.Active() != 0 || d.Inactive() != 0 || d.Overloaded() {
					t.Errorf("%s: %d active, %d inactive, overloaded %t after the end", nameOf(d), d.Active(), d.Inactive(), d.Overloaded())
				}
			}
			if s.Pick(Flow{}) == nil && name != "none" {
				t.Error("no server can be picked after the end")
			}
		})
	}
}
