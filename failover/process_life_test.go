package failover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// stops is a process that is stopped from and until certain times.
type stops struct {
	began time.Time
	spans [][2]time.Duration
	ends  time.Duration
	stall time.Duration // of ours, when we look for the first time
}

func (s *stops) stopped(until bool) bool {
	for {
		now := time.Since(s.began)
		for _, span := range s.spans {
			if now >= span[0] && now < span[1] {
				if !until {
					time.Sleep(s.stall)
					s.stall = 0
				}
				return true
			}
		}
		if !until || now >= s.ends {
			return false
		}
		time.Sleep(time.Millisecond)
	}
}

// A process is killed once it was stopped for the whole patience, by a clock that
// does not count our own stalls.
func TestStoppedProcessIsKilled(t *testing.T) {
	t.Parallel()
	const ms, never = time.Millisecond, time.Hour
	for _, tt := range []struct {
		name  string
		spans [][2]time.Duration
		stall time.Duration
		want  time.Duration // 0: not at all
	}{
		{"for ever", [][2]time.Duration{{100 * ms, never}}, 0, 180 * ms},
		{"not for long", [][2]time.Duration{{100 * ms, 170 * ms}}, 0, 0},
		{"twice, not for long", [][2]time.Duration{{100 * ms, 170 * ms}, {190 * ms, 260 * ms}}, 0, 0},
		{"the second time for ever", [][2]time.Duration{{100 * ms, 170 * ms}, {200 * ms, never}}, 0, 280 * ms},
		{"with us, and goes on after us", [][2]time.Duration{{100 * ms, 1020 * ms}}, 900 * ms, 0},
		{"with us, and does not go on", [][2]time.Duration{{100 * ms, never}}, 900 * ms, 1050 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var killed time.Duration
				s := &stops{began: time.Now(), spans: tt.spans, ends: 2 * time.Second, stall: tt.stall}
				w := new(lifeWatch)
				w.stops(&process{stopped: s.stopped, kill: func() { killed = time.Since(s.began) }}, func() time.Duration { return 80 * ms })
				if killed != tt.want || (w.failure() != "") != (tt.want > 0) {
					t.Errorf("killed after %v, want %v; %q", killed, tt.want, w.failure())
				}
			})
		})
	}
}

// The patience is that of the most impatient member, within bounds.
func TestPatience(t *testing.T) {
	t.Parallel()
	router := func(adverts int, interval time.Duration) memberSpec {
		return memberSpec{Router: &RouterConfig{Version: 3, DownAdverts: adverts, Interval: interval}}
	}
	node := memberSpec{Node: &Config{DeadAfter: 500 * time.Millisecond}}
	for _, tt := range []struct {
		name    string
		members []memberSpec
		want    time.Duration
	}{
		{"none", nil, lifeLimit},
		{"a node", []memberSpec{node}, 500 * time.Millisecond},
		{"a node and a router", []memberSpec{node, router(3, 10*time.Millisecond)}, 40 * time.Millisecond},
		{"slow adverts", []memberSpec{router(3, time.Second)}, lifeLimit},
		{"very fast ones", []memberSpec{router(1, 5*time.Millisecond)}, stopLimit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBeat(&BeatConfig{}, nil)
			for _, s := range tt.members {
				m := b.member(s, nil, callbacks{}, newEventQueue(discard(), nil))
				b.members[m.id] = m
			}
			if got := b.patience(); got != tt.want {
				t.Errorf("patience %v, want %v", got, tt.want)
			}
		})
	}
}

// A process that dies whenever it is started is told once, and tried with growing
// pauses.
func TestProcessThatNeverGetsReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := new(script)
		var code, pids atomic.Int32
		code.Store(1)
		beat := newBeat(&BeatConfig{OnEvent: s.event}, func(*BeatConfig) (*process, error) {
			ours, theirs := net.Pipe()
			_ = theirs.Close()
			return &process{link: linkOver(ours), pid: int(pids.Add(1)), kill: func() {}, wait: func() error { return fmt.Errorf("exit status %d", code.Load()) }}, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- beat.Run(ctx) }()
		synctest.Wait()
		if n := beat.Status().Starts; n != 2 { // the next one comes at once
			t.Errorf("%d starts at first", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := s.count("beat-lost"); n != 1 || !s.has("another one is started at once: failover: the beat process 1 is gone: exit status 1") {
			t.Errorf("told %d times: %q", n, s.lines)
		}
		if n := beat.Status().Starts; n < 15 || n > 20 {
			t.Errorf("%d starts in a minute", n)
		}
		code.Store(2)
		time.Sleep(lastRetry)
		synctest.Wait()
		if n := s.count("beat-lost"); n != 2 || !s.has("exit status 2") {
			t.Errorf("told %d times: %q", n, s.lines)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Lines of a log leave room for what matters.
func TestLogsLeaveRoom(t *testing.T) {
	t.Parallel()
	l := linkOver(&oneWay{}) // nobody pumps
	for range maxLogs {
		if err := l.put(&note{Kind: noteLog}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.put(&note{Kind: noteLog}); !errors.Is(err, errOutbox) {
		t.Errorf("another line: %v", err)
	}
	for range maxOutbox - maxLogs {
		if err := l.put(&note{Kind: noteEnded}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.put(nil); !errors.Is(err, errOutbox) {
		t.Errorf("more than the outbox holds: %v", err)
	}
}
