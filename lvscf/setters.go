package lvscf

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

// scope is where the values of a body go. v, s, k and r are nil outside of
// such blocks.
type scope struct {
	where   blockMask
	c       *Config
	v       *Virtual
	s       *Server
	k       *Check
	r       *VRRP
	kind    BlockKind
	origins *Origins
	// virtualPort is that of the virtual block around a server block so far.
	virtualPort uint16
	// seen holds the last line of each directive of the body.
	seen []*Line
}

// wholeSeconds reads seconds; whether zero can be run depends on others.
func wholeSeconds(v *values) (time.Duration, bool) { return v.seconds(math.MinInt32) }

func zeroOrMore(v *values) (time.Duration, bool) { return v.seconds(0) }

func wordsOf[T ~uint8](words []string) func(*values) (T, bool) {
	return func(v *values) (T, bool) {
		n, ok := v.word(words)
		return T(n), ok
	}
}

func setNATRouter(s *scope, v *values) {
	if host, ok := v.host(false); ok {
		if device, ok := v.device(); ok {
			s.c.NATRouter = Router{Address: host, Device: device}
		}
	}
}

func setVirtualAddress(s *scope, v *values) {
	if host, ok := v.host(false); ok {
		if device, ok := v.device(); ok {
			s.v.Address, s.v.Device = host, device
		}
	}
}

func setMonitorLinks(s *scope, v *values) {
	n, ok := v.number(math.MinInt32, math.MaxInt32)
	if !ok {
		return
	}
	if n != 0 && n != 1 {
		v.warn(codeCountsAsOne, v.args[0], quote(v.args[0].Text)+" counts as 1", "write 1 for yes or 0 for no")
	}
	s.c.MonitorLinks = n != 0
}

func setSyncdID(s *scope, v *values) {
	n, ok := v.number(math.MinInt32, math.MaxInt32)
	if !ok {
		return
	}
	s.c.SyncdID = uint8(n)
	if n < 0 || n > math.MaxUint8 {
		v.warn(codeSyncdID, v.args[0], fmt.Sprintf("only the low 8 bits count, which are %d", s.c.SyncdID), "syncd_id should be 0..255")
	}
}

func setSorryServer(s *scope, v *values) {
	addr, ok := v.address()
	switch {
	case !ok:
	case addr.IsUnspecified():
		s.v.SorryServer = netip.Addr{}
	default:
		s.v.SorryServer = addr
	}
}

func setFWMark(s *scope, v *values) {
	n, ok := v.number(0, math.MaxUint32)
	if !ok {
		return
	}
	if n > math.MaxInt32 {
		v.warn(codeNegativeMark, v.args[0], "Piranha would take this firewall mark as a negative number", "use a mark of 1..2147483647")
	}
	s.v.FWMark = uint32(n)
}

func setVirtualPort(s *scope, v *values) {
	n, ok := v.portOrAll(true)
	if !ok {
		return
	}
	s.v.Port = n
	for i := range s.v.Servers {
		if srv := &s.v.Servers[i]; srv.Port == 0 {
			srv.Port = n // every port is none of its own to keep
		}
	}
	for i := range s.v.Servers {
		if srv := &s.v.Servers[i]; srv.Port != n && !srv.Origins.Has("port") {
			v.warn(codeLatePort, v.args[0], fmt.Sprintf("the server blocks above this line keep port %d", srv.Port),
				"move the port line above the server blocks, or give them ports of their own")
			return
		}
	}
}

// setServerPort takes 0 only where the service has every port.
func setServerPort(s *scope, v *values) {
	read := v.port
	if s.virtualPort == 0 {
		read = v.portOrAll
	}
	if n, ok := read(false); ok {
		s.s.Port = n
	}
}

func setPersistent(s *scope, v *values) {
	d, ok := v.seconds(math.MinInt32)
	if !ok {
		return
	}
	if d < 0 {
		v.warn(codeNegativeTime, v.args[0], "a negative time turns persistence off", "write 0, or remove the line")
		d = 0
	}
	s.v.Persistent = d
}

// setPMask ignores a mask that cannot be read, as Piranha does, but says so.
func setPMask(s *scope, v *values) {
	t := v.args[0]
	if m, ok := prefixLength(t.Text); ok {
		if v.extension(t, "prefix lengths") {
			s.v.PMask = m
		}
		return
	}
	addr, note, ok := v.inetAton(t.Text)
	if !ok {
		v.warn(codeIgnoredMask, t, quote(t.Text)+" is no netmask, and is ignored", v.example())
		return
	}
	if m, ok := v.maskOf(addr, note); ok {
		if m == 32 { // single clients: the same as no mask
			m = 0
		}
		s.v.PMask = m
	}
}

func setReentry(s *scope, v *values) {
	d, ok := v.seconds(0)
	if !ok {
		return
	}
	if d == 0 {
		v.warn(codeReentryZero, v.args[0], "0 is taken as the default of 180 seconds", "write 180, or 1 for as soon as possible")
		d = defaultReentry
	}
	s.v.Reentry = d
}

// timing returns the place of the timing in a virtual or check block.
func (s *scope) timing() *Timing {
	if s.k != nil {
		return &s.k.Timing
	}
	return &s.v.Timing
}

// tunneling returns the place of the tunnel in a server or virtual block, as
// the next ones do for what both have.
func (s *scope) tunneling() *Tunneling {
	if s.s != nil {
		return &s.s.Tunneling
	}
	return &s.v.Tunneling
}

func (s *scope) forward() **Network {
	if s.s != nil {
		return &s.s.Forward
	}
	return &s.v.Forward
}

func (s *scope) check() *CheckKind {
	if s.s != nil {
		return &s.s.Check
	}
	return &s.v.Check
}

func (s *scope) slowStart() *time.Duration {
	if s.s != nil {
		return &s.s.SlowStart
	}
	return &s.v.SlowStart
}

func (s *scope) startState() *StartState {
	if s.k != nil {
		return &s.k.StartState
	}
	return &s.v.StartState
}

// announcing returns the place of the announcements, in a vrrp block or the
// global section.
func (s *scope) announcing() *Announcing {
	if s.r != nil {
		return &s.r.Announcing
	}
	return &s.c.Announcing
}

// notifyCmd returns the place of notify_cmd.
func (s *scope) notifyCmd() *string {
	if s.r != nil {
		return &s.r.NotifyCmd
	}
	return &s.c.NotifyCmd
}
