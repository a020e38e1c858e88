package health

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// RupConfig sets up a [Rup] check.
type RupConfig struct {
	// Port is the UDP port of rstatd; 0 asks the target's portmapper for it,
	// which is the usual way, as rstatd has another one after each start.
	// Give it where a firewall keeps the portmapper from us.
	Port uint16
	// Portmapper is the UDP port of the portmapper (rpcbind); 0 means 111.
	Portmapper uint16
	// Version is the version of the protocol to ask for, 2..4; 0 means that
	// 3 is asked for first, which every rstatd known has, then what of 4 and
	// 2 the server says it has.
	Version int
	// Dial says how to connect.
	Dial
}

// Rup asks a server's rstatd for its load averages, as the program rup does:
// program 100001 of Sun's remote procedure calls over UDP, versions 2 to 4.
// The target's port plays no part. It is OK when there is an answer, and
// Result.Load has it; the number of processors is not told. It is safe for
// concurrent use.
//
// IPv6 targets need Port: a portmapper of version 2 knows IPv4 only.
type Rup struct {
	cfg  RupConfig
	name string
}

// Numbers of rstatd, and where its answers have the load averages (rstat.x).
const (
	rstatProgram = 100001
	rstatStats   = 1
	rstatScale   = 256 // FSCALE: the averages are fixed-point numbers
	// rstatBefore are the words before the averages in versions 2 and 3,
	// rstatBetween those in version 4 after its two lists.
	rstatBefore  = 18
	rstatBetween = 11
)

// NewRup returns a load check, or an error that names every field that cannot
// be used. A nil cfg means the defaults.
func NewRup(cfg *RupConfig) (*Rup, error) {
	c := &Rup{}
	if cfg != nil {
		c.cfg = *cfg
	}
	if c.cfg.Portmapper == 0 {
		c.cfg.Portmapper = portmapperPort
	}
	err := c.cfg.Dial.validate()
	if v := c.cfg.Version; v != 0 && (v < 2 || v > 4) {
		err = errors.Join(err, fmt.Errorf("version %d: want 2, 3 or 4, or 0 for what the server has", v))
	}
	if err != nil {
		return nil, fmt.Errorf("rup check: %w", err)
	}
	c.name = fmt.Sprintf("rup port=%d portmapper=%d version=%d%s", c.cfg.Port, c.cfg.Portmapper, c.cfg.Version, c.cfg.Dial.identity())
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *Rup) Identity() string { return c.name }

// Check asks once.
func (c *Rup) Check(ctx context.Context, t Target) Result {
	host := t.Addr.Addr().Unmap()
	t.Addr = netip.AddrPortFrom(host, c.cfg.Portmapper)
	a, cancel := begin(ctx, t)
	defer cancel()
	ask := []uint32{uint32(c.cfg.Version)}
	if c.cfg.Version == 0 {
		ask = []uint32{3, 4, 2}
	}
	port := c.cfg.Port
	if port == 0 {
		if !host.Is4() {
			a.done("portmapper")
			return a.result(NoResult, "portmapper: it knows ports of IPv4 only: give the port of rstatd")
		}
		// A portmapper that knows another version only tells its port all the
		// same (RFC 1833, section 3), so this is asked once.
		var err error
		if port, err = a.getPort(&c.cfg.Dial, rstatProgram, ask[0]); err != nil {
			return a.rpcFailed("portmapper", err)
		}
		if port == 0 {
			return a.wrong("portmapper", "no rstatd (program %d) is registered over UDP: is rpc.rstatd running?", rstatProgram)
		}
		a.done("portmapper")
	}
	a.target.Addr = netip.AddrPortFrom(host, port)
	for {
		version := ask[0]
		ask = ask[1:]
		body, err := a.rpc(&c.cfg.Dial, rstatProgram, version, rstatStats)
		if err == nil {
			l, err := parseRstat(version, body)
			if err != nil {
				return a.failedOr("stats", err)
			}
			return a.loaded("stats", l, fmt.Sprintf(" (version %d, port %d)", version, port))
		}
		var refused *rpcError
		if errors.As(err, &refused) && refused.status == rpcMismatch {
			ask = slices.DeleteFunc(ask, func(v uint32) bool {
				return refused.high != 0 && (v < refused.low || v > refused.high)
			})
			if len(ask) > 0 {
				continue
			}
		}
		return a.rpcFailed("stats", err)
	}
}

// rpcFailed ends the attempt because a call brought nothing: refusals are the
// target's own words.
func (a *attempt) rpcFailed(phase string, err error) Result {
	var refused *rpcError
	if errors.As(err, &refused) {
		return a.wrong(phase, "%s", refused.text)
	}
	return a.failedOr(phase, err)
}

// parseRstat reads the load averages of an answer. What comes after them is
// left alone: on machines of 64 bits Debian's rstatd lays its times over it.
func parseRstat(version uint32, body []byte) (Load, error) {
	x := &xdr{b: body}
	if version == 4 {
		x.skip(x.word()) // the processor's states
		x.skip(x.word()) // the disks
		x.skip(rstatBetween)
	} else {
		x.skip(rstatBefore)
	}
	l := Load{One: float64(x.word()) / rstatScale, Five: float64(x.word()) / rstatScale, Fifteen: float64(x.word()) / rstatScale}
	if x.short {
		return Load{}, unwanted("the answer of version %d is cut off after %d bytes", version, len(body))
	}
	return l, l.check()
}
