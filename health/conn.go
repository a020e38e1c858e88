package health

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Dial says how a check opens its connection and how patient it is with each
// phase. The zero value leaves all of it to the system and to the time-out of
// the whole check.
type Dial struct {
	// Source is the address that the check comes from; the zero value is the
	// system's choice. It must be of the target's family.
	Source netip.Addr
	// Device is the interface that packets leave by (SO_BINDTODEVICE,
	// socket(7)); empty is the routing table's choice. Linux.
	Device string
	// Mark is put on the packets (SO_MARK, socket(7)); 0 is none. Linux; it
	// needs CAP_NET_ADMIN.
	Mark uint32
	// Namespace is the file of a network namespace to ask from, such as
	// /run/netns/blue; empty is the one of the process. Linux; it needs
	// CAP_SYS_ADMIN.
	Namespace string
	// ConnectTimeout bounds the connecting, TLSTimeout the handshake,
	// AnswerTimeout the time from the end of the question to the end of the
	// answer. 0 is no bound but that of the whole check, which always wins.
	ConnectTimeout time.Duration
	TLSTimeout     time.Duration
	AnswerTimeout  time.Duration
	// Graceful closes TCP connections with a FIN. The zero value closes with
	// a RST, which leaves no TIME_WAIT behind; some servers log each RST.
	Graceful bool
}

