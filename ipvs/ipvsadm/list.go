package ipvsadm

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// WriteList writes a listing of the table, byte for byte what `ipvsadm -L -n`
// with the same options prints. It errs with what w says, and with
// [ipvs.ErrServiceNotFound] if the one service of the options is not there.
// Connections, Timeouts and Daemons of the options are listings of other
// things: see [WriteTimeouts] and [WriteDaemons].
//
// It differs in what goes wrong there: forwarding methods that only other
// programs set are named or numbered instead of "(null)", and counters of
// destinations are not cut to 32 bits.
//
// Sorting follows the real program, which compares addresses and marks by the
// sign of their 32-bit difference: 192.168.0.0 comes before 10.0.0.0. Where a
// table holds such entries in a circle (each before the next one, the last
// before the first) the outcome depends on the order before; the kernel's
// order of services, which a snapshot does not keep, may then give another.
func WriteList(w io.Writer, o ListOptions, snap ipvs.Snapshot, info ipvs.Info) error {
	var b bytes.Buffer
	one := o.Service != (ipvs.ServiceKey{})
	if !one {
		fmt.Fprintf(&b, "IP Virtual Server version %v (size=%d)\n", info.Version, info.ConnTableSize)
	}
	layout := o.layout()
	b.WriteString(layout.header)
	if !o.NoSort {
		snap = sorted(snap, compareServices)
	}
	found := false
	for i := range snap {
		e := &snap[i]
		if one && e.Service.Key != o.Service {
			continue
		}
		found = true
		layout.service(&b, &e.Service)
		ds := e.Destinations
		if !o.NoSort {
			ds = sorted(ds, compareDestinations)
		}
		for j := range ds {
			layout.destination(&b, &ds[j])
		}
		if b.Len() > 64<<10 {
			if _, err := b.WriteTo(w); err != nil {
				return err
			}
		}
	}
	if one && !found {
		return fmt.Errorf("list service %v: %w", o.Service, ipvs.ErrServiceNotFound)
	}
	_, err := b.WriteTo(w)
	return err
}

// layout is one of the forms of the listing.
type layout struct {
	header      string
	service     func(*bytes.Buffer, *ipvs.ServiceState)
	destination func(*bytes.Buffer, *ipvs.DestinationState)
}

// layout returns the form that the options ask for.
func (o ListOptions) layout() layout {
	l := layout{service: writeService}
	switch {
	case o.Stats:
		l.header = "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n" +
			"  -> RemoteAddress:Port\n"
		l.counters(o.Exact, func(s *ipvs.Stats) [5]uint64 {
			return [5]uint64{s.Connections, s.InPackets, s.OutPackets, s.InBytes, s.OutBytes}
		})
	case o.Rate:
		l.header = "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n" +
			"  -> RemoteAddress:Port\n"
		l.counters(o.Exact, func(s *ipvs.Stats) [5]uint64 {
			return [5]uint64{s.CPS, s.InPPS, s.OutPPS, s.InBPS, s.OutBPS}
		})
	case o.Thresholds:
		l.header = "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n" +
			"  -> RemoteAddress:Port\n"
		l.destination = func(b *bytes.Buffer, d *ipvs.DestinationState) {
			fmt.Fprintf(b, "  -> %-28s %-10d %-10d %-10d %-10d\n", appendAddr(nil, d.Key), d.UpperThreshold, d.LowerThreshold, d.Active, d.Inactive)
		}
	case o.PersistentConn:
		l.header = "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n" +
			"  -> RemoteAddress:Port\n"
		l.destination = func(b *bytes.Buffer, d *ipvs.DestinationState) {
			fmt.Fprintf(b, "  -> %-28s %-9d %-11d %-10d %-10d\n", appendAddr(nil, d.Key), d.Weight, d.Persistent, d.Active, d.Inactive)
		}
	case o.TunInfo:
		l.header = "Prot LocalAddress:Port Scheduler Flags\n" +
			"  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n"
		l.destination = func(b *bytes.Buffer, d *ipvs.DestinationState) {
			fmt.Fprintf(b, "  -> %-28s %-7s %-13s %-6d %-10d %-10d\n", appendAddr(nil, d.Key), forwardWord(d.Forward), tunnelInfo(d), d.Weight, d.Active, d.Inactive)
		}
	default:
		l.header = "Prot LocalAddress:Port Scheduler Flags\n" +
			"  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
		l.destination = func(b *bytes.Buffer, d *ipvs.DestinationState) {
			fmt.Fprintf(b, "  -> %-28s %-7s %-6d %-10d %-10d\n", appendAddr(nil, d.Key), forwardWord(d.Forward), d.Weight, d.Active, d.Inactive)
		}
	}
	return l
}

// counters makes l a listing of numbers.
func (l *layout) counters(exact bool, of func(*ipvs.Stats) [5]uint64) {
	l.service = func(b *bytes.Buffer, s *ipvs.ServiceState) {
		protocol, name := serviceName(s.Key)
		fmt.Fprintf(b, "%-4s %-28s", protocol, name)
		writeCounters(b, of(&s.Stats), exact)
	}
	l.destination = func(b *bytes.Buffer, d *ipvs.DestinationState) {
		fmt.Fprintf(b, "  -> %-28s", appendAddr(nil, d.Key))
		writeCounters(b, of(&d.Stats), exact)
	}
}

