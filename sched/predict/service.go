package predict

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/lvskit/lvskit/sched"
)

// MaxClients bounds a list of clients.
const MaxClients = 1 << 20

// Server is a real server of a service.
type Server struct {
	// Name is what reports call it.
	Name string
	// Addr is its address in the table, which mh hashes.
	Addr netip.AddrPort
	// Weight is 0 for a drained one; Upper and Lower are its thresholds.
	Weight       int
	Upper, Lower uint32
}

// Service is a virtual service.
type Service struct {
	// Addr is the virtual address, which dh, lblc and lblcr hash; zero for a
	// firewall mark.
	Addr netip.AddrPort
	// Scheduler is one of [sched.Names]; Flags and Rules are its own.
	Scheduler string
	Flags     sched.Flags
	Rules     sched.Rules
	// Persistent groups clients by the first Prefix bits of their address;
	// Prefix 0 means the whole address.
	Persistent bool
	Prefix     int
	// UDP keeps connections out of the active ones.
	UDP bool
	// Servers stand in the order of the kernel's list, the newest first, as
	// listings have them. sh and mh depend on it.
	Servers []Server
}

// Certain reports whether the service's scheduler answers for a client alone,
// whatever came before.
func (s Service) Certain() bool { return Certain(s.Scheduler) }

// Certain reports whether a scheduler answers for a client alone.
func Certain(scheduler string) bool {
	switch scheduler {
	case "sh", "mh", "dh", "fo":
		return true
	}
	return false
}

// Takes reports whether a client's address is of the service's family. A
// service without an address takes both.
func (s Service) Takes(client netip.AddrPort) bool {
	return !s.Addr.IsValid() || s.Addr.Addr().Is4() == client.Addr().Is4()
}

// table is a service that is asked.
type table struct {
	Service
	scheduler *sched.Scheduler
	entries   map[string]*sched.Server
}