// validate reports every field that cannot be used.
func (d *Dial) validate() error {
	var errs []error
	if d.Source.IsValid() && d.Source.IsUnspecified() {
		errs = append(errs, fmt.Errorf("source %v is no address of a host: leave it out for the system's choice", d.Source))
	}
	if len(d.Device) > maxDevice || strings.ContainsAny(d.Device, "/ \t\n\x00") {
		errs = append(errs, fmt.Errorf("device %q: want the name of an interface, at most %d bytes", d.Device, maxDevice))
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{{"connect", d.ConnectTimeout}, {"TLS", d.TLSTimeout}, {"answer", d.AnswerTimeout}} {
		if t.value < 0 {
			errs = append(errs, fmt.Errorf("%s timeout %v: want 0 for none, or more", t.name, t.value))
		}
	}
	if (d.Device != "" || d.Mark != 0 || d.Namespace != "") && !canSteer {
		errs = append(errs, errors.New("device, mark and namespace of a check are to be had on Linux only: leave them out"))
	}
	return errors.Join(errs...)
}

// maxDevice is the longest name of an interface (IFNAMSIZ without its end).
const maxDevice = 15

// identity is what of it matters to the answer, each part after a blank.
func (d *Dial) identity() string {
	var b strings.Builder
	if d.Source.IsValid() {
		fmt.Fprintf(&b, " source=%v", d.Source)
	}
	if d.Device != "" {
		fmt.Fprintf(&b, " device=%s", d.Device)
	}
	if d.Mark != 0 {
		fmt.Fprintf(&b, " mark=%d", d.Mark)
	}
	if d.Namespace != "" {
		fmt.Fprintf(&b, " namespace=%q", d.Namespace)
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{{"connect", d.ConnectTimeout}, {"tls", d.TLSTimeout}, {"answer", d.AnswerTimeout}} {
		if t.value > 0 {
			fmt.Fprintf(&b, " %s-timeout=%v", t.name, t.value)
		}
	}
	if d.Graceful {
		b.WriteString(" graceful")
	}
	return b.String()
}

// errSelfConnect is what a connection to ourselves is: a simultaneous open of
// a port of the ephemeral range on this machine where nothing listens.
var errSelfConnect = errors.New("connected to itself; nothing listens there")

// open opens the connection of a check. It goes through the textual address
// on purpose: net.Dialer.DialTCP with a zero local address binds the socket
// first, which takes one of some 28,000 local ports for all targets together
// rather than for each target.
func (a *attempt) open(network string, d *Dial) (net.Conn, error) {
	a.dial = d
	dialer := net.Dialer{KeepAlive: -1, Timeout: d.ConnectTimeout} // a check ends before a keepalive would
	if err := d.sourceFits(a.target.Addr.Addr()); err != nil {
		return nil, err
	}
	if d.Namespace != "" && network == "tcp" && a.target.Addr.Addr().Zone() == "" && d.Source.Zone() == "" {
		return a.openWithin(d)
	}
	dialer.Control = d.control()
	c, err := within(d.Namespace, func() (net.Conn, error) {
		if d.Source.IsValid() {
			local := zoned(netip.AddrPortFrom(d.Source, 0), d.Namespace)
			if network == "udp" {
				dialer.LocalAddr = net.UDPAddrFromAddrPort(local)
			} else {
				dialer.LocalAddr = net.TCPAddrFromAddrPort(local)
			}
		}
		return dialer.DialContext(a.ctx, network, zoned(a.target.Addr, d.Namespace).String())
	})
	if err != nil {
		return nil, err
	}
	if network == "tcp" && c.LocalAddr().String() == c.RemoteAddr().String() {
		closeConn(c, false)
		return nil, errSelfConnect
	}
	return c, nil
}

// sourceFits tells whether the source can go to addr at all.
func (d *Dial) sourceFits(addr netip.Addr) error {
	if d.Source.IsValid() && d.Source.Unmap().Is4() != addr.Unmap().Is4() {
		return &socketError{fmt.Sprintf("ask %v from the source %v", addr.Unmap(), d.Source), errors.New("one is of IPv4, the other of IPv6")}
	}
	return nil
}

// zoned gives the zone of an address in another namespace as a number: package
// net remembers the names of interfaces for a minute, and of one namespace.
func zoned(addr netip.AddrPort, namespace string) netip.AddrPort {
	ip := addr.Addr()
	if namespace == "" || ip.Zone() == "" {
		return addr
	}
	i, err := net.InterfaceByName(ip.Zone())
	if err != nil {
		return addr
	}
	return netip.AddrPortFrom(ip.WithZone(strconv.Itoa(i.Index)), addr.Port())
}

// guard makes every blocked call on c return when ctx is done. The returned
// function must be called before c is used for anything else.
func guard(ctx context.Context, c net.Conn) (release func() bool) {
	if d, ok := ctx.Deadline(); ok {
		// Set even though AfterFunc follows: a busy runtime fires socket
		// deadlines without needing a goroutine.
		_ = c.SetDeadline(d)
	}
	return context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
}

// allow gives the phase that begins now so much time; 0 is all that the check
// has. The connection must be guarded.
func (a *attempt) allow(c net.Conn, d time.Duration) {
	end, bounded := a.ctx.Deadline()
	if d > 0 && (!bounded || time.Until(end) > d) {
		end = time.Now().Add(d)
	}
	_ = c.SetDeadline(end)
	if a.ctx.Err() != nil { // it may have come before that
		_ = c.SetDeadline(time.Unix(1, 0))
	}
}

// closeConn closes a connection. By default a TCP connection is closed with a
// RST (SO_LINGER of 0 s, socket(7)): it leaves no TIME_WAIT, and so never
// makes the kernel search for free ports. graceful sends a FIN instead.
func closeConn(c net.Conn, graceful bool) {
	if tcp, ok := c.(*net.TCPConn); ok && !graceful {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// TLSConfig sets up TLS for a check.
type TLSConfig struct {
	// ServerName is sent as SNI and verified against the certificate. Empty
	// means the host of HTTPConfig.Host, or else the target's address.
	ServerName string
	// RootsPEM are the certificates to trust; empty means the system's.
	RootsPEM []byte
	// SkipVerify accepts any certificate: the check then proves only that
	// something speaks TLS.
	SkipVerify bool
	// CertPEM and KeyPEM are the certificate of our own, with those between
	// it and its root, and its key, for servers that ask for one. Both empty
	// show none.
	CertPEM, KeyPEM []byte
}

// client is the configuration for crypto/tls. The name is taken where
// ServerName is empty; the protocols are offered by ALPN (RFC 7301).
func (t *TLSConfig) client(name string, protocols ...string) (*tls.Config, error) {
	c := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.SkipVerify, NextProtos: protocols}
	if c.ServerName == "" {
		c.ServerName = name
	}
	if len(t.RootsPEM) == 0 && !t.SkipVerify {
		loadRoots()
	}
	if len(t.RootsPEM) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(t.RootsPEM) {
			return nil, errors.New("tls: no certificate found in the roots")
		}
	}
	if len(t.CertPEM) > 0 || len(t.KeyPEM) > 0 {
		own, err := tls.X509KeyPair(t.CertPEM, t.KeyPEM)
		if err != nil {
			return nil, fmt.Errorf("tls: certificate and key of our own: %w", err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}

// loadRoots has package x509 load the roots of the system. It does that once in
// the life of a process, whatever comes of it: let that not be during a check,
// when there may be no file descriptor left to do it with.
var loadRoots = sync.OnceFunc(func() { _, _ = x509.SystemCertPool() })

func (t *TLSConfig) identity(name string) string {
	text := fmt.Sprintf(" tls name=%q skip=%t roots=%x", name, t.SkipVerify, sha256.Sum256(t.RootsPEM))
	if len(t.CertPEM) > 0 {
		// The certificate names the key.
		text += fmt.Sprintf(" own=%x", sha256.Sum256(t.CertPEM))
	}
	return text
}

// secure does the TLS handshake over a guarded connection and closes the
// phase "tls" when it is done.
func (a *attempt) secure(raw net.Conn, cfg *tls.Config, d *Dial) (*tls.Conn, error) {
	if cfg.ServerName == "" {
		cfg = cfg.Clone()
		cfg.ServerName = a.target.Addr.Addr().WithZone("").String()
	}
	a.allow(raw, d.TLSTimeout)
	c := tls.Client(raw, cfg)
	if err := c.Handshake(); errors.Is(err, io.EOF) {
		return nil, unwanted("closed by the server during the handshake; does it speak TLS on this port?")
	} else if err != nil {
		return nil, err
	}
	a.done("tls")
	return c, nil
}
