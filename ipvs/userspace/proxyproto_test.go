package userspace

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// proxied is what a header of the PROXY protocol says; without addresses it
// is of no client.
type proxied struct {
	version       int
	client, local netip.AddrPort
}

var errProxy = errors.New("no header of the PROXY protocol")

// readProxyHeader is a small server's side of the protocol, as the text of it
// asks for: version 2 by its signature, version 1 by its line.
func readProxyHeader(r *bufio.Reader) (proxied, error) {
	if head, err := r.Peek(16); err == nil && string(head[:12]) == "\r\n\r\n\x00\r\nQUIT\n" {
		body := make([]byte, 16+int(binary.BigEndian.Uint16(head[14:])))
		if _, err := io.ReadFull(r, body); err != nil {
			return proxied{}, err
		}
		return parseProxyV2(body)
	}
	var line []byte
	for len(line) < maxProxyHeader {
		c, err := r.ReadByte()
		if err != nil {
			return proxied{}, err
		}
		if line = append(line, c); c == '\n' {
			return parseProxyV1(string(line))
		}
	}
	return proxied{}, errProxy
}

func parseProxyV2(p []byte) (proxied, error) {
	out := proxied{version: 2}
	size := 0
	switch command, family := p[12], p[13]; {
	case command == 0x20:
		return out, nil
	case command == 0x21 && family == 0x11:
		size = 4
	case command == 0x21 && family == 0x21:
		size = 16
	default:
		return out, errProxy
	}
	p = p[16:]
	if len(p) < 2*size+4 {
		return out, errProxy
	}
	client, _ := netip.AddrFromSlice(p[:size])
	local, _ := netip.AddrFromSlice(p[size : 2*size])
	out.client = netip.AddrPortFrom(client, binary.BigEndian.Uint16(p[2*size:]))
	out.local = netip.AddrPortFrom(local, binary.BigEndian.Uint16(p[2*size+2:]))
	return out, nil
}

func parseProxyV1(line string) (proxied, error) {
	out := proxied{version: 1}
	line, ok := strings.CutSuffix(line, "\r\n")
	if line == "PROXY UNKNOWN" && ok {
		return out, nil
	}
	f := strings.Split(line, " ")
	if !ok || len(f) != 6 || f[0] != "PROXY" {
		return out, errProxy
	}
	addr := func(ip, port string) netip.AddrPort {
		a, err := netip.ParseAddr(ip)
		n, perr := strconv.ParseUint(port, 10, 16)
		if err != nil || perr != nil || a.Zone() != "" || a.Is6() != (f[1] == "TCP6") || f[1] != "TCP4" && f[1] != "TCP6" {
			ok = false
		}
		return netip.AddrPortFrom(a, uint16(n))
	}
	out.client, out.local = addr(f[2], f[4]), addr(f[3], f[5])
	if !ok {
		return proxied{}, errProxy
	}
	return out, nil
}

