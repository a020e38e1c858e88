package health

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
)

// Times and bounds of [RWho].
const (
	// RWhoDown is how long a host may be silent before it counts as down, as
	// in ruptime(1). rwhod sends every three minutes.
	RWhoDown = 11 * time.Minute
	// MaxRWhoHosts is how many hosts one RWho listens for.
	MaxRWhoHosts = 1 << 16
	// rwhoForget is how long a host stays that nobody asks about, when there
	// is no room for another.
	rwhoForget = 2 * RWhoDown
	// rwhoRetry is how often a port that could not be opened is tried again,
	// and the group is joined on interfaces that have come.
	rwhoRetry = time.Minute
	rwhoPort  = 513
)

// rwhoGroup is the group that rwhod may send to (RFC 1700, page 57).
var rwhoGroup = netip.AddrFrom4([4]byte{224, 0, 1, 3})

// RWhoConfig sets up an [RWho].
type RWhoConfig struct {
	// Listen is the IPv4 address and the port to receive packets at; the zero
	// value is 0.0.0.0:513, where broadcasts and packets to the group
	// 224.0.1.3 arrive. Packets from another port are not rwhod's.
	Listen netip.AddrPort
	// Namespace is the file of a network namespace to listen in, such as
	// /run/netns/blue; empty is the one of the process. Linux.
	Namespace string
	// Spool is the folder where an rwhod on this machine keeps what it hears;
	// empty is /var/spool/rwho. It is read where the port cannot be opened,
	// commonly because that rwhod has it.
	Spool string
	// Logger is told when listening begins and why it cannot; nil discards.
	Logger *slog.Logger
}

// RWho hears the packets that rwhod sends on each server, and remembers the
// load in the newest of each host. Nobody can ask an rwhod: there is one
// listener for a network namespace, and the [Ruptime] checks answer from it.
//
// Only packets from hosts that a check has asked about count, and those by the
// address that they come from, not by the name in them. Yet anybody on the same
// network can forge them: trust loads from it as much as that network.
//
// It listens while Run runs, and while a check waits. It is safe for
// concurrent use.
type RWho struct {
	cfg RWhoConfig
	log *slog.Logger

	life  sync.Mutex // held while the listener begins or ends
	users int
	stop  context.CancelFunc
	ended chan struct{}

	mu    sync.Mutex
	hosts map[netip.Addr]*rwhoHost
	stats RWhoStats
	runs  int
	since time.Time // when listening began; zero while it does not
	err   error     // why it does not
	// changed is closed, and made anew, when a packet or an error has come.
	changed chan struct{}
}

// rwhoHost is what is known of one host.
type rwhoHost struct {
	told, asked time.Time
	heard       time.Time // zero is never
	packet      rwhoPacket
}

// RWhoStats counts what an [RWho] has heard.
type RWhoStats struct {
	// Accepted packets were remembered.
	Accepted uint64 `json:"accepted"`
	// Strangers are packets from hosts that nobody asked about, WrongPort
	// those from another port than rwhod's, Malformed what is no packet.
	Strangers uint64 `json:"strangers"`
	WrongPort uint64 `json:"wrong_port"`
	Malformed uint64 `json:"malformed"`
	// Hosts is how many hosts are listened for.
	Hosts int `json:"hosts"`
	// Listening tells that the port is open; Err why it is not.
	Listening bool   `json:"listening"`
	Err       string `json:"err,omitempty"`
}

// NewRWho returns a listener, or an error that names every field that cannot
// be used. A nil cfg means the defaults. It opens nothing.
func NewRWho(cfg *RWhoConfig) (*RWho, error) {
	w := &RWho{hosts: make(map[netip.Addr]*rwhoHost), changed: make(chan struct{}), log: slog.New(slog.DiscardHandler)}
	if cfg != nil {
		w.cfg = *cfg
	}
	if w.cfg.Logger != nil {
		w.log = w.cfg.Logger
	}
	if w.cfg.Listen == (netip.AddrPort{}) {
		w.cfg.Listen = netip.AddrPortFrom(netip.IPv4Unspecified(), rwhoPort)
	}
	if w.cfg.Spool == "" {
		w.cfg.Spool = "/var/spool/rwho"
	}
	var err error
	if l := w.cfg.Listen; !l.Addr().Is4() || l.Port() == 0 {
		err = errors.Join(err, fmt.Errorf("listen %v: want an IPv4 address and a port", l))
	}
	if strings.ContainsRune(w.cfg.Spool, 0) {
		err = errors.Join(err, fmt.Errorf("spool %q: want the name of a folder", w.cfg.Spool))
	}
	if err = errors.Join(err, (&Dial{Namespace: w.cfg.Namespace}).validate()); err != nil {
		return nil, fmt.Errorf("rwho: %w", err)
	}
	return w, nil
}

// Run listens until ctx is done, and returns nil then. A port that cannot be
// opened is tried again every minute; meanwhile the checks read the spool.
func (w *RWho) Run(ctx context.Context) error {
	w.mu.Lock()
	w.runs++
	w.mu.Unlock()
	w.acquire()
	<-ctx.Done()
	w.release()
	w.mu.Lock()
	w.runs--
	w.mu.Unlock()
	return nil
}

// Stats returns what was heard so far.
func (w *RWho) Stats() RWhoStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Hosts, s.Listening = len(w.hosts), !w.since.IsZero()
	if w.err != nil {
		s.Err = w.err.Error()
	}
	return s
}

