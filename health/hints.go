package health

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Defaults of a [HintsConfig].
const (
	DefaultHintPause = 5 * time.Second
	DefaultHintRate  = 100
)

const (
	// maxLookups bounds the routes that one event looks up: what happens to a
	// link or a router concerns whoever is behind it.
	maxLookups = 1024
	// maxHintState bounds the neighbours and links whose state is remembered.
	maxHintState = 4096
)

// Hint is a sign that an address may not be what it was: a reason to ask it at
// once ([Monitor.Trigger]), and never more than that, as anybody can forge
// some of them.
type Hint struct {
	// Addr is one of the addresses of [Hints.Set].
	Addr netip.Addr
	// Reason is one line that says what happened.
	Reason string
	// Back tells that a way came back, so that a target that is down may be
	// up again; else it may be lost.
	Back bool
}

// HintsConfig sets up [Hints].
type HintsConfig struct {
	// OnHint takes the hints, one at a time; it should be quick, and must not
	// call the Hints. It must not be nil.
	OnHint func(Hint)
	// Pause is the least time between two hints about one address. 0 means
	// DefaultHintPause.
	Pause time.Duration
	// Rate is the most hints a second, in all; what comes above it is dropped
	// and counted. 0 means DefaultHintRate. Twice as many may come at once
	// after a quiet time.
	Rate int
	// Namespace is the file of the network namespace to listen in; empty is
	// the one of the process. It needs CAP_SYS_ADMIN.
	Namespace string
	// Logger takes what cannot be listened to; nil discards it.
	Logger *slog.Logger
}

// HintStats count what [Hints] heard and said.
type HintStats struct {
	// Neighbours, Links and ICMP are the events about neighbours that do not
	// answer any more, links that went down or came up, and unreachable
	// destinations.
	Neighbours uint64 `json:"neighbours"`
	Links      uint64 `json:"links"`
	ICMP       uint64 `json:"icmp"`
	// Hints were passed on; Dropped were too many, or too soon after another
	// one about the same address. Overflows counts the times that the kernel
	// had more events than it could keep for us.
	Hints     uint64 `json:"hints"`
	Dropped   uint64 `json:"dropped"`
	Overflows uint64 `json:"overflows"`
}

// Hints listens to what the kernel tells of the ways to some addresses:
//
//   - a neighbour, the address itself or the router before it, does not answer
//     any more (rtnetlink(7), state FAILED). A dead neighbour is told once,
//     until it has been there again;
//   - a link on the way goes down or comes up;
//   - a packet of this machine was answered by "destination unreachable"
//     (ICMP, RFC 792 and RFC 4443), whichever program sent it. This needs
//     CAP_NET_RAW and is left out without it, which is logged. Our own checks
//     cause such answers as well, so a target that is known to be down should
//     not be asked for them.
//
// A change that nobody's packets run into is not told: the kernel asks a
// neighbour only when there is something to send. Hints are to be had on
// Linux. All methods are safe for concurrent use.
type Hints struct {
	cfg HintsConfig

	mu     sync.Mutex
	addrs  map[netip.Addr]time.Time // with the time of the last hint
	failed map[netip.Addr]struct{}  // neighbours that are known not to answer
	down   map[int]bool             // links by their index
	tokens float64
	filled time.Time
	stats  HintStats
	// lookUp finds the next hop of an address; see hopOf.
	lookUp func(netip.Addr) (hop, error)
}

// hop is the next hop of an address: a link, and the router unless the address
// is on that link itself.
type hop struct {
	link   int
	router netip.Addr
}