func TestProxyHeaders(t *testing.T) {
	at := func(s string) (a netip.AddrPort) {
		if s != "" {
			a = netip.MustParseAddrPort(s)
		}
		return a
	}
	const signature = "0d0a0d0a000d0a515549540a"
	longest := "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"
	tests := []struct {
		name          string
		client, local string
		v1            string
		v2            string // behind the signature
	}{
		{"IPv4", "192.168.0.1:56324", "192.168.0.11:443", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "2111000c" + "c0a80001" + "c0a8000b" + "dc04" + "01bb"},
		{
			"IPv6", "[2001:db8::1]:1", "[2001:db8::2]:80", "PROXY TCP6 2001:db8::1 2001:db8::2 1 80\r\n",
			"21210024" + "20010db8000000000000000000000001" + "20010db8000000000000000000000002" + "0001" + "0050",
		},
		{
			"both families", "192.0.2.1:1", "[2001:db8::2]:80", "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 80\r\n",
			"21210024" + "00000000000000000000ffffc0000201" + "20010db8000000000000000000000002" + "0001" + "0050",
		},
		{"mapped IPv4", "[::ffff:192.0.2.1]:1", "192.0.2.2:80", "PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n", "2111000c" + "c0000201" + "c0000202" + "0001" + "0050"},
		{
			"a zone", "[fe80::1%eth0]:1", "[fe80::2%eth0]:80", "PROXY TCP6 fe80::1 fe80::2 1 80\r\n",
			"21210024" + "fe800000000000000000000000000001" + "fe800000000000000000000000000002" + "0001" + "0050",
		},
		{"the longest", longest, longest, "PROXY TCP6 " + strings.Repeat("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ", 2) + "65535 65535\r\n", "21210024" + strings.Repeat("ff", 36)},
		{"unknown client", "", "192.0.2.2:80", "PROXY UNKNOWN\r\n", "20000000"},
		{"nothing known", "", "", "PROXY UNKNOWN\r\n", "20000000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v1 := appendProxyHeader([]byte("x"), 1, at(tt.client), at(tt.local))
			if string(v1) != "x"+tt.v1 {
				t.Errorf("version 1: %q, want %q", v1, "x"+tt.v1)
			}
			v2 := appendProxyHeader(nil, 2, at(tt.client), at(tt.local))
			if got := hex.EncodeToString(v2); got != signature+tt.v2 {
				t.Errorf("version 2:\n%s, want\n%s", got, signature+tt.v2)
			}
			if len(v1)-1 > maxProxyHeader || len(v2) > maxProxyHeader {
				t.Errorf("%d and %d bytes, want at most %d", len(v1)-1, len(v2), maxProxyHeader)
			}
		})
	}
	buf := make([]byte, 0, maxProxyHeader)
	client, local := at(longest), at(longest)
	if n := testing.AllocsPerRun(100, func() {
		appendProxyHeader(buf, 1, client, local)
		appendProxyHeader(buf, 2, client, local)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzProxyHeader reads whatever a header is written for, and refuses the
// rest without harm.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		got, err := readProxyHeader(bufio.NewReader(bytes.NewReader(p)))
		if err != nil {
			return
		}
		again, err := readProxyHeader(bufio.NewReader(bytes.NewReader(appendProxyHeader(nil, got.version, got.client, got.local))))
		want := got
		want.client, want.local = sameFamily(want.client, want.local)
		if err != nil || again.version != got.version || again.client.Port() != got.client.Port() || plain(again.client) != plain(want.client) || plain(again.local) != plain(want.local) {
			t.Errorf("%q read as %+v, written and read as %+v, %v", p, got, again, err)
		}
	})
}

// A server learns its client, also when it is the second that is tried, and
// what the client sends comes right behind.
func TestProxyHeaderArrives(t *testing.T) {
	for _, version := range []int{1, 2} {
		for name, retry := range map[string]bool{"first try": false, "retry": true} {
			t.Run(fmt.Sprintf("version %d, %s", version, name), func(t *testing.T) {
				server := serveTCP(t, func(c *net.TCPConn) {
					r := bufio.NewReader(c)
					got, err := readProxyHeader(r)
					rest, _ := io.ReadAll(r)
					fmt.Fprintf(c, "%d %v %v %v %s", got.version, got.client, got.local, err, rest)
				})
				key := ipvs.TCPService(freePort(t, "tcp"))
				b := newBalancer(t, &Config{Services: map[ipvs.ServiceKey]ServiceConfig{key: {ProxyProtocol: version}}})
				s := startService(t, b, ipvs.Service{Key: key, Scheduler: "rr"}, dest(server.addr, 1))
				if retry {
					// The newest is asked first.
					apply(t, b, change(ipvs.OpAddDestination, s, dest(freePort(t, "tcp"), 1)))
				}
				c := dial(t, s)
				c.Write([]byte("hello"))
				c.CloseWrite()
				got, err := io.ReadAll(c)
				want := fmt.Sprintf("%d %v %v <nil> hello", version, c.LocalAddr(), key.Addr)
				if err != nil || string(got) != want {
					t.Errorf("the server answered %q, %v, want %q", got, err, want)
				}
				if n := entry(t, b, key).Service.Stats.InBytes; n != 5 {
					t.Errorf("%d bytes counted, want 5: the header is none of the client's", n)
				}
			})
		}
	}
}

// Servers that speak first need the header before the client says anything.
func TestProxyHeaderDoesNotWaitForTheClient(t *testing.T) {
	server := serveTCP(t, func(c *net.TCPConn) {
		c.SetDeadline(time.Now().Add(patience))
		if _, err := readProxyHeader(bufio.NewReader(c)); err == nil {
			io.WriteString(c, "220 ready")
		}
	})
	key := ipvs.TCPService(freePort(t, "tcp"))
	b := newBalancer(t, &Config{Services: map[ipvs.ServiceKey]ServiceConfig{key: {ProxyProtocol: 2}}})
	s := startService(t, b, ipvs.Service{Key: key, Scheduler: "rr"}, dest(server.addr, 1))
	if got, err := io.ReadAll(dial(t, s)); err != nil || string(got) != "220 ready" {
		t.Errorf("got %q, %v", got, err)
	}
}
