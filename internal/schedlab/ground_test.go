//go:build linux && (kernel || simtime)

package schedlab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/sched"
)

// kernelRules are those of the guest's kernel.
func kernelRules() sched.Rules {
	if os.Getenv("LVSKIT_GUEST") == "debian" {
		return sched.OlderRules
	}
	return sched.NewerRules
}

// ground is a network namespace in which cases run. Clients are packets with
// any source address, written to raw sockets: the kernel schedules them on
// their way out. It translates the address to the chosen server's, routes the
// packet to a link that leads nowhere, and there a packet socket sees the
// server's address before the write has even returned. A ground belongs to the thread that entered
// the namespace.
type ground struct {
	ctx      context.Context
	c        *ipvs.Client
	sniffer  int
	sockets  map[socketKey]int // raw ones
	timeouts ipvs.Timeouts
	buffer   [512]byte
}

type socketKey struct {
	is6  bool
	mark uint32
}

// Life of flows: as good as for ever, and while they are made to end.
const (
	long  = 10 * 24 * time.Hour
	short = time.Second
)

// inGround makes a ground and runs f in it.
func inGround(t testing.TB, expiration time.Duration, f func(*ground) error) error {
	t.Helper()
	ns := lab.New(t).Namespace("ground")
	ns.Dummy("away")
	ns.Addr("away", netip.MustParsePrefix("198.18.0.1/30"), netip.MustParsePrefix("fd00:5ed::1/126"))
	ns.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("198.18.0.2"))
	ns.Route(netip.MustParsePrefix("::/0"), netip.MustParseAddr("fd00:5ed::2"))
	return ns.Do(func() (err error) {
		g := &ground{ctx: t.Context(), sockets: map[socketKey]int{}}
		if g.c, err = ipvs.Dial(g.ctx, nil); err != nil {
			return err
		}
		defer g.c.Close()
		link, err := ns.Handle().LinkByName("away")
		if err != nil {
			return err
		}
		if g.sniffer, err = sniff(link.Attrs().Index); err != nil {
			return err
		}
		defer unix.Close(g.sniffer)
		defer func() {
			for _, fd := range g.sockets {
				unix.Close(fd)
			}
		}()
		// No rates: with hundreds of services they cost time.
		if err := sysctl("run_estimation", "0"); err != nil {
			return err
		}
		if expiration != 0 {
			seconds := fmt.Sprint(int(expiration.Seconds()))
			if err := errors.Join(sysctl("lblc_expiration", seconds), sysctl("lblcr_expiration", seconds)); err != nil {
				return err
			}
		}
		if err := g.setTimeouts(long); err != nil {
			return err
		}
		return f(g)
	})
}

func sysctl(name, value string) error {
	return os.WriteFile("/proc/sys/net/ipv4/vs/"+name, []byte(value), 0o644)
}

// sniff opens a socket that sees the packets on a link, from their network
// header on.
func sniff(link int) (int, error) {
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
	if err != nil {
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind packet socket: %w", err)
	}
	return fd, nil
}

func (g *ground) setTimeouts(d time.Duration) error {
	want := ipvs.Timeouts{TCP: d, TCPFin: d, UDP: d}
	if g.timeouts == want {
		return nil
	}
	g.timeouts = want
	return g.c.SetTimeouts(g.ctx, want)
}

// send writes one packet with a firewall mark.
func (g *ground) send(mark uint32, p packet) error {
	key := socketKey{p.to.Addr().Is6(), mark}
	fd, ok := g.sockets[key]
	if !ok {
		family := unix.AF_INET
		if key.is6 {
			family = unix.AF_INET6
		}
		var err error
		if fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			return fmt.Errorf("raw socket: %w", err)
		}
		g.sockets[key] = fd
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(int32(mark))); err != nil {
			return fmt.Errorf("SO_MARK: %w", err)
		}
	}
	var to unix.Sockaddr
	if key.is6 {
		to = &unix.SockaddrInet6{Addr: p.to.Addr().As16()}
	} else {
		to = &unix.SockaddrInet4{Addr: p.to.Addr().As4()}
	}
	err := unix.Sendto(fd, p.append(g.buffer[:0]), 0, to)
	// Nobody took it, and the kernel told so.
	if err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("send %+v: %w", p, err)
	}
	return nil
}