// NewHints returns a source of hints about no address that does nothing until
// Run, or an error that names every field that cannot be used.
func NewHints(cfg HintsConfig) (*Hints, error) {
	var errs []error
	if cfg.OnHint == nil {
		errs = append(errs, errors.New("OnHint is nil: want a function"))
	}
	if cfg.Pause < 0 {
		errs = append(errs, fmt.Errorf("pause %v: want more than 0, or 0 for %v", cfg.Pause, DefaultHintPause))
	}
	if cfg.Rate < 0 {
		errs = append(errs, fmt.Errorf("rate %d: want 1 or more, or 0 for %d", cfg.Rate, DefaultHintRate))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("hints: %w", err)
	}
	if cfg.Pause == 0 {
		cfg.Pause = DefaultHintPause
	}
	if cfg.Rate == 0 {
		cfg.Rate = DefaultHintRate
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Hints{
		cfg: cfg, addrs: make(map[netip.Addr]time.Time), failed: make(map[netip.Addr]struct{}), down: make(map[int]bool),
		tokens: float64(2 * cfg.Rate),
	}, nil
}

// Set replaces the addresses that hints are about.
func (h *Hints) Set(addrs []netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := make(map[netip.Addr]time.Time, len(addrs))
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		next[a] = h.addrs[a]
	}
	h.addrs = next
}

// Stats returns the counters.
func (h *Hints) Stats() HintStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stats
}

// neighbour takes the state of a neighbour.
func (h *Hints) neighbour(n neighbourEvent, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n.alive {
		delete(h.failed, n.addr)
		return
	}
	if _, known := h.failed[n.addr]; known {
		return
	}
	if len(h.failed) >= maxHintState {
		clear(h.failed)
	}
	h.failed[n.addr] = struct{}{}
	h.stats.Neighbours++
	reason := fmt.Sprintf("neighbour %v does not answer any more", n.addr)
	if _, ours := h.addrs[n.addr]; ours {
		h.say(Hint{Addr: n.addr, Reason: reason}, now)
		return
	}
	h.sayBehind(Hint{Reason: reason}, now, func(to hop, err error) bool { return err == nil && to.link == n.link && to.router == n.addr })
}

// link takes the state of a link.
func (h *Hints) link(l linkEvent, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was, known := h.down[l.link]
	if known && was == l.down || !known && !l.down {
		return
	}
	if len(h.down) >= maxHintState {
		clear(h.down)
	}
	h.down[l.link] = l.down
	h.stats.Links++
	reason := fmt.Sprintf("link %s is up", l.name)
	if l.down {
		reason = fmt.Sprintf("link %s is down", l.name)
	}
	// Those that have lost their route may have had it there.
	h.sayBehind(Hint{Reason: reason, Back: !l.down}, now, func(to hop, err error) bool { return err != nil || to.link == l.link })
}

// unreachable takes an answer of ICMP about a packet to addr.
func (h *Hints) unreachable(addr netip.Addr, reason string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.ICMP++
	if _, ours := h.addrs[addr]; ours {
		h.say(Hint{Addr: addr, Reason: reason}, now)
	}
}

// sayBehind gives the hint about each address with a next hop that is meant.
func (h *Hints) sayBehind(about Hint, now time.Time, meant func(hop, error) bool) {
	n := 0
	for addr := range h.addrs {
		if n++; n > maxLookups || h.refill(now) < 1 {
			h.stats.Dropped++
			return
		}
		if meant(h.lookUp(addr)) {
			about.Addr = addr
			h.say(about, now)
		}
	}
}

// say passes a hint on, unless there were too many.
func (h *Hints) say(about Hint, now time.Time) {
	if last := h.addrs[about.Addr]; !last.IsZero() && now.Sub(last) < h.cfg.Pause || h.refill(now) < 1 {
		h.stats.Dropped++
		return
	}
	h.tokens--
	h.addrs[about.Addr] = now
	h.stats.Hints++
	about.Reason = oneLine(about.Reason, MaxReason)
	h.cfg.OnHint(about)
}

// refill returns how many hints may be given now.
func (h *Hints) refill(now time.Time) float64 {
	if !h.filled.IsZero() {
		h.tokens = min(h.tokens+now.Sub(h.filled).Seconds()*float64(h.cfg.Rate), float64(2*h.cfg.Rate))
	}
	h.filled = now
	return h.tokens
}
