package failover_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
)

// gag is a transport on which sending fails while it is set, as with a firewall
// for what goes out.
type gag struct {
	failover.Transport
	set atomic.Bool
}

func (g *gag) Listen(ctx context.Context, local netip.AddrPort) (failover.PacketConn, error) {
	c, err := g.Transport.Listen(ctx, local)
	return gagged{c, g}, err
}

type gagged struct {
	failover.PacketConn
	g *gag
}

func (c gagged) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if c.g.set.Load() {
		return 0, &net.OpError{Op: "write", Net: "udp", Addr: net.UDPAddrFromAddrPort(to), Err: os.NewSyscallError("sendto", syscall.EPERM)}
	}
	return c.PacketConn.WriteToUDPAddrPort(b, to)
}

const dropped = "sending on public and private fails: operation not permitted: a firewall of this router drops it: let UDP to port 539 out"

func TestSplitIsNamedOnBothNodes(t *testing.T) {
	tests := []struct {
		name            string
		do              func(p *pair, g *gag)
		roles           [2]failover.Role
		primary, backup string // the reasons, after that of the role
	}{
		{
			"a way that is cut in the middle", func(p *pair, _ *gag) { p.net.Partition(p.primary.host, p.backup.host) },
			[2]failover.Role{failover.RoleActive, failover.RoleActive},
			"the partner is silent on public and private", "",
		},
		{
			"a firewall on one node for both directions", func(p *pair, g *gag) {
				p.net.Cut(p.backup.host, p.primary.host, true)
				g.set.Store(true)
			},
			[2]failover.Role{failover.RoleActive, failover.RoleActive},
			"the partner is silent on public and private; " + dropped, "",
		},
		{
			"a firewall on one node for what goes out", func(_ *pair, g *gag) { g.set.Store(true) },
			[2]failover.Role{failover.RoleBackup, failover.RoleActive},
			"the partner is heard and does not hear this router: " + dropped, "",
		},
		{
			"a firewall on the other node for what comes in", func(p *pair, _ *gag) { p.net.Cut(p.primary.host, p.backup.host, true) },
			[2]failover.Role{failover.RoleBackup, failover.RoleActive},
			"the partner is heard and does not hear this router: what is sent on public and private is lost on the way, or a firewall there drops it", "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(func(t *testing.T) {
			g := new(gag)
			p := both(t, func(a, _ *failover.Config) { g.Transport, a.Transport = a.Transport, g })
			why := p.primary.node.Status().Reason
			tt.do(p, g)
			time.Sleep(5 * time.Second)
			p.want(tt.roles[0], tt.roles[1])
			if tt.roles[0] == failover.RoleBackup {
				why = "the partner is active"
			}
			if diff := cmp.Diff(why+"; "+tt.primary, p.primary.node.Status().Reason); diff != "" {
				t.Errorf("reason of the primary (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(silent+tt.backup, p.backup.node.Status().Reason); diff != "" {
				t.Errorf("reason of the backup (-want +got):\n%s", diff)
			}
			g.set.Store(false)
			p.net.Heal()
			time.Sleep(time.Second)
			for _, s := range []*side{p.primary, p.backup} {
				if r := s.node.Status().Reason; strings.Contains(r, ";") {
					t.Errorf("healed: reason %q", r)
				}
			}
		}))
	}
}

// Eight ways to the partner: seven of them silent are seven alarms, and a death
// is a death of all.
func TestEightChannels(t *testing.T) {
	inBubble(func(t *testing.T) {
		names := strings.Fields("public private third fourth fifth sixth seventh eighth")
		local := func(node, channel int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(channel), 0, byte(node + 1)}), 539)
		}
		p := both(t, func(a, b *failover.Config) {
			for i, c := range []*failover.Config{a, b} {
				c.Channels = nil
				for ch, name := range names {
					c.Channels = append(c.Channels, failover.Channel{Name: name, Local: local(i, ch), Peer: local(1-i, ch)})
				}
			}
		})
		p.backup.Events()
		for ch := range names[:7] {
			p.primary.host.Unplug(local(0, ch).Addr(), true)
		}
		time.Sleep(10 * time.Second)
		p.want(failover.RoleActive, failover.RoleBackup)
		lost := p.backup.Events()
		if len(lost) != 7 {
			t.Errorf("events %v", lost)
		}
		for i, e := range lost {
			if e.Kind != failover.EventChannelLost || e.Channel != names[i] {
				t.Errorf("event %v, want the loss of %s", e, names[i])
			}
		}
		for ch, c := range p.backup.node.Status().Channels {
			if c.Up != (ch == 7) {
				t.Errorf("channel %+v", c)
			}
		}
		p.primary.host.Unplug(local(0, 7).Addr(), true)
		time.Sleep(decided)
		p.want(failover.RoleActive, failover.RoleActive)
		const all = "the partner is silent on public, private, third, fourth, fifth, sixth, seventh and eighth"
		if r := p.primary.node.Status().Reason; !strings.HasSuffix(r, "; "+all) {
			t.Errorf("reason %q", r)
		}
		// One of them is enough to be a pair again.
		p.primary.host.Unplug(local(0, 4).Addr(), false)
		time.Sleep(2 * interval)
		p.want(failover.RoleActive, failover.RoleBackup)
	})(t)
}
