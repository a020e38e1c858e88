package failover

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
)

const (
	// askEvery is the time between two packets of the client.
	askEvery = 250 * time.Microsecond
	// clientVariable has the address for a process that is a client.
	clientVariable = "LVSKIT_BENCH_CLIENT"
)

// seen is what the client noticed in one window.
type seen struct {
	Sent, Lost int
	Gap        time.Duration // the longest between two answers
	GapEnd     time.Time     // when the second of these came
	Pause      time.Duration // the longest between two packets sent: its own fault
	RealTime   bool
}

// client is the process of a client, in its namespace.
type client struct {
	cmd *exec.Cmd
	in  *os.File
	out *json.Decoder
}

func startClient(ns *lab.Namespace, vip netip.Addr) (*client, error) {
	in, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// The client reads orders from in, without a buffer.
	c := &client{cmd: exec.Command("/proc/self/exe"), in: theirs}
	c.cmd.Env = append(os.Environ(), clientVariable+"="+vip.String())
	c.cmd.Stdin, c.cmd.Stderr = in, os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(out)
	err = ns.Start(c.cmd)
	return c, errors.Join(err, in.Close())
}

// begin opens a window: the client asks from now on.
func (c *client) begin() error { return c.order('b') }

// end closes it.
func (c *client) end() (s seen, err error) {
	if err := c.order('e'); err != nil {
		return s, err
	}
	err = c.out.Decode(&s)
	return s, err
}

func (c *client) order(b byte) error {
	_, err := c.in.Write([]byte{b})
	return err
}

func (c *client) stop() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }

// runClient is the whole of a process that is a client.
func runClient(text string) error {
	vip, err := netip.ParseAddr(text)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	debug.SetGCPercent(-1) // a window leaves some KiB behind
	realTime := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 50}, 0) == nil
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMP)
	if err != nil {
		return fmt.Errorf("open a socket of ping: %w", err)
	}
	for _, o := range []int{unix.SO_TIMESTAMPNS, unix.SO_RCVBUF} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o, 1<<20); err != nil {
			return err
		}
	}
	a := asker{fd: fd, to: &unix.SockaddrInet4{Addr: vip.As4()}}
	orders, order := os.Stdin, make([]byte, 1)
	if err := unix.SetNonblock(int(orders.Fd()), true); err != nil {
		return err
	}
	for {
		if _, err := poll(int(orders.Fd())); err != nil {
			return err
		}
		if n, err := unix.Read(int(orders.Fd()), order); n == 0 {
			return err // the end
		}
		if order[0] != 'b' {
			return fmt.Errorf("client: order %q", order)
		}
		s, err := a.window(int(orders.Fd()))
		if err != nil {
			return err
		}
		s.RealTime = realTime
		if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
			return err
		}
		runtime.GC()
	}
}

// poll waits until there is something to read.
func poll(fd int) (int, error) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// asker asks an address.
type asker struct {
	fd  int
	to  unix.Sockaddr
	seq uint16
	buf [128]byte
	oob [128]byte
}

// window asks until there is an order.
func (a *asker) window(orders int) (s seen, err error) {
	echo := []byte{8, 0, 0, 0, 0, 0, 0, 0}
	var last time.Time // answer
	took := 0
	if _, err := a.take(&last); err != nil { // of what was asked before
		return s, err
	}
	last = time.Time{}
	note := func() error {
		for {
			before := last
			ok, err := a.take(&last)
			if !ok || err != nil {
				return err
			}
			took++
			if !before.IsZero() {
				if d := last.Sub(before); d > s.Gap {
					s.Gap, s.GapEnd = d, last
				}
			}
		}
	}
	var next unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &next); err != nil {
		return s, err
	}
	var sent time.Time
	for over := false; !over; {
		now := time.Now()
		if !sent.IsZero() {
			s.Pause = max(s.Pause, now.Sub(sent))
		}
		sent = now
		a.seq++
		binary.BigEndian.PutUint16(echo[6:], a.seq)
		switch err := unix.Sendto(a.fd, echo, 0, a.to); err {
		case nil, unix.EHOSTUNREACH, unix.ENOBUFS, unix.EAGAIN: // lost, each
		default:
			return s, fmt.Errorf("client: send: %w", err)
		}
		s.Sent++
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(orders), Events: unix.POLLIN}}, 0)
		if over = n > 0; err != nil && !errors.Is(err, unix.EINTR) {
			return s, err
		}
		next = unix.NsecToTimespec(next.Nano() + int64(askEvery))
		for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &next, nil) == unix.EINTR {
		}
		if err := note(); err != nil {
			return s, err
		}
	}
	var order [1]byte
	if _, err := unix.Read(orders, order[:]); err != nil {
		return s, err
	}
	time.Sleep(2 * time.Millisecond) // for the last answers
	err = note()
	s.Lost = s.Sent - took
	return s, err
}

// take takes one answer.
func (a *asker) take(at *time.Time) (ok bool, err error) {
	for {
		_, oobn, _, _, err := unix.Recvmsg(a.fd, a.buf[:], a.oob[:], 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false, nil
		case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EINTR):
			continue // nobody answers ARP
		case err != nil:
			return false, fmt.Errorf("client: receive: %w", err)
		}
		if *at, err = timestamp(a.oob[:oobn]); err != nil {
			return false, fmt.Errorf("client: %w", err)
		}
		return true, nil
	}
}

// timestamp returns when the kernel had a packet.
func timestamp(oob []byte) (time.Time, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{}, err
	}
	for _, m := range messages {
		if d := m.Data; m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(d) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(d)), int64(binary.NativeEndian.Uint64(d[8:]))), nil
		}
	}
	return time.Time{}, errors.New("the kernel told no time")
}
