package userspace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/sched"
)

// frontend is a socket of a service.
type frontend interface {
	// close gives the address free before it returns.
	close()
	// forget ends what cannot go on without the destination.
	forget(*destination)
	// sweep ends what is idle.
	sweep(now int64)
	// connections calls yield for what is open, until it returns false, and
	// reports whether it never did. No lock is held during a call.
	connections(yield func(Connection) bool) bool
}

// listener is one socket of a service and where it is.
type listener struct {
	place
	front       frontend
	descriptors int64 // that it is counted with
}

// service is a virtual service. Connections may hold it after its deletion.
type service struct {
	b       *Balancer
	key     ipvs.ServiceKey
	sched   *sched.Scheduler
	persist atomic.Pointer[persistence] // nil when the service is not persistent
	stats   stats
	open    atomic.Int64 // TCP connections, see Balancer.admit
	opts    atomic.Pointer[options]
	closed  closedConns
	// onePacket: each datagram is scheduled by itself.
	onePacket atomic.Bool
	sessions  atomic.Int64 // of UDP, over all sockets

	// Guarded by Balancer.mu.
	conf     ipvs.Service
	declared ServiceConfig
	dests    map[ipvs.DestinationKey]*destination
	fronts   []listener
	ports    int // how many addresses and ports there are or will be
}

// options returns the settings of the service, which may be other ones later.
func (s *service) options() *options { return s.opts.Load() }

// destination is a real server of one service.
type destination struct {
	addr      netip.AddrPort // as in the table; link.target is to connect to
	stats     stats
	templates atomic.Int32
	gone      atomic.Bool // deleted from the table

	// Guarded by Balancer.mu; on the way of a packet the server comes from
	// the scheduler.
	conf   ipvs.Destination
	server *sched.Server
}

// link is what a connection holds of its destination.
type link struct {
	dest   *destination
	server *sched.Server
	owner  *persistence // of the template
	tmpl   *template    // nil without persistence
}

// target returns the address to connect to for a client that came to the
// address at: a destination with port 0 keeps the port.
func (l *link) target(at netip.AddrPort) netip.AddrPort { return l.dest.target(at) }

func (d *destination) target(at netip.AddrPort) netip.AddrPort {
	if d.addr.Port() == 0 {
		return netip.AddrPortFrom(d.addr.Addr(), at.Port())
	}
	return d.addr
}

// notAt reports a destination that is the service itself, at one of its
// addresses.
func (d *destination) notAt(at netip.AddrPort) error {
	to := d.target(at)
	all := at.Addr().IsUnspecified() && to.Addr().IsLoopback() && to.Addr().Is4() == at.Addr().Is4() && to.Port() == at.Port()
	if to == at || all {
		return withErrno(syscall.EINVAL, fmt.Errorf("destination %v: that is the service itself, its connections would go in circles: name the server's own address", to))
	}
	return nil
}

func (l *link) release(active bool) {
	l.server.Closed(active)
	if l.tmpl != nil {
		l.owner.release(l.tmpl)
	}
}

// drop gives back all of a link but the count of its connection.
func (l *link) drop() {
	if l.tmpl != nil {
		l.owner.release(l.tmpl)
	}
}

func newService(b *Balancer, conf ipvs.Service) (*service, error) {
	if err := supported(conf); err != nil {
		return nil, err
	}
	sc, err := sched.New(conf.Scheduler, &sched.Options{Rules: b.cfg.Rules, Flags: schedFlags(conf)})
	if err != nil {
		return nil, schedErr(err)
	}
	s := &service{b: b, key: conf.Key, sched: sc, conf: conf, dests: map[ipvs.DestinationKey]*destination{}, declared: b.declared[conf.Key]}
	s.closed.init(maxClosed)
	s.setOptions()
	s.onePacket.Store(onePacket(conf))
	s.setPersistence(conf)
	return s, nil
}

// setOptions takes over what was declared and what the balancer says.
func (s *service) setOptions() {
	opts := s.b.cfg.options(s.declared)
	s.opts.Store(opts)
	s.closed.setFin(opts.finTimeout)
}

