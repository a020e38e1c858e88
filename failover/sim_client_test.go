//go:build linux && simtime

package failover_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// simAlarm is a timer of the kernel's, which rings in time: Go's own ones ring up
// to a millisecond late.
type simAlarm struct{ file *os.File }

func newSimAlarm(t *testing.T) *simAlarm {
	t.Helper()
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	must(t, err)
	a := &simAlarm{os.NewFile(uintptr(fd), "timer")}
	t.Cleanup(func() { _ = a.file.Close() })
	return a
}

// until sleeps until then.
func (a *simAlarm) until(then time.Time) error {
	d := time.Until(then)
	if d <= 0 {
		return nil
	}
	raw, err := a.file.SyscallConn()
	if err != nil {
		return err
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.TimerfdSettime(int(fd), 0, &spec, nil) })
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	_, err = a.file.Read(make([]byte, 8))
	return err
}

// simClient is a host that pings an address and hears the adverts. The kernel
// of whoever has the address answers, so that nothing but the address and the
// neighbour's entry is measured.
type simClient struct {
	*peer
	to  netip.Addr
	fd  int
	bed *simAlarm

	mu    sync.Mutex
	heard []simAdvert
}

// simAdvert is an advert as the client's kernel had it.
type simAdvert struct {
	from     netip.Addr
	priority uint8
	at       time.Time
}

func newSimClient(t *testing.T, host *peer, to netip.Addr) *simClient {
	t.Helper()
	c := &simClient{peer: host, to: to, fd: -1, bed: newSimAlarm(t)}
	host.Sysctl("net.ipv4.ping_group_range", "0 0")
	must(t, host.Do(func() (err error) {
		family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
		if to.Is6() {
			family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
		}
		if c.fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol); err != nil {
			return err
		}
		return unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}))
	t.Cleanup(func() { _ = unix.Close(c.fd) })

	own := netip.MustParseAddr("192.0.2.9")
	if to.Is6() {
		own = netip.MustParseAddr("2001:db8::9")
	}
	conn, err := failover.RawIP{Namespace: host.Path()}.ListenAdverts(t.Context(), failover.AdvertSocket{
		Device: eth0, Source: own, Group: vrrp.Group(to.Is6()),
	})
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for conn.Wait() == nil {
			for {
				p, ok, err := conn.Receive(b)
				if err != nil || !ok {
					break
				}
				a, _, _, err := vrrp.Parse(p.Payload, vrrp.Path{Source: p.Source, Destination: p.Destination})
				if err != nil {
					continue
				}
				c.mu.Lock()
				c.heard = append(c.heard, simAdvert{p.Source, a.Priority, p.At})
				c.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return c
}

// adverts returns those of one router from a moment on.
func (c *simClient) adverts(of netip.Addr, from time.Time) (out []time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.heard {
		if a.from == of && a.priority != vrrp.PriorityStop && !a.at.Before(from) {
			out = append(out, a.at)
		}
	}
	return out
}

// last returns when one router was heard before a moment, and forgets what was
// before that.
func (c *simClient) last(of netip.Addr, before time.Time) (at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, a := range slices.Backward(c.heard) {
		if a.from == of && a.priority != vrrp.PriorityStop && a.at.Before(before) {
			c.heard = slices.Delete(c.heard, 0, i)
			return a.at
		}
	}
	return at
}

const (
	// simFine is the time between two packets of the client near the moments when
	// something is to happen.
	simFine = 100 * time.Microsecond
	simNear = 2 * time.Millisecond
)

// simAnswers is what came of asking.
type simAnswers struct {
	sent []time.Time
	had  []bool      // that an answer came
	at   []time.Time // of the answers
}

// ask asks from one moment to another, finely near those that are given.
func (c *simClient) ask(from, to time.Time, step time.Duration, finely ...time.Time) (a simAnswers, err error) {
	var sa unix.Sockaddr
	echo := []byte{8, 0, 0, 0, 0, 0, 0, 0}
	if c.to.Is6() {
		sa = &unix.SockaddrInet6{Addr: c.to.As16()}
		echo[0] = 128
	} else {
		sa = &unix.SockaddrInet4{Addr: c.to.As4()}
	}
	b, oob := make([]byte, 128), make([]byte, 128)
	take := func() error {
		for {
			n, oobn, _, _, err := unix.Recvmsg(c.fd, b, oob, 0)
			if errors.Is(err, unix.EAGAIN) {
				return nil
			}
			if errors.Is(err, unix.EHOSTUNREACH) { // nobody answers ARP
				continue
			}
			if err != nil {
				return err
			}
			at, err := simStamp(oob[:oobn])
			if err != nil || n < len(echo) {
				return errors.Join(err, errors.New("not an answer"))
			}
			if seq := int(binary.BigEndian.Uint16(b[6:])); seq < len(a.had) {
				a.had[seq] = true
			}
			a.at = append(a.at, at)
		}
	}
	if err := take(); err != nil { // of what was asked before
		return a, err
	}
	a = simAnswers{}
	next := from
	for seq := uint16(0); next.Before(to); seq++ {
		if err := c.bed.until(next); err != nil {
			return a, err
		}
		a.sent, a.had = append(a.sent, next), append(a.had, false)
		binary.BigEndian.PutUint16(echo[6:], seq)
		if err := unix.Sendto(c.fd, echo, 0, sa); err != nil && !errors.Is(err, unix.EHOSTUNREACH) {
			return a, err
		}
		if err := take(); err != nil {
			return a, err
		}
		step := step
		for _, f := range finely {
			if d := f.Sub(next); d <= simNear+step && d >= -simNear {
				step = simFine
			}
		}
		next = next.Add(step)
	}
	// The last one, too, is given the time to be answered.
	if err := c.bed.until(next); err != nil {
		return a, err
	}
	return a, take()
}

// simStamp returns when the kernel had a packet.
func simStamp(oob []byte) (time.Time, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{}, err
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:]))), nil
		}
	}
	return time.Time{}, errors.New("the kernel told no time")
}

// gap returns the longest time between two answers.
func (a *simAnswers) gap() (longest time.Duration) {
	for i := 1; i < len(a.at); i++ {
		longest = max(longest, a.at[i].Sub(a.at[i-1]))
	}
	return longest
}

// lost returns when the packets were sent that nobody answered.
func (a *simAnswers) lost() (sent []time.Time) {
	for i, had := range a.had {
		if !had {
			sent = append(sent, a.sent[i])
		}
	}
	return sent
}
