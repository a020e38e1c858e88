package failover

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// PingWitness returns a witness for [Config]: a host, as the gateway of both
// nodes, that answers an ICMP or ICMPv6 echo request (RFC 792, RFC 4443 section
// 4). One request is sent a question. It uses the datagram sockets of icmp(7)
// where the system lets this user have them, by net.ipv4.ping_group_range, and
// raw ones otherwise, which take root or CAP_NET_RAW. A host that is no address
// of one host, or one of this machine, never agrees: what is sent to it stays
// here.
func PingWitness(host netip.Addr) func(context.Context) (ok bool, why string) {
	host = host.Unmap()
	return func(ctx context.Context) (bool, string) {
		if !host.IsValid() || host.IsUnspecified() || host.IsMulticast() {
			return false, fmt.Sprintf("ping %v: give the address of a host, as of the gateway", host)
		}
		if isOwn(host) {
			return false, fmt.Sprintf("ping %v: this machine has the address, so that it always answers: give the address of another host, as of the gateway", host)
		}
		if err := ping(ctx, host); err != nil {
			return false, fmt.Sprintf("ping %v: %v", host, err)
		}
		return true, ""
	}
}

// isOwn reports whether an address is one of this machine. It sends nothing.
func isOwn(host netip.Addr) bool {
	if host.IsLoopback() {
		return true
	}
	// Who speaks to oneself does it from the same address.
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, 9)))
	if err != nil {
		return false
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("") == host.WithZone("")
}

// ping sends one echo request and waits for its answer until ctx ends.
func ping(ctx context.Context, host netip.Addr) error {
	networks, protocol, request, reply := []string{"udp4", "ip4:icmp"}, 1, icmp.Type(ipv4.ICMPTypeEcho), icmp.Type(ipv4.ICMPTypeEchoReply)
	if host.Is6() {
		networks, protocol, request, reply = []string{"udp6", "ip6:ipv6-icmp"}, 58, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	var to net.Addr = &net.UDPAddr{IP: host.AsSlice(), Zone: host.Zone()}
	c, err := icmp.ListenPacket(networks[0], "")
	if err != nil {
		to = &net.IPAddr{IP: host.AsSlice(), Zone: host.Zone()}
		c, err = icmp.ListenPacket(networks[1], "")
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: run as root, give CAP_NET_RAW, or put the group into net.ipv4.ping_group_range", err)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	token := make([]byte, 16)
	_, _ = rand.Read(token) // never fails
	echo := &icmp.Echo{ID: int(token[0])<<8 | int(token[1]), Seq: 1, Data: token}
	packet, err := (&icmp.Message{Type: request, Body: echo}).Marshal(nil) // the kernel sums ICMPv6
	if err != nil {
		return err
	}
	if _, err := c.WriteTo(packet, to); err != nil {
		return err
	}
	buf := make([]byte, 1500)
	for {
		n, _, err := c.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("no answer")
		}
		if err != nil {
			return err
		}
		// The token tells our answer from those of others, whoever sends it.
		m, err := icmp.ParseMessage(protocol, buf[:n])
		if err != nil || m.Type != reply {
			continue
		}
		if e, ok := m.Body.(*icmp.Echo); ok && bytes.Equal(e.Data, token) {
			return nil
		}
	}
}