// build replays how the table came to be: the last server was added first.
func (s Service) build() (*table, error) {
	// Chance has a fixed beginning, so that a report is the same each time.
	chance := rand.New(rand.NewPCG(1, 1))
	sc, err := sched.New(s.Scheduler, &sched.Options{Flags: s.Flags, Rules: s.Rules, Random: chance.Uint64})
	if err != nil {
		return nil, err
	}
	t := &table{Service: s, scheduler: sc, entries: map[string]*sched.Server{}}
	for i, r := range slices.Backward(s.Servers) {
		if _, dup := t.entries[r.Name]; dup || r.Name == "" {
			return nil, fmt.Errorf("servers[%d]: the name %q is empty or that of another server", i, r.Name)
		}
		if err := t.add(r); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *table) add(r Server) error {
	e, err := t.scheduler.Add(r.Addr, sched.ServerConfig{Weight: r.Weight, Upper: r.Upper, Lower: r.Lower}, r.Name)
	if err != nil {
		return fmt.Errorf("server %s: %w", r.Name, err)
	}
	t.entries[r.Name] = e
	return nil
}

// ask places every client and returns the names of their servers, "" for a
// client that is refused. With count each connection stays open, for the
// schedulers that count.
func (t *table) ask(clients []netip.AddrPort, count bool) []string {
	out := make([]string, len(clients))
	groups := map[netip.Addr]string{}
	service := t.Addr
	if !service.IsValid() {
		service = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
		if len(clients) > 0 && clients[0].Addr().Is6() {
			service = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
		}
	}
	for i, c := range clients {
		group := c.Addr()
		if t.Persistent {
			if t.Prefix > 0 {
				if p, err := group.Prefix(min(t.Prefix, group.BitLen())); err == nil {
					group = p.Addr()
				}
			}
			if name, ok := groups[group]; ok {
				out[i] = name
				t.open(t.entries[name], count)
				continue
			}
		}
		picked := t.scheduler.Pick(sched.Flow{Client: c, Service: service})
		if picked == nil {
			continue
		}
		out[i] = picked.Value().(string)
		t.open(picked, count)
		if t.Persistent {
			groups[group] = out[i]
		}
	}
	return out
}

func (t *table) open(e *sched.Server, count bool) {
	if !count || e == nil {
		return
	}
	e.Opened()
	if !t.UDP {
		e.Activated()
	}
}

// Where returns the name of the server that each client gets, "" if it is
// refused. For a scheduler that is not [Certain] it is one of many possible
// answers: that of a table without connections, which the clients fill in
// their order.
func (s Service) Where(clients []netip.AddrPort) ([]string, error) {
	if len(clients) > MaxClients {
		return nil, fmt.Errorf("%d clients: want at most %d", len(clients), MaxClients)
	}
	t, err := s.build()
	if err != nil {
		return nil, err
	}
	return t.ask(clients, !s.Certain()), nil
}

// Op is what is done to a server.
type Op uint8

// The operations.
const (
	// Drain sets the weight to 0.
	Drain Op = iota + 1
	// Remove takes the server out of the table.
	Remove
	// Add puts a new server into the table, at the head of its list.
	Add
	// SetWeight changes the weight.
	SetWeight
)

var opNames = []string{"", "drain", "remove", "add", "weight"}

// String returns "drain", "remove", "add" or "weight", or the number of an
// unknown operation.
func (o Op) String() string {
	if o > 0 && int(o) < len(opNames) {
		return opNames[o]
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// MarshalText writes the name; an unknown operation is an error.
func (o Op) MarshalText() ([]byte, error) {
	if o == 0 || int(o) >= len(opNames) {
		return nil, fmt.Errorf("operation %d: want drain, remove, add or weight", uint8(o))
	}
	return []byte(opNames[o]), nil
}

// UnmarshalText reads a name.
func (o *Op) UnmarshalText(text []byte) error {
	if i := slices.Index(opNames, string(text)); i > 0 {
		*o = Op(i)
		return nil
	}
	return fmt.Errorf("operation %q: want drain, remove, add or weight", text)
}

// Change is one change of a table.
type Change struct {
	Op Op
	// Server is the name of one that is there, for Add of a new one.
	Server string
	// Addr is the address of a new server.
	Addr netip.AddrPort
	// Weight is that of Add and SetWeight.
	Weight int
}

// ParseChange reads "drain B", "remove B", "weight B 3" or
// "add 10.0.0.9:80 2", where the weight may be left out and is 1 then. Commas
// may stand in place of blanks.
func ParseChange(text string) (Change, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
	if len(words) < 2 {
		return Change{}, fmt.Errorf("change %q: want WHAT SERVER, such as %q", text, "drain B")
	}
	c := Change{Server: words[1], Weight: 1}
	if err := c.Op.UnmarshalText([]byte(words[0])); err != nil {
		return Change{}, fmt.Errorf("change %q: %w", text, err)
	}
	rest := words[2:]
	switch {
	case c.Op == SetWeight && len(rest) != 1:
		return Change{}, fmt.Errorf("change %q: want the weight at its end, such as %q", text, "weight B 3")
	case c.Op != SetWeight && c.Op != Add && len(rest) > 0, len(rest) > 1:
		return Change{}, fmt.Errorf("change %q: %q is too much", text, strings.Join(rest, " "))
	}
	var err error
	if len(rest) == 1 {
		if c.Weight, err = strconv.Atoi(rest[0]); err != nil || c.Weight < 0 || c.Weight > sched.MaxWeight {
			return Change{}, fmt.Errorf("change %q: weight %q: want 0 to %d", text, rest[0], sched.MaxWeight)
		}
	}
	switch c.Op {
	case Add:
		if c.Addr, err = netip.ParseAddrPort(c.Server); err != nil {
			return Change{}, fmt.Errorf("change %q: %q: want an address with a port, such as 10.0.0.9:80", text, c.Server)
		}
	case Drain, Remove:
		c.Weight = 0
	}
	return c, nil
}

// String returns the text form.
func (c Change) String() string {
	switch c.Op {
	case SetWeight:
		return fmt.Sprintf("weight %s %d", c.Server, c.Weight)
	case Add:
		return fmt.Sprintf("add %v %d", c.Addr, c.Weight)
	}
	return fmt.Sprintf("%v %s", c.Op, c.Server)
}

// ErrNoServer is a change of a server that the service has not.
var ErrNoServer = errors.New("no such server")

// apply changes the running table.
func (t *table) apply(c Change) error {
	if c.Op == Add {
		return t.add(Server{Name: c.Server, Addr: c.Addr, Weight: c.Weight})
	}
	e, ok := t.entries[c.Server]
	if !ok {
		return fmt.Errorf("%v: %w: %q; there are %s", c, ErrNoServer, c.Server, strings.Join(names(t.Servers), ", "))
	}
	if c.Op == Remove {
		delete(t.entries, c.Server)
		return t.scheduler.Remove(e)
	}
	i := slices.IndexFunc(t.Servers, func(s Server) bool { return s.Name == c.Server })
	return t.scheduler.Edit(e, sched.ServerConfig{Weight: c.Weight, Upper: t.Servers[i].Upper, Lower: t.Servers[i].Lower})
}

func names(servers []Server) []string {
	var out []string
	for _, s := range servers {
		if len(out) == 12 {
			return append(out, "and more")
		}
		out = append(out, s.Name)
	}
	return out
}
