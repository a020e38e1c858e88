package health

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBFDPacket(t *testing.T) {
	for text, want := range map[string]bfdPacket{
		"20400318 00000001 00000000 000f4240 000f4240 00000000": {state: bfdDown, multiplier: 3, mine: 1, desired: time.Second, required: time.Second},
		"23e20518 deadbeef 12345678 00002710 000003e8 00000001": {diag: bfdSignalled, state: bfdUp, poll: true, demand: true, multiplier: 5, mine: 0xdeadbeef, yours: 0x12345678, desired: 10 * time.Millisecond, required: time.Millisecond, requiredEcho: time.Microsecond},
		"27180118 00000001 00000002 ffffffff 00000000 00000000": {diag: bfdAdmin, state: bfdAdminDown, final: true, indep: true, multiplier: 1, mine: 1, yours: 2, desired: (1<<32 - 1) * time.Microsecond},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseBFD(b)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(bfdPacket{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		if diff := cmp.Diff(b, want.append(nil)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", want, diff)
		}
	}
	good := bfdPacket{state: bfdUp, multiplier: 3, mine: 1, yours: 2}.append(nil)
	for want, spoil := range map[string]func(b []byte) []byte{
		"23 bytes":                        func(b []byte) []byte { return b[:23] },
		"version 2":                       func(b []byte) []byte { b[0] = 2 << 5; return b },
		"length 25 of 24":                 func(b []byte) []byte { b[3] = 25; return b },
		"length 23 of 24":                 func(b []byte) []byte { b[3] = 23; return b },
		"multiplier 0":                    func(b []byte) []byte { b[2] = 0; return b },
		"multipoint":                      func(b []byte) []byte { b[1] |= bfdMultipoint; return b },
		"authentication":                  func(b []byte) []byte { b[1] |= bfdAuth; return b },
		"poll and final":                  func(b []byte) []byte { b[1] |= bfdPoll | bfdFinal; return b },
		"no discriminator":                func(b []byte) []byte { clear(b[4:8]); return b },
		"state Up without our discrimina": func(b []byte) []byte { clear(b[8:12]); return b },
	} {
		if p, err := parseBFD(spoil(append([]byte(nil), good...))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", want, p, err)
		}
	}
	if _, err := parseBFD(append(good, "what follows"...)); err != nil {
		t.Errorf("a longer payload: %v", err)
	}
}

// Every state of ours with every state received, as RFC 5880, section 6.8.6,
// has it.
func TestBFDStates(t *testing.T) {
	states := []bfdState{bfdAdminDown, bfdDown, bfdInit, bfdUp}
	want := map[bfdState][4]bfdState{
		bfdAdminDown: {bfdAdminDown, bfdAdminDown, bfdAdminDown, bfdAdminDown},
		bfdDown:      {bfdDown, bfdInit, bfdUp, bfdDown},
		bfdInit:      {bfdDown, bfdInit, bfdUp, bfdUp},
		bfdUp:        {bfdDown, bfdDown, bfdUp, bfdUp},
	}
	now := time.Now()
	for _, ours := range states {
		for i, theirs := range states {
			t.Run(fmt.Sprintf("%v hears %v", ours, theirs), func(t *testing.T) {
				s := newBFDSession(300*time.Millisecond, 3, 7)
				s.become(ours, bfdNoDiag)
				if err := s.receive(bfdPacket{state: theirs, multiplier: 3, mine: 9, yours: 7, desired: time.Second, required: time.Second}, now); err != nil {
					t.Fatal(err)
				}
				next := want[ours][i]
				if s.state != next || s.yours != 9 {
					t.Errorf("%v, want %v; the other is %d", s.state, next, s.yours)
				}
				if fell := next == bfdDown && ours > bfdDown; fell != (s.diag == bfdSignalled) {
					t.Errorf("diagnostic %v", s.diag)
				}
				if slow := next != bfdUp; slow != (s.desired == time.Second) || !slow && s.desired != 300*time.Millisecond {
					t.Errorf("in state %v a packet every %v", s.state, s.desired)
				}
			})
		}
	}
}

// Silence ends what was Init or Up, and nothing else.
func TestBFDExpiry(t *testing.T) {
	now := time.Now()
	for _, state := range []bfdState{bfdAdminDown, bfdDown, bfdInit, bfdUp} {
		s := newBFDSession(300*time.Millisecond, 3, 7)
		s.expire(now.Add(time.Hour))
		if s.state != bfdDown || !s.expiry().IsZero() {
			t.Errorf("a session that has heard nothing is %v and ends at %v", s.state, s.expiry())
		}
		s.become(state, bfdNoDiag)
		remote := map[bfdState]bfdState{bfdInit: bfdDown, bfdDown: bfdUp, bfdUp: bfdUp}[state]
		if err := s.receive(bfdPacket{state: remote, multiplier: 4, mine: 9, yours: 7, desired: 400 * time.Millisecond, required: 1}, now); err != nil || s.state != state {
			t.Fatalf("%v, %v", s.state, err)
		}
		if s.detection() != 1600*time.Millisecond {
			t.Errorf("detection %v", s.detection())
		}
		s.expire(now.Add(1600*time.Millisecond - 1))
		if s.state != state || s.yours != 9 {
			t.Errorf("%v ended too early", state)
		}
		s.expire(now.Add(1600 * time.Millisecond))
		down, why := bfdDown, bfdExpired
		if state == bfdAdminDown {
			down = state
		}
		if state <= bfdDown {
			why = bfdNoDiag
		}
		if s.state != down || s.diag != why || s.yours != 0 {
			t.Errorf("%v became %v, %v, the other is %d", state, s.state, s.diag, s.yours)
		}
	}
}

func TestBFDIntervals(t *testing.T) {
	now := time.Now()
	s := newBFDSession(50*time.Millisecond, 3, 7)
	hear := func(p bfdPacket) {
		t.Helper()
		p.multiplier, p.mine = 3, 9
		if err := s.receive(p, now); err != nil {
			t.Fatal(err)
		}
	}
	pace := func(want time.Duration) {
		t.Helper()
		if got := s.pace(0); got != want {
			t.Errorf("a packet every %v, want %v", got, want)
		}
	}
	pace(time.Second)
	hear(bfdPacket{state: bfdInit, yours: 7, desired: time.Second, required: 10 * time.Millisecond})
	// Up: the faster pace is polled for, and used at once as it is no longer one.
	if p := s.packet(false); s.state != bfdUp || !p.poll || p.desired != 50*time.Millisecond || p.required != 50*time.Millisecond || p.yours != 9 || p.mine != 7 {
		t.Errorf("%v, %+v", s.state, p)
	}
	if p := s.packet(true); p.poll || !p.final {
		t.Errorf("the answer to a poll is %+v", p)
	}
	pace(50 * time.Millisecond)
	if s.detection() != 3*time.Second {
		t.Errorf("before the other end is faster: %v", s.detection())
	}
	hear(bfdPacket{state: bfdUp, yours: 7, desired: 20 * time.Millisecond, required: 200 * time.Millisecond, final: true})
	if s.packet(false).poll {
		t.Error("goes on polling after the answer")
	}
	pace(200 * time.Millisecond) // the other end can take no more
	if s.detection() != 150*time.Millisecond {
		t.Errorf("detection %v: the other end may not be faster than we asked", s.detection())
	}
	hear(bfdPacket{state: bfdUp, yours: 7, desired: 100 * time.Millisecond, required: 0})
	pace(0)
	hear(bfdPacket{state: bfdUp, yours: 7, demand: true, desired: 100 * time.Millisecond, required: time.Millisecond})
	pace(0)
	s.polling = true
	pace(50 * time.Millisecond)
	hear(bfdPacket{state: bfdDown, yours: 7, demand: true, desired: 100 * time.Millisecond, required: time.Millisecond})
	pace(time.Second)
	if s.polling || s.diag != bfdSignalled {
		t.Errorf("after the fall: polling %t, %v", s.polling, s.diag)
	}
	if err := s.receive(bfdPacket{yours: 8, mine: 1, multiplier: 1}, now); err == nil || s.yours != 9 {
		t.Errorf("a packet of another session is taken: %v, %d", err, s.yours)
	}
	s.admin()
	if p := s.packet(false); p.state != bfdAdminDown || p.diag != bfdAdmin {
		t.Errorf("leave is taken by %+v", p)
	}
	for _, tt := range []struct {
		multiplier  uint8
		least, most time.Duration
	}{{3, 750 * time.Millisecond, time.Second}, {1, 750 * time.Millisecond, 900 * time.Millisecond}} {
		s := newBFDSession(time.Second, tt.multiplier, 7)
		if most, least := s.pace(0), s.pace(1); most != tt.most || least != tt.least {
			t.Errorf("multiplier %d: %v..%v, want %v..%v", tt.multiplier, least, most, tt.least, tt.most)
		}
		s.become(bfdUp, bfdNoDiag)
		if s.polling {
			t.Error("polls although nothing has changed")
		}
	}
}

// FuzzBFDPacket holds that what is read is written as it was, and that no
// packet makes a session wait for ever or send in a rush.
func FuzzBFDPacket(f *testing.F) {
	f.Add(bfdPacket{state: bfdDown, multiplier: 3, mine: 1, desired: time.Second, required: time.Second}.append(nil))
	f.Add(bfdPacket{state: bfdUp, poll: true, demand: true, multiplier: 255, mine: 1, yours: 7}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseBFD(b)
		if err != nil {
			return
		}
		out := p.append(nil)
		want := append([]byte(nil), b[:bfdSize]...)
		want[3] = bfdSize
		if diff := cmp.Diff(want, out); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", p, diff)
		}
		now := time.Now()
		for _, state := range []bfdState{bfdAdminDown, bfdDown, bfdInit, bfdUp} {
			s := newBFDSession(300*time.Millisecond, 3, 7)
			s.become(state, bfdNoDiag)
			if s.receive(p, now) != nil {
				continue
			}
			if pace := s.pace(0.5); pace != 0 && pace < 200*time.Millisecond {
				t.Errorf("a packet every %v", pace)
			}
			if d := s.detection(); d < 300*time.Millisecond || !s.expiry().After(now) {
				t.Errorf("detection %v", d)
			}
			if s.packet(true).poll || s.packet(false).final {
				t.Error("poll and final")
			}
		}
	})
}