// schedFlags are the flags that the scheduler reads: the names of sh and mh
// share two bits.
func schedFlags(conf ipvs.Service) sched.Flags {
	var f sched.Flags
	if conf.Flags&ipvs.SHFallback != 0 {
		f |= sched.FlagFallback
	}
	if conf.Flags&ipvs.SHPort != 0 {
		f |= sched.FlagPort
	}
	return f
}

// onePacket reports whether datagrams are scheduled one by one. As in the
// kernel the flag is taken for any service and does nothing to TCP.
func onePacket(conf ipvs.Service) bool { return conf.Flags&ipvs.OnePacket != 0 }

// schedErr gives an error of the scheduler the meaning that the kernel's has.
func schedErr(err error) error {
	if errors.Is(err, sched.ErrUnknownScheduler) {
		return withErrno(syscall.ENOENT, err)
	}
	return err
}

// supported reports what keeps a valid configuration from being carried.
func supported(conf ipvs.Service) error {
	k := conf.Key
	switch {
	case !k.IsMark() && k.Protocol != ipvs.TCP && k.Protocol != ipvs.UDP:
		return &UnsupportedError{Feature: "protocol " + k.Protocol.String(), Reason: "only tcp and udp are carried; use the kernel's IPVS"}
	case conf.Engine != "":
		return &UnsupportedError{"persistence engine " + conf.Engine, "clients are told apart by address only; leave it out", syscall.ENOENT}
	}
	return nil
}

// bitLen is the length of the addresses of a service.
func bitLen(k ipvs.ServiceKey) int {
	if k.Is6() {
		return 128
	}
	return 32
}

// listen opens the sockets of the service, all or none.
func (s *service) listen(ctx context.Context) error {
	all, err := places(s.key, s.declared)
	if err != nil {
		return err
	}
	s.ports = len(all)
	for _, p := range all {
		l, err := s.listenAt(ctx, p)
		if err != nil {
			s.close()
			return err
		}
		s.fronts = append(s.fronts, l)
	}
	return nil
}

func (s *service) listenAt(ctx context.Context, p place) (listener, error) {
	open := s.b.listenTCP
	if p.protocol == ipvs.UDP {
		open = s.b.listenUDP
	}
	// As many sockets as there are loops, at most.
	n := int64(s.b.processors)
	if !s.b.takeDescriptors(n) {
		return listener{}, withErrno(syscall.EMFILE, fmt.Errorf("listen on %v: the process is close to its limit of descriptors: raise it (RLIMIT_NOFILE)", p.addr))
	}
	front, err := open(ctx, s, p.addr)
	if err != nil {
		s.b.giveDescriptors(n)
		return listener{}, listenErr(err)
	}
	return listener{p, front, n}, nil
}

func (s *service) closeListener(l listener) {
	l.front.close()
	s.b.giveDescriptors(l.descriptors)
}

// close closes the sockets; what goes on without them holds the service.
func (s *service) close() {
	for _, l := range s.fronts {
		s.closeListener(l)
	}
	s.fronts = nil
	s.closed.drop()
}

// sweep ends what is idle.
func (s *service) sweep(now int64) {
	for _, l := range s.fronts {
		l.front.sweep(now)
	}
	s.closed.sweep(now)
	if p := s.persist.Load(); p != nil {
		p.sweep(now)
	}
}

// set changes all of a service but its key.
func (s *service) set(conf ipvs.Service) error {
	if err := supported(conf); err != nil {
		return err
	}
	if err := s.sched.Use(conf.Scheduler); err != nil {
		return schedErr(err)
	}
	s.sched.SetFlags(schedFlags(conf))
	s.onePacket.Store(onePacket(conf))
	s.setPersistence(conf)
	s.conf = conf
	return nil
}

func (s *service) setPersistence(conf ipvs.Service) {
	prefix := conf.PersistencePrefix
	if prefix == 0 {
		prefix = bitLen(conf.Key)
	}
	old := s.persist.Load()
	switch {
	case conf.Persistence == 0:
		s.persist.Store(nil)
	case old != nil && old.prefix == prefix:
		old.setTimeout(conf.Persistence)
		return
	default:
		s.persist.Store(newPersistence(s, prefix, conf.Persistence))
	}
	if old != nil {
		old.drop()
	}
}

