package health

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// DefaultExpiryDays is how long before its end a certificate is warned of by
// default.
const DefaultExpiryDays = 14

// TLSCheckConfig sets up a [TLS] check.
type TLSCheckConfig struct {
	// TLS says which name to ask for and whom to trust.
	TLS TLSConfig
	// Pins are SHA-256 digests of public keys (of SubjectPublicKeyInfo, as in
	// RFC 7469), in hexadecimal. With pins a certificate is right if its key
	// or that of one above it is among them; its chain, its name and its
	// end are then not verified.
	Pins []string
	// ALPN are the protocols to offer (RFC 7301); the server must choose one
	// of them. Empty offers none.
	ALPN []string
	// ExpiryDays is how many days before the end of a certificate the reason
	// says so; 0 means DefaultExpiryDays. The verdict is OK until the end. The
	// days are the number "days_to_expiry" of each result whose handshake
	// succeeded, those of the certificate that ends first: of the chain by
	// which it was verified, or else of all that the server shows.
	ExpiryDays int
	// Dial says how to connect.
	Dial
}

// TLS does a handshake, verifies the certificate and closes. It is safe for
// concurrent use.
type TLS struct {
	ch   channel
	cfg  TLSCheckConfig
	pins [][]byte
	name string
}

// NewTLS returns a TLS check, or an error that names every field that cannot
// be used. A nil cfg means the defaults.
func NewTLS(cfg *TLSCheckConfig) (*TLS, error) {
	c := &TLS{}
	if cfg != nil {
		c.cfg = *cfg
	}
	c.cfg.ALPN = slices.Clone(c.cfg.ALPN)
	if c.cfg.ExpiryDays == 0 {
		c.cfg.ExpiryDays = DefaultExpiryDays
	}
	var err error
	c.ch, err = newChannel(c.cfg.Dial, &c.cfg.TLS, false, c.cfg.ALPN...)
	if c.cfg.ExpiryDays < 0 {
		err = errors.Join(err, fmt.Errorf("expiry days %d: want 0 for %d, or more", c.cfg.ExpiryDays, DefaultExpiryDays))
	}
	for _, p := range c.cfg.ALPN {
		if p == "" || len(p) > 255 {
			err = errors.Join(err, fmt.Errorf("alpn %q: want 1..255 bytes", p))
		}
	}
	for _, p := range c.cfg.Pins {
		pin, bad := hex.DecodeString(strings.ReplaceAll(p, ":", ""))
		if bad != nil || len(pin) != sha256.Size {
			err = errors.Join(err, fmt.Errorf("pin %q: want the 64 hexadecimal digits of a SHA-256 digest", p))
		}
		c.pins = append(c.pins, pin)
	}
	if err != nil {
		return nil, fmt.Errorf("tls check: %w", err)
	}
	if len(c.pins) > 0 {
		c.ch.tls.InsecureSkipVerify = true // pinned decides instead
		c.ch.tls.VerifyConnection = c.pinned
	}
	c.name = fmt.Sprintf("tls-check pins=%x alpn=%q days=%d%s", c.pins, c.cfg.ALPN, c.cfg.ExpiryDays, c.ch.identity)
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *TLS) Identity() string { return c.name }

// Check does the handshake.
func (c *TLS) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		s.phase = "tls"
		conn, ok := s.conn.(*tls.Conn)
		if !ok {
			return "", errors.New("no TLS")
		}
		state := conn.ConnectionState()
		if len(c.cfg.ALPN) > 0 && state.NegotiatedProtocol == "" {
			return "", unwanted("the server chooses none of the protocols %s", strings.Join(c.cfg.ALPN, ", "))
		}
		what := tls.VersionName(state.Version)
		if state.NegotiatedProtocol != "" {
			what += ", " + state.NegotiatedProtocol
		}
		text, days := expiry(lasting(state), time.Now(), c.cfg.ExpiryDays)
		if len(state.PeerCertificates) > 0 {
			s.perf = []Perfdatum{{Label: "days_to_expiry", Value: float64(days), Warn: fmt.Sprintf("%d:", c.cfg.ExpiryDays), Critical: "0:"}}
		}
		return what + ", " + text, nil
	})
}

// maxChain is how many certificates are looked at: each costs a signature, and
// a message of TLS has room for hundreds.
const maxChain = 16

// pinned looks for a key of the chain among the pins. The handshake has
// proved that the server has the key of the first certificate; the others
// count only as far as each has signed the one before it.
func (c *TLS) pinned(state tls.ConnectionState) error {
	chain := state.PeerCertificates
	for i, cert := range chain {
		if i == maxChain || i > 0 && chain[i-1].CheckSignatureFrom(cert) != nil {
			break
		}
		sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		if slices.ContainsFunc(c.pins, func(pin []byte) bool { return bytes.Equal(pin, sum[:]) }) {
			return nil
		}
	}
	if len(chain) == 0 {
		return unwanted("the server shows no certificate")
	}
	return unwanted("no key of the certificate is pinned; that of the server is %x", sha256.Sum256(chain[0].RawSubjectPublicKeyInfo))
}

// lasting are the certificates whose end matters: those of the verified chain
// that lasts longest, as a server may show more than are needed, old ones too.
func lasting(state tls.ConnectionState) []*x509.Certificate {
	if len(state.VerifiedChains) == 0 {
		return state.PeerCertificates
	}
	return slices.MaxFunc(state.VerifiedChains, func(a, b []*x509.Certificate) int {
		return firstToEnd(a).NotAfter.Compare(firstToEnd(b).NotAfter)
	})
}

func firstToEnd(chain []*x509.Certificate) *x509.Certificate {
	return slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
}

// expiry says how long the certificate that ends first is good for, in words
// and in whole days, which are negative after its end.
func expiry(chain []*x509.Certificate, now time.Time, warn int) (text string, days int) {
	if len(chain) == 0 {
		return "no certificate", 0
	}
	first := firstToEnd(chain)
	days = int(math.Floor(first.NotAfter.Sub(now).Hours() / 24))
	date := first.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case now.After(first.NotAfter):
		return "WARNING: the certificate ended on " + date, days
	case days < warn:
		return fmt.Sprintf("WARNING: the certificate ends in %d days, on %s; renew it", days, date), days
	}
	return fmt.Sprintf("the certificate is good for %d days", days), days
}