func writeCounters(b *bytes.Buffer, counters [5]uint64, exact bool) {
	for _, n := range counters {
		switch {
		case exact || n < 1e8:
			fmt.Fprintf(b, " %8d", n)
		case n < 1e9:
			fmt.Fprintf(b, "%8dK", n/1e3)
		case n < 1e11:
			fmt.Fprintf(b, "%8dM", n/1e6)
		case n < 1e14:
			fmt.Fprintf(b, "%8dG", n/1e9)
		default:
			fmt.Fprintf(b, "%8dT", n/1e12)
		}
	}
	b.WriteByte('\n')
}

func writeService(b *bytes.Buffer, s *ipvs.ServiceState) {
	protocol, name := serviceName(s.Key)
	fmt.Fprintf(b, "%-4s %s %s", protocol, name, s.Scheduler)
	if s.Flags&anySched != 0 {
		b.WriteString(" (")
		b.Write(appendSchedFlags(nil, shownFlags(s.Service), s.Scheduler))
		b.WriteByte(')')
	}
	// The persistence engine is told of with the persistence only.
	if s.Persistence > 0 {
		fmt.Fprintf(b, " persistent %d", s.Persistence/time.Second)
		if n := s.Service.Normalized(); n.PersistencePrefix > 0 {
			b.WriteString(" mask ")
			b.Write(appendMask(nil, n))
		}
		if s.Engine != "" {
			b.WriteString(" pe ")
			b.WriteString(s.Engine)
		}
	}
	if s.Flags&ipvs.OnePacket != 0 {
		b.WriteString(" ops")
	}
	b.WriteByte('\n')
}

// shownFlags leaves out the flag that the schedulers with names of their own
// have none for: the real program does not list it.
func shownFlags(s ipvs.Service) ipvs.ServiceFlags {
	if s.Scheduler == "sh" || s.Scheduler == "mh" {
		return s.Flags &^ ipvs.Sched3
	}
	return s.Flags
}

// serviceName returns the first two columns of a service. Marks are printed
// as signed numbers, as the real program does.
func serviceName(k ipvs.ServiceKey) (protocol, name string) {
	if k.IsMark() {
		name = strconv.Itoa(int(int32(k.Mark)))
		if k.Mark6 {
			name += " IPv6"
		}
		return "FWM", name
	}
	switch k.Protocol {
	case ipvs.UDP:
		protocol = "UDP"
	case ipvs.SCTP:
		protocol = "SCTP"
	default:
		protocol = "TCP"
	}
	return protocol, string(appendAddr(nil, k.Addr))
}

func forwardWord(m ipvs.ForwardMethod) string {
	switch m {
	case ipvs.Masquerade:
		return "Masq"
	case ipvs.Local:
		return "Local"
	case ipvs.Tunnel:
		return "Tunnel"
	case ipvs.DirectRoute:
		return "Route"
	case ipvs.Bypass:
		return "Bypass"
	}
	return m.String()
}

func tunnelInfo(d *ipvs.DestinationState) string {
	if d.Forward != ipvs.Tunnel {
		return "n/a"
	}
	sum := [...]string{noChecksum: "-c", checksum: "+c", remoteChecksum: "r+c"}[min(d.Tunnel.Flags, remoteChecksum)]
	switch d.Tunnel.Type {
	case ipvs.GUE:
		return fmt.Sprintf("gue:%d:%s", d.Tunnel.Port, sum)
	case ipvs.GRE:
		return "gre:" + sum
	}
	return d.Tunnel.Type.String()
}

// WriteTimeouts writes what `ipvsadm -L --timeout` prints.
func WriteTimeouts(w io.Writer, t ipvs.Timeouts) error {
	_, err := fmt.Fprintf(w, "Timeout (tcp tcpfin udp): %d %d %d\n", t.TCP/time.Second, t.TCPFin/time.Second, t.UDP/time.Second)
	return err
}

// WriteDaemons writes what `ipvsadm -L --daemon` prints: the master first,
// then the backup, whatever their order.
func WriteDaemons(w io.Writer, daemons []ipvs.SyncDaemon) error {
	for _, role := range []ipvs.SyncRole{ipvs.SyncMaster, ipvs.SyncBackup} {
		for _, d := range daemons {
			if d.Role != role {
				continue
			}
			group := d.Group
			if !group.IsValid() {
				group = netip.AddrFrom4([4]byte{224, 0, 0, 81})
			}
			if _, err := fmt.Fprintf(w, "%v sync daemon (mcast=%s, syncid=%d, maxlen=%d, group=%v, port=%d, ttl=%d)\n",
				d.Role, d.Interface, d.SyncID, d.MaxLength, group, d.Port, d.TTL); err != nil {
				return err
			}
		}
	}
	return nil
}