func schedConfig(conf ipvs.Destination) sched.ServerConfig {
	return sched.ServerConfig{Weight: conf.Weight, Upper: conf.UpperThreshold, Lower: conf.LowerThreshold}
}

// broadcast is the address of all hosts of a network.
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func (s *service) addDestination(conf ipvs.Destination) error {
	if _, ok := s.dests[conf.Key]; ok {
		return syscall.EEXIST
	}
	addr := conf.Key.Addr()
	if addr.IsUnspecified() || addr.IsMulticast() || addr == broadcast || addr.Is6() && addr.IsLinkLocalUnicast() {
		return withErrno(syscall.EINVAL, fmt.Errorf("destination %v: want the address of one host, and none that needs an interface named", conf.Key))
	}
	d := &destination{conf: conf, addr: conf.Key}
	for _, l := range s.fronts {
		if err := d.notAt(l.addr); err != nil {
			return err
		}
	}
	server, err := s.sched.Add(conf.Key, schedConfig(conf), d)
	if err != nil {
		return err
	}
	d.server = server
	s.dests[conf.Key] = d
	return nil
}

func (s *service) setDestination(conf ipvs.Destination) error {
	d, ok := s.dests[conf.Key]
	if !ok {
		return syscall.ENOENT
	}
	if err := s.sched.Edit(d.server, schedConfig(conf)); err != nil {
		return err
	}
	d.conf = conf
	return nil
}

func (s *service) delDestination(key ipvs.DestinationKey) error {
	d, ok := s.dests[key]
	if !ok {
		return syscall.ENOENT
	}
	err := s.sched.Remove(d.server)
	delete(s.dests, key)
	d.gone.Store(true)
	for _, l := range s.fronts {
		l.front.forget(d)
	}
	return err
}

// errNoServer is the answer of a scheduler that has none.
var errNoServer = errors.New("no destination takes a connection")

// pick chooses a destination other than avoid, which may be nil, for a client
// that came to the address at.
func (s *service) pick(client, at netip.AddrPort, avoid *sched.Server) (link, error) {
	if p := s.persist.Load(); p != nil {
		return p.pick(client, at, avoid)
	}
	return s.schedule(client, at, avoid)
}

// schedule asks the scheduler alone.
func (s *service) schedule(client, at netip.AddrPort, avoid *sched.Server) (link, error) {
	server := s.sched.PickOther(sched.Flow{Client: client, Service: at, Now: time.Duration(s.b.now())}, avoid)
	if server == nil {
		return link{}, errNoServer
	}
	return link{dest: server.Value().(*destination), server: server}, nil
}

// moved counts payload for the service and a destination.
func (s *service) moved(d *destination, n int64, toServer bool) {
	s.stats.moved(n, toServer)
	d.stats.moved(n, toServer)
}

// movedPackets counts datagrams for the service and a destination.
func (s *service) movedPackets(d *destination, packets, n int64, toServer bool) {
	s.stats.movedPackets(packets, n, toServer)
	d.stats.movedPackets(packets, n, toServer)
}

func (s *service) estimate() {
	s.stats.estimate()
	for _, d := range s.dests {
		d.stats.estimate()
	}
}

func (s *service) zero() {
	s.stats.zero()
	for _, d := range s.dests {
		d.stats.zero()
	}
}

func (s *service) snapshot() ipvs.EntryState {
	e := ipvs.EntryState{Service: ipvs.ServiceState{Service: s.conf, Stats: s.stats.snapshot()}, Destinations: []ipvs.DestinationState{}}
	for _, server := range s.sched.Servers() {
		d := server.Value().(*destination)
		e.Destinations = append(e.Destinations, ipvs.DestinationState{
			Destination: d.conf,
			Active:      uint32(server.Active()),
			Inactive:    uint32(server.Inactive()),
			Persistent:  uint32(d.templates.Load()),
			Stats:       d.stats.snapshot(),
		})
	}
	return e
}