// arrived returns where a packet from a client went, the zero value if it
// went nowhere.
func (g *ground) arrived(sent packet) (netip.AddrPort, error) {
	for {
		n, _, err := unix.Recvfrom(g.sniffer, g.buffer[:], 0)
		if errors.Is(err, unix.EAGAIN) {
			return netip.AddrPort{}, nil
		}
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("packet socket: %w", err)
		}
		if p, ok := parsePacket(g.buffer[:n]); ok && p.from == sent.from && p.tcp == sent.tcp && p.flags == sent.flags {
			return p.to, nil
		}
	}
}

// drain forgets the packets that were seen.
func (g *ground) drain() error {
	_, err := g.arrived(packet{})
	return err
}

// service is one case in the kernel.
type service struct {
	*ground
	conf    ipvs.Service
	tcp     bool
	servers map[int]netip.AddrPort
	numbers map[netip.AddrPort]int
	flows   map[int]kernelFlow
}

type kernelFlow struct {
	client, service, server netip.AddrPort
}

// open makes the service of a case. One at an address is where the first pick
// goes.
func (g *ground) open(c Case) (*service, error) {
	s := &service{
		ground: g, tcp: c.Protocol == TCP, servers: map[int]netip.AddrPort{},
		numbers: map[netip.AddrPort]int{}, flows: map[int]kernelFlow{},
	}
	s.conf = ipvs.Service{Scheduler: c.Scheduler}
	if c.Protocol == OnePacket {
		s.conf.Flags = ipvs.OnePacket
	}
	s.setFlags(c.Flags)
	switch {
	case c.Mark != 0 && c.Is6:
		s.conf.Key = ipvs.MarkService6(c.Mark)
	case c.Mark != 0:
		s.conf.Key = ipvs.MarkService(c.Mark)
	default:
		for _, step := range c.Steps {
			if step.Op == Pick {
				s.conf.Key = ipvs.UDPService(step.Service)
				if s.tcp {
					s.conf.Key = ipvs.TCPService(step.Service)
				}
				break
			}
		}
	}
	return s, g.c.AddService(g.ctx, s.conf)
}

func (s *service) setFlags(f sched.Flags) {
	s.conf.Flags &^= ipvs.Sched1 | ipvs.Sched2
	if f&sched.FlagFallback != 0 {
		s.conf.Flags |= ipvs.Sched1
	}
	if f&sched.FlagPort != 0 {
		s.conf.Flags |= ipvs.Sched2
	}
}

func (s *service) mark() uint32 { return s.conf.Key.Mark }

func (s *service) destination(n int, c sched.ServerConfig) ipvs.Destination {
	return ipvs.Destination{Key: s.servers[n], Weight: c.Weight, UpperThreshold: c.Upper, LowerThreshold: c.Lower}
}

// play plays one sensible step; of an End only the beginning, for the flows
// take a while to go. For a pick it returns the server's number.
func (s *service) play(step Step) (int, error) {
	switch step.Op {
	case Add:
		s.servers[step.Server], s.numbers[step.Addr] = step.Addr, step.Server
		return 0, s.c.AddDestination(s.ctx, s.conf.Key, s.destination(step.Server, step.Config))
	case Edit:
		return 0, s.c.SetDestination(s.ctx, s.conf.Key, s.destination(step.Server, step.Config))
	case Remove:
		return 0, s.c.DelDestination(s.ctx, s.conf.Key, s.servers[step.Server])
	case Pick:
		return s.pick(step)
	case Half:
		f := s.flows[step.Flow]
		// The server closes its side.
		return 0, s.send(0, packet{from: f.server, to: f.client, tcp: true, flags: flagFin | flagAck})
	case End:
		if err := s.setTimeouts(short); err != nil {
			return 0, err
		}
		for _, n := range step.Flows {
			f := s.flows[n]
			if err := s.send(s.mark(), packet{from: f.client, to: f.service, tcp: s.tcp, flags: flagAck}); err != nil {
				return 0, err
			}
			delete(s.flows, n)
		}
		return 0, errors.Join(s.drain(), s.setTimeouts(long))
	case SetFlags:
		s.setFlags(step.Flags)
		return 0, s.c.SetService(s.ctx, s.conf)
	case Use:
		s.conf.Scheduler = step.Name
		return 0, s.c.SetService(s.ctx, s.conf)
	case Wait:
		time.Sleep(step.Wait)
		return 0, nil
	}
	return 0, fmt.Errorf("unknown step %q", step.Op)
}