// acquire begins to listen unless somebody listens already.
func (w *RWho) acquire() {
	w.life.Lock()
	defer w.life.Unlock()
	if w.users++; w.users > 1 {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	w.stop, w.ended = stop, ended
	go func() {
		defer close(ended)
		w.listen(ctx)
	}()
}

// release ends what acquire has begun when the last one leaves.
func (w *RWho) release() {
	w.life.Lock()
	defer w.life.Unlock()
	if w.users--; w.users > 0 {
		return
	}
	w.stop()
	<-w.ended
}

// listen keeps the port open until ctx is done.
func (w *RWho) listen(ctx context.Context) {
	var told string
	for {
		err := w.hear(ctx)
		if ctx.Err() != nil {
			err = nil
		}
		w.deaf(err)
		if err != nil && err.Error() != told {
			told = err.Error()
			w.log.Warn("cannot listen for rwhod, its spool is read instead", "listen", w.cfg.Listen, "spool", w.cfg.Spool, "err", err)
		}
		retry := time.NewTimer(rwhoRetry)
		select {
		case <-ctx.Done():
			retry.Stop()
			w.deaf(nil)
			return
		case <-retry.C:
		}
	}
}

// deaf notes that nobody listens now, and why if it is not by will.
func (w *RWho) deaf(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since, w.err = time.Time{}, why
	w.ring()
}

// ring wakes who waits. The lock is held.
func (w *RWho) ring() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// hear opens the port and reads packets until ctx is done or the socket
// breaks.
func (w *RWho) hear(ctx context.Context) error {
	conn, err := within(w.cfg.Namespace, func() (net.Conn, error) {
		return net.ListenUDP("udp4", net.UDPAddrFromAddrPort(w.cfg.Listen))
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	socket := conn.(*net.UDPConn)
	defer context.AfterFunc(ctx, func() { _ = socket.SetReadDeadline(time.Unix(1, 0)) })()
	w.mu.Lock()
	w.since, w.err = time.Now(), nil
	w.ring()
	w.mu.Unlock()
	w.log.Info("listening for rwhod", "listen", w.cfg.Listen)
	buf := make([]byte, rwhoMax+1) // one more tells what is too long
	var joined time.Time
	for {
		if now := time.Now(); now.Sub(joined) >= rwhoRetry {
			joined = now
			w.join(socket)
		}
		_ = socket.SetReadDeadline(joined.Add(rwhoRetry))
		if ctx.Err() != nil {
			return nil
		}
		n, from, err := socket.ReadFromUDPAddrPort(buf)
		var timeout net.Error
		switch {
		case err == nil:
			w.learn(from, buf[:n], time.Now())
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &timeout) && timeout.Timeout():
		default:
			return err
		}
	}
}

// join joins the group on every interface that there is now. One that has
// joined already, or cannot, does not matter: broadcasts come without.
func (w *RWho) join(socket *net.UDPConn) {
	if !w.cfg.Listen.Addr().IsUnspecified() {
		return
	}
	group := &net.UDPAddr{IP: rwhoGroup.AsSlice()}
	_, _ = within(w.cfg.Namespace, func() (net.Conn, error) {
		interfaces, err := net.Interfaces()
		for _, i := range interfaces {
			if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 {
				_ = ipv4.NewPacketConn(socket).JoinGroup(&i, group)
			}
		}
		return nil, err
	})
}

// learn takes one datagram from the network.
func (w *RWho) learn(from netip.AddrPort, b []byte, now time.Time) {
	p, err := parseRWho(b, binary.BigEndian)
	w.mu.Lock()
	defer w.mu.Unlock()
	host := w.hosts[from.Addr().Unmap()]
	switch {
	case host == nil:
		w.stats.Strangers++
	case from.Port() != w.cfg.Listen.Port():
		w.stats.WrongPort++
	case err != nil:
		w.stats.Malformed++
	default:
		w.stats.Accepted++
		host.packet, host.heard = p, now
		w.ring()
	}
}

// tell has a host listened for, and notes that somebody asks about it.
func (w *RWho) tell(addr netip.Addr, now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.hosts[addr]; h != nil {
		h.asked = now
		return nil
	}
	if len(w.hosts) >= MaxRWhoHosts {
		for a, h := range w.hosts {
			if now.Sub(h.asked) > rwhoForget {
				delete(w.hosts, a)
			}
		}
		if len(w.hosts) >= MaxRWhoHosts {
			return fmt.Errorf("%d hosts are listened for already, the most there can be", len(w.hosts))
		}
	}
	w.hosts[addr] = &rwhoHost{told: now, asked: now}
	return nil
}

// heardOf is what is known of a host.
type heardOf struct {
	rwhoHost
	// listening is for how long packets of it would have been heard; -1 while
	// nobody listens.
	listening time.Duration
	// err is why nobody does.
	err error
	// running tells that it is not only for a check that waits.
	running bool
	changed <-chan struct{}
}

// about returns what is known of a host that was told of.
func (w *RWho) about(addr netip.Addr, now time.Time) heardOf {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := heardOf{listening: -1, err: w.err, running: w.runs > 0, changed: w.changed}
	if h := w.hosts[addr]; h != nil {
		out.rwhoHost = *h
	}
	if !w.since.IsZero() {
		from := w.since
		if out.told.After(from) {
			from = out.told
		}
		out.listening = now.Sub(from)
	}
	return out
}

// identity is what of it matters to an answer.
func (w *RWho) identity() string {
	return fmt.Sprintf(" listen=%v spool=%q namespace=%q", w.cfg.Listen, w.cfg.Spool, w.cfg.Namespace)
}

// spoolFile is where the rwhod of this machine keeps the packet of a host.
func (w *RWho) spoolFile(name string) string { return filepath.Join(w.cfg.Spool, "whod."+name) }
