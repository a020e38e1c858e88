package director

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/lvscf"
	"github.com/lvskit/lvskit/lvscf/convert"
)

// ReadFile reads an lvs.cf, and no more of it than the language's own limit.
func ReadFile(path string) ([]byte, error) {
	src, cure, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", path, err, cure)
	}
	return src, nil
}

// ReadIncluded is ReadFile for a file that another one includes. Its error is
// the reason alone: the finding that tells it has the name and the cure.
func ReadIncluded(path string) ([]byte, error) {
	src, _, err := readFile(path)
	return src, err
}

func readFile(path string) (src []byte, cure string, err error) {
	// Asked before it is opened: to open a pipe waits for its writer, for ever
	// if there is none.
	info, err := os.Stat(path)
	if err != nil {
		return nil, "name the lvs.cf to read", reasonOf(err)
	}
	switch {
	case info.IsDir():
		return nil, "name the lvs.cf in it", errors.New("is a directory")
	case !info.Mode().IsRegular():
		return nil, "name the lvs.cf to read", errors.New("is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, "name an lvs.cf that may be read", reasonOf(err)
	}
	defer f.Close()
	// One byte more than the limit is enough for the parser to refuse it.
	src, err = io.ReadAll(io.LimitReader(f, lvscf.MaxSize+1))
	if err != nil {
		return nil, "name an lvs.cf that can be read", reasonOf(err)
	}
	return src, "", nil
}

// reasonOf is the reason alone of an error with a file, for messages that
// begin with the file's name.
func reasonOf(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// LoadFile reads, checks and resolves an lvs.cf. The error is a
// [*lvscf.InvalidFileError] when the file is at fault.
func LoadFile(ctx context.Context, path string) (*Setup, error) {
	src, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Load(ctx, path, src)
}

// Load is LoadFile for a file that was read already; path names it in
// messages.
func Load(ctx context.Context, path string, src []byte) (*Setup, error) {
	conf, diags := lvscf.Options{Include: ReadIncluded}.Load(path, src)
	if err := diags.Err(); err != nil {
		return nil, err
	}
	more := conf.Resolve(func(name string) (netip.Addr, error) { return lookup(ctx, name) })
	if err := more.Err(); err != nil {
		return nil, err
	}
	s, err := FromLVSCF(conf)
	if err != nil {
		return nil, err
	}
	for _, d := range diags {
		if d.Severity == lvscf.Hint {
			continue // advice is for check to give
		}
		s.Notes = append(s.Notes, d.String())
	}
	return s, nil
}

// lookup finds the IPv4 address of a name, as Piranha did at parse time.
func lookup(ctx context.Context, name string) (netip.Addr, error) {
	as, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", name)
	if err != nil {
		return netip.Addr{}, err
	}
	if len(as) == 0 {
		return netip.Addr{}, errors.New("no IPv4 address")
	}
	return as[0].Unmap(), nil
}

// programsAtOnce is how many programs of all checks together may run at once:
// eight times the default, as checks by slow programs are common.
const programsAtOnce = 512

// FromLVSCF turns a configuration into a setup. What the file asks for and
// the director does not do is in the setup's notes; nothing is dropped in
// silence.
func FromLVSCF(c *lvscf.Config) (*Setup, error) {
	if c.Service == lvscf.FOS {
		return nil, fmt.Errorf("%s:%v: service = fos: failover services are not run, only virtual ones: set service = lvs", c.Path, c.Origins.Pos("service"))
	}
	s := &Setup{Source: c.Path, Serial: int(c.Serial), Digest: c.Digest(), Config: c, Drain: c.DrainTime, paths: &paths{}}
	var err error
	if s.programs, err = health.NewPrograms(&health.ProgramsConfig{AtOnce: programsAtOnce}); err != nil {
		return nil, err
	}
	s.Active, s.Inactive, s.Notify, s.FIFO = c.ActiveCmd, c.InactiveCmd, c.NotifyCmd, c.NotifyFIFO
	alone := c.FailoverMode == lvscf.PulseMode && !c.BackupActive
	if c.SyncDaemon && alone {
		s.note("syncdaemon = 1 has no effect without a backup router: nobody is there to copy connections to")
	} else if c.SyncDaemon {
		s.Sync = &ipvs.SyncDaemon{
			Interface: c.SyncdIface, SyncID: uint32(c.SyncdID), MaxLength: c.SyncdMaxLen, Group: c.SyncdGroup, Port: c.SyncdPort, TTL: c.SyncdTTL,
		}
	}
	if c.MonitorLinks && alone {
		s.note("monitor_links = 1 has no effect without a backup router: nobody is there to hand over to")
	} else if c.MonitorLinks {
		s.Links = ownLinks(c)
	}
	if alone || c.FailoverMode == lvscf.VRRPMode {
		for _, name := range []string{"witness", "fence_cmd"} {
			if c.Origins.Has(name) {
				s.note("%s has no effect: it is asked before the place of a silent partner is taken, which is there with a backup router and heartbeats", name)
			}
		}
	}
	s.Timeouts = ipvs.Timeouts{TCP: c.TCPTimeout, TCPFin: c.TCPFinTimeout, UDP: c.UDPTimeout}
	s.Heartbeat = heartbeat(c)
	if h := &s.Heartbeat; h.Enabled && h.DeadAfter < 2*h.Interval {
		// One lost datagram must not be a death.
		h.Interval = h.DeadAfter / 3
		s.note("deadtime %v leaves no room for two heartbeats %v apart: one is sent every %v", c.Deadtime, c.Keepalive, h.Interval)
	}
	if c.FailoverMode == lvscf.VRRPMode {
		if err := s.setRouters(c); err != nil {
			return nil, err
		}
	}
	used := make(map[string]bool)
	services, losses := convert.Services(c)
	for _, l := range losses {
		s.note("%s: %s: %s: %s", l.Where.Path, l.What, l.Why, l.Nearest)
	}
	s.Declared = declarations(c, services)
	for i := range services {
		vs, err := s.virtualService(c, &services[i], used)
		if err != nil {
			return nil, err
		}
		v := services[i].Virtual
		list, err := s.moveWith(c, v, &vs)
		if err != nil {
			return nil, err
		}
		s.Services = append(s.Services, vs)
		if v.Address.Addr.IsValid() {
			s.addAddress(c, list, v.Address.Addr, v.Netmask, v.Device)
		}
	}
	if c.Network == lvscf.NAT && c.NATRouter.Address.Addr.IsValid() {
		s.addAddress(c, s.listFor(c, c.NATRouter.Device), c.NATRouter.Address.Addr, c.NATNetmask, c.NATRouter.Device)
	}
	for _, a := range c.FloatingAddresses {
		s.addAddress(c, s.listFor(c, a.Device), a.Prefix.Addr(), lvscf.Netmask(a.Prefix.Bits()), a.Device)
	}
	if routes := virtualRoutes(c.Routes); len(s.Routers) == 0 {
		s.Routes = routes
	} else {
		for _, route := range routes {
			r := s.routerFor(route.Device)
			r.Routes = append(r.Routes, route)
		}
	}
	s.Announcing = announcing(c.Announcing)
	for _, a := range c.StaticAddresses {
		base, label := failover.SplitAlias(a.Device)
		s.Statics = append(s.Statics, failover.VirtualAddress{Prefix: a.Prefix, Device: base, Label: label})
	}
	if err := s.checkRouters(); err != nil {
		return nil, err
	}
	if err := s.setAlarm(c); err != nil {
		return nil, err
	}
	s.noteIdle(c)
	return s, nil
}

// note adds what an operator should know, once.
func (s *Setup) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(s.Notes, text) {
		s.Notes = append(s.Notes, text)
	}
}

// ownLinks are the public and private addresses of both routers, as far as the
// file has them.
func ownLinks(c *lvscf.Config) (links [2][]netip.Addr) {
	for i, list := range [2][2]lvscf.Host{{c.Primary, c.PrimaryPrivate}, {c.Backup, c.BackupPrivate}} {
		for _, h := range list {
			if h.Addr.IsValid() && !slices.Contains(links[i], h.Addr) {
				links[i] = append(links[i], h.Addr)
			}
		}
	}
	return links
}

func heartbeat(c *lvscf.Config) Heartbeat {
	h := Heartbeat{
		Enabled: c.BackupActive,
		Primary: []netip.Addr{c.Primary.Addr}, Backup: []netip.Addr{c.Backup.Addr},
		Port: c.HeartbeatPort, Interval: c.Keepalive, DeadAfter: c.Deadtime,
		KeyFile: c.HeartbeatKeyFile, Witness: c.Witness.Addr, Fence: c.FenceCmd,
	}
	if p, b, ok := c.PrivatePath(); ok {
		h.Primary, h.Backup = append(h.Primary, p.Addr), append(h.Backup, b.Addr)
	}
	for _, p := range c.HeartbeatPaths {
		h.Primary, h.Backup = append(h.Primary, p.Primary.Addr), append(h.Backup, p.Backup.Addr)
	}
	return h
}

// addAddress adds a floating address to a list, once, on the device of the
// first service that names it. Without a mask it stands alone: the class default
// of old would bring a route to half the world with it. A router's own
// address does not float: to give it back would cut the router off.
func (s *Setup) addAddress(c *lvscf.Config, list *[]failover.VirtualAddress, a netip.Addr, mask lvscf.Netmask, device string) {
	for _, own := range []lvscf.Host{c.Primary, c.PrimaryPrivate, c.Backup, c.BackupPrivate} {
		if own.Addr == a {
			s.note("virtual address %v is a router's own address: it stays where it is and does not move", a)
			return
		}
	}
	for _, have := range *list {
		if have.Prefix.Addr() == a {
			return
		}
	}
	bits := a.BitLen()
	switch {
	case mask.Bits() > bits:
		s.note("virtual address %v: a mask of %d bits is longer than the address: it stands alone", a, mask.Bits())
	case mask != 0:
		bits = mask.Bits()
	}
	base, label := failover.SplitAlias(device)
	*list = append(*list, failover.VirtualAddress{Prefix: netip.PrefixFrom(a, bits), Device: base, Label: label})
}

// unique returns name, or name#2 and so on, so that id of it is not used yet,
// and uses it. Piranha let two blocks share a name, and its web tool gave them
// all the same to begin with; states are kept by it.
func unique(name string, used map[string]bool, id func(string) string) string {
	try := name
	for n := 2; used[id(try)]; n++ {
		try = fmt.Sprintf("%s#%d", name, n)
	}
	used[id(try)] = true
	return try
}

func (s *Setup) virtualService(c *lvscf.Config, from *convert.Service, used map[string]bool) (VirtualService, error) {
	v := from.Virtual
	if err := reserved(from.Service.Key); err != nil {
		return VirtualService{}, fmt.Errorf("%s:%v: virtual %s: %w", c.Path, v.Pos, v.Name, err)
	}
	out := VirtualService{
		Name:    unique(v.Name, used, func(n string) string { return "virtual\x00" + n }),
		Service: from.Service, Quiesce: v.QuiesceServer, Quorum: v.Quorum, Hysteresis: v.QuorumHysteresis,
		QuorumUp: v.QuorumUpCmd, QuorumDown: v.QuorumDownCmd, DownOnStop: v.DownOnStop,
	}
	load, err := s.loadSource(c, v)
	if err != nil {
		return out, err
	}
	name := func(n string) string {
		return unique(n, used, func(n string) string { return WatchID(out.Name, n) })
	}
	for _, r := range from.Servers {
		server, err := s.realServer(c, v, r, name)
		if err != nil {
			return out, err
		}
		server.SlowStart = cmp.Or(r.Server.SlowStart, v.SlowStart)
		server.Load, server.FollowLoad = load, load != LoadSource{}
		out.Servers = append(out.Servers, server)
	}
	for _, r := range from.Sorry {
		k := r.Server
		switch {
		case k == nil:
			out.Sorry = append(out.Sorry, RealServer{Name: name("sorry server"), Destination: r.Destination, Target: health.Target{Addr: r.Destination.Key}})
			continue
		case len(k.Checks) == 0 && (k.Check == lvscf.CheckPiranha || k.Check == lvscf.CheckNone):
			// Only checks of its own count: the service's are made for servers
			// with the pages that a sorry server does not have.
			if k.UpCmd != "" || k.DownCmd != "" {
				s.note("virtual %s: server %s: up_cmd and down_cmd have no effect: it is a sorry server without a check of its own, and always up", v.Name, k.Name)
			}
			out.Sorry = append(out.Sorry, RealServer{
				Name: name(k.Name), Destination: r.Destination, Maintenance: k.Maintenance,
				Target: health.Target{Addr: netip.AddrPortFrom(k.Address.Addr, k.Port)},
			})
			continue
		}
		server, err := s.realServer(c, v, r, name)
		if err != nil {
			return out, err
		}
		out.Sorry = append(out.Sorry, server)
	}
	s.setUnit(v, &out)
	return out, nil
}

// realServer is a server with its checks.
func (s *Setup) realServer(c *lvscf.Config, v *lvscf.Virtual, r convert.Server, unique func(string) string) (RealServer, error) {
	k := r.Server
	name := unique(k.Name)
	where := fmt.Sprintf("virtual %s: server %s", v.Name, k.Name)
	check, err := s.check(v, k, r.Destination, where)
	if err != nil {
		return RealServer{}, fmt.Errorf("%s:%v: %s: %w", c.Path, cmp.Or(check.pos, checkPos(v)), where, onOneLine{err})
	}
	out := RealServer{
		Name:        name,
		Destination: r.Destination,
		Target:      health.Target{Addr: netip.AddrPortFrom(k.Address.Addr, k.Port), Name: name},
		Checker:     check.checker, Policy: check.policy, Initial: check.initial,
		Quiesce: k.QuiesceServer, Maintenance: k.Maintenance, Up: k.UpCmd, Down: k.DownCmd,
	}
	agent, other := false, false
	for _, question := range v.ChecksOf(k) {
		agent = agent || question.Kind == lvscf.CheckAgent
		other = other || question.UseWeight
	}
	out.TellsWeight = agent || other
	// Of several weights the least counts, so they must be of one sort.
	if out.TellsShare = agent && !other; agent && other {
		s.note("%s: the percentage of its agent is taken for a weight, as another check tells a weight", where)
	}
	return out, nil
}

// fineUnit is the unit of weights that move, that of package feedback.
const fineUnit = 64

// setUnit chooses the unit of a service's weights, and notes where they cannot
// move.
func (s *Setup) setUnit(v *lvscf.Virtual, out *VirtualService) {
	moves := slices.ContainsFunc(out.Servers, func(r RealServer) bool { return r.SlowStart > 0 || r.FollowLoad })
	if !moves && !slices.ContainsFunc(out.Servers, func(r RealServer) bool { return r.TellsShare }) {
		return
	}
	why := ""
	switch v.Scheduler.String() {
	case "sh", "mh":
		why = "each change of a weight would move clients to other servers"
	case "rr", "lc", "dh":
		why = "it does not look at weights"
	case "fo":
		why = "its weights are an order"
	case "ovf", "lblc", "lblcr":
		// A weight is a number of connections there.
		return
	default:
		out.Unit = fineUnit
		return
	}
	if !moves {
		return
	}
	s.note("virtual %s: slow_start and load_monitor have no effect with scheduler = %s: %s", v.Name, v.Scheduler, why)
	for i := range out.Servers {
		out.Servers[i].SlowStart, out.Servers[i].FollowLoad = 0, false
	}
}

// onOneLine is an error whose faults do not stand on lines of their own, where
// they would be without a place.
type onOneLine struct{ error }

func (e onOneLine) Error() string { return strings.ReplaceAll(e.error.Error(), "\n", "; ") }
func (e onOneLine) Unwrap() error { return e.error }

// checkPos is where a check stands that has no block.
func checkPos(v *lvscf.Virtual) lvscf.Pos {
	for _, directive := range []string{"send_program", "expect", "send"} {
		if p := v.Origins.Pos(directive); p.IsValid() {
			return p
		}
	}
	return v.Pos
}