func (s *service) pick(step Step) (int, error) {
	p := packet{from: step.Client, to: step.Service, tcp: s.tcp}
	if s.tcp {
		p.flags = flagSyn
	}
	if err := s.send(s.mark(), p); err != nil {
		return 0, err
	}
	to, err := s.arrived(p)
	if err != nil || !to.IsValid() {
		return 0, err
	}
	n := s.numbers[to]
	if n == 0 {
		return 0, fmt.Errorf("the packet went to %v, which is no server", to)
	}
	s.flows[step.Flow] = kernelFlow{client: step.Client, service: step.Service, server: to}
	if s.tcp {
		// Established flows live as long as we want.
		p.flags = flagAck
		err = s.send(s.mark(), p)
	}
	return n, err
}

// counted compares the connections of every server with the model's.
func (s *service) counted(m *Model) error {
	type counts struct{ active, inactive int }
	got := map[netip.AddrPort]counts{}
	for d, err := range s.c.Destinations(s.ctx, s.conf.Key) {
		if err != nil {
			return err
		}
		got[d.Key] = counts{int(d.Active), int(d.Inactive)}
	}
	n := 0
	for number, d := range m.servers {
		if d.removed {
			continue
		}
		n++
		if want := (counts{d.Active(), d.Inactive()}); got[d.Addr()] != want {
			return fmt.Errorf("the kernel counts %+v at server %d, the model %+v", got[d.Addr()], number, want)
		}
	}
	if n != len(got) {
		return fmt.Errorf("the kernel has %d servers, the model %d", len(got), n)
	}
	return nil
}

// settle waits until the kernel counts what the model counts.
func (s *service) settle(m *Model) error {
	var err error
	for range 400 {
		if err = s.counted(m); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// packet is what matters of a TCP segment or UDP datagram.
type packet struct {
	from, to netip.AddrPort
	tcp      bool
	flags    byte // of TCP
}

const (
	flagFin = 0x01
	flagSyn = 0x02
	flagAck = 0x10
)

// append writes the packet with its headers. Checksums are left alone: the
// kernel fills in that of IPv4, and nobody reads the others.
func (p packet) append(b []byte) []byte {
	protocol, size := byte(unix.IPPROTO_UDP), 8
	if p.tcp {
		protocol, size = unix.IPPROTO_TCP, 20
	}
	if p.to.Addr().Is4() {
		b = append(b, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(20+size))
		b = append(b, 0, 0, 0, 0, 64, protocol, 0, 0)
	} else {
		b = append(b, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(size))
		b = append(b, protocol, 64)
	}
	b = append(b, p.from.Addr().AsSlice()...)
	b = append(b, p.to.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, p.from.Port())
	b = binary.BigEndian.AppendUint16(b, p.to.Port())
	if p.tcp {
		b = append(b, 0, 0, 0, 1, 0, 0, 0, 1, 5<<4, p.flags, 0xff, 0xff, 0, 0, 0, 0)
	} else {
		b = append(b, 0, 8, 0, 0)
	}
	return b
}

// parsePacket reads what append writes; of others it says no.
func parsePacket(b []byte) (packet, bool) {
	var p packet
	if len(b) < 20 {
		return p, false
	}
	var protocol byte
	var from, to netip.Addr
	switch b[0] >> 4 {
	case 4:
		protocol = b[9]
		from, to = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		b = b[20:]
	case 6:
		if len(b) < 40 {
			return p, false
		}
		protocol = b[6]
		from, to = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		b = b[40:]
	}
	switch {
	case protocol == unix.IPPROTO_TCP && len(b) >= 20:
		p.tcp, p.flags = true, b[13]
	case protocol == unix.IPPROTO_UDP && len(b) >= 8:
	default:
		return p, false
	}
	p.from = netip.AddrPortFrom(from, binary.BigEndian.Uint16(b))
	p.to = netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[2:]))
	return p, true
}
