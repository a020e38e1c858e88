package health

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// MySQLConfig sets up a [MySQL] check.
type MySQLConfig struct {
	// User and Password log in. An empty User tries one that is not expected
	// to exist: see [MySQL].
	User, Password string
	// Database is used after the login, and Query is a statement to run in it
	// that must give at least one row, the first of at most 4 KiB; empty ones
	// are not asked for. Both need a User.
	Database, Query string
	// TLS verifies and encrypts; nil means plain text. The server is asked
	// for it as the protocol wants it, after its greeting.
	TLS *TLSConfig
	// Dial says how to connect. AnswerTimeout is that of each answer.
	Dial
}

// MySQL logs in to a MySQL or MariaDB server and quits.
//
// A client that leaves after the greeting counts as an interrupted connection,
// and after max_connect_errors of them (100 by default) the server blocks the
// client's address. So the exchange is always completed, by a login as
// "lvskit-health" without a password where the certificate is not the wanted
// one or TLS is not to be had; only a handshake of TLS that comes to nothing,
// and silence, leave it open. Without a User, the refusal of the user
// "lvskit-health" is OK: it proves that the server can judge a login, and is
// not counted against us, though the server may log it. To be on the safe side
// create a user without any rights.
//
// The ways to log in are mysql_native_password, caching_sha2_password and
// mysql_clear_password; the last, and the second with a password that the
// server has not cached, need TLS. It is safe for concurrent use.
type MySQL struct {
	ch   channel
	cfg  MySQLConfig
	name string
}

// stranger is the user by whom a check without a user asks.
const stranger = "lvskit-health"

// NewMySQL returns a MySQL check, or an error that names every field that
// cannot be used. A nil cfg means the defaults.
func NewMySQL(cfg *MySQLConfig) (*MySQL, error) {
	c := &MySQL{}
	if cfg != nil {
		c.cfg = *cfg
	}
	var err error
	c.ch, err = newChannel(c.cfg.Dial, c.cfg.TLS, c.cfg.TLS != nil)
	if strings.ContainsRune(c.cfg.User+c.cfg.Password, 0) || len(c.cfg.User) > 255 || len(c.cfg.Password) > 255 {
		err = errors.Join(err, errors.New("user, password: want at most 255 bytes, and no zero byte"))
	}
	if c.cfg.User == "" && c.cfg.Password != "" {
		err = errors.Join(err, errors.New("password without a user"))
	}
	if c.cfg.User == "" && c.cfg.Database+c.cfg.Query != "" {
		err = errors.Join(err, errors.New("database or query without a user"))
	}
	if len(c.cfg.Database) > maxLine || len(c.cfg.Query) > maxLine {
		err = errors.Join(err, fmt.Errorf("database, query: want at most %d bytes", maxLine))
	}
	if err != nil {
		return nil, fmt.Errorf("mysql check: %w", err)
	}
	c.name = fmt.Sprintf("mysql user=%q password=%s", c.cfg.User, fingerprint(c.cfg.Password))
	if c.cfg.Database+c.cfg.Query != "" {
		c.name += fmt.Sprintf(" database=%q query=%q", c.cfg.Database, c.cfg.Query)
	}
	c.name += c.ch.identity
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *MySQL) Identity() string { return c.name }

// The capabilities of a client that we speak of (MySQL's "Capabilities Flags").
const (
	mysqlLongPassword = 1 << 0
	mysqlProtocol41   = 1 << 9
	mysqlSSL          = 1 << 11
	mysqlSecure       = 1 << 15
	mysqlPluginAuth   = 1 << 19
)

// First bytes of packets.
const (
	mysqlOK     = 0x00
	mysqlMore   = 0x01
	mysqlSwitch = 0xfe
	mysqlError  = 0xff
)

// Error numbers that mean "the server is well and does not want this user".
var mysqlDenied = map[uint16]bool{
	1044: true, // access denied to the database
	1045: true, // access denied
	1251: true, // the server wants another way to log in
	1698: true, // access denied, no password
	1862: true, // password expired
	3118: true, // account locked
	4151: true, // account locked, MariaDB
}

// Check logs in and quits.
func (c *MySQL) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		s.step("greeting")
		_, packet, err := s.mysqlPacket()
		if err != nil {
			return "", err
		}
		hello, err := parseMySQLGreeting(packet)
		if err != nil {
			return "", err
		}
		seq := byte(1)
		login := mysqlLogin{user: c.cfg.User, password: c.cfg.Password, plugin: hello.plugin, scramble: hello.scramble}
		if login.user == "" {
			login.user = stranger
		}
		if c.ch.tls != nil {
			if hello.capabilities&mysqlSSL == 0 {
				c.complete(s, seq, login)
				return "", unwanted("MySQL %s does not offer TLS", clipText(hello.version))
			}
			login.tls = true
			if err := s.mysqlSend(seq, login.header()); err != nil {
				return "", err
			}
			doubt, err := c.secure(s)
			if err != nil {
				return "", err
			}
			seq++
			if doubt != nil {
				c.complete(s, seq, login)
				s.phase = "tls"
				return "", doubt
			}
		}
		s.step("login")
		if err := s.mysqlSend(seq, login.packet()); err != nil {
			return "", err
		}
		if err := c.finish(s, &login); err != nil {
			var denied mysqlRefusal
			if errors.As(err, &denied) && c.cfg.User == "" && mysqlDenied[denied.code] {
				return "MySQL " + clipText(hello.version) + " is alive and refuses unknown users", nil
			}
			if errors.As(err, &denied) {
				return "", unwanted("%s", denied.Error())
			}
			return "", err
		}
		what, err := c.question(s)
		if err != nil {
			return "", err
		}
		s.step("quit")
		if err := s.mysqlSend(0, []byte{0x01}); err != nil { // COM_QUIT
			return "", err
		}
		s.drain()
		return "MySQL " + clipText(hello.version) + ", logged in" + what, nil
	})
}

// secure turns the connection to TLS, whatever the certificate: doubt says why
// it is not to be trusted. A client that ends the handshake for it has, to the
// server, interrupted the connection.
func (c *MySQL) secure(s *session) (doubt, err error) {
	cfg := s.ch.tls.Clone()
	name := cfg.ServerName
	if name == "" {
		name = s.a.target.Addr.Addr().WithZone("").String()
	}
	if !cfg.InsecureSkipVerify {
		cfg.InsecureSkipVerify = true
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			doubt = verifyChain(state.PeerCertificates, name, cfg.RootCAs)
			return nil
		}
	}
	ch := *s.ch
	ch.tls, s.ch = cfg, &ch
	return doubt, s.secure()
}

// complete ends an exchange that has failed already, by a login that proves
// nothing.
func (c *MySQL) complete(s *session, seq byte, login mysqlLogin) {
	login.user, login.password = stranger, ""
	s.a.allow(s.raw, leaving)
	if s.mysqlSend(seq, login.packet()) == nil {
		_ = c.finish(s, &login)
	}
}

// verifyChain is what crypto/tls does with a server's certificates.
func verifyChain(chain []*x509.Certificate, name string, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between}); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}

// finish answers what the server asks until it has judged the login. Where we
// cannot prove the password it sends nothing in its place: the server's
// judgement is clear then, but the exchange complete.
func (c *MySQL) finish(s *session, login *mysqlLogin) error {
	var mute error // why we cannot prove it
	for range 5 {  // a switch, a fast or a full exchange, the judgement
		seq, packet, err := s.mysqlPacket()
		if err != nil && mute != nil {
			return mute
		}
		if err != nil {
			return err
		}
		if len(packet) == 0 {
			return unwanted("an empty answer to the login")
		}
		switch packet[0] {
		case mysqlOK:
			return nil
		case mysqlError:
			if mute != nil {
				return mute
			}
			return parseMySQLError(packet)
		case mysqlSwitch:
			plugin, data, _ := bytes.Cut(packet[1:], []byte{0})
			login.plugin, login.scramble = string(plugin), bytes.TrimSuffix(data, []byte{0})
			var answer []byte
			if answer, mute = login.answer(); mute != nil {
				s.a.allow(s.raw, leaving)
			}
			if err := s.mysqlSend(seq+1, answer); err != nil {
				return err
			}
		case mysqlMore:
			switch {
			case len(packet) == 2 && packet[1] == 3: // known by heart; OK follows
			case len(packet) == 2 && packet[1] == 4 && login.tls:
				if err := s.mysqlSend(seq+1, append([]byte(login.password), 0)); err != nil {
					return err
				}
			default:
				mute = unwanted("the server has not cached the password of %s and wants it in full, which needs TLS", login.user)
				s.a.allow(s.raw, leaving)
				if err := s.mysqlSend(seq+1, nil); err != nil {
					return err
				}
			}
		default:
			return unwanted("answer %s to the login", clip(packet))
		}
	}
	return unwanted("the server comes to no end with the login")
}

// mysqlPacket reads one packet: a length of three bytes, a number, the body.
func (s *session) mysqlPacket() (seq byte, body []byte, err error) {
	head, err := s.full(4)
	if err != nil {
		return 0, nil, err
	}
	n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if n > maxLine {
		return 0, nil, unwanted("a packet of %d bytes, more than a login has; is this MySQL?", n)
	}
	body, err = s.full(n)
	return head[3], body, err
}

func (s *session) mysqlSend(seq byte, body []byte) error {
	n := len(body)
	_, err := s.conn.Write(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq}, body...))
	return err
}

// mysqlGreeting is what of a server's first packet matters.
type mysqlGreeting struct {
	version, plugin string
	capabilities    uint32
	scramble        []byte
}

// parseMySQLGreeting reads the packet HandshakeV10, or the error that a server
// sends instead of it.
func parseMySQLGreeting(b []byte) (g mysqlGreeting, err error) {
	if len(b) > 0 && b[0] == mysqlError {
		return g, unwanted("%s", parseMySQLError(b).Error())
	}
	if len(b) == 0 || b[0] != 10 {
		return g, unwanted("greeting %s, expected version 10 of MySQL's protocol", clip(b))
	}
	version, rest, ok := bytes.Cut(b[1:], []byte{0})
	if !ok || len(rest) < 4+8+1+2+1+2+2+1+10 {
		return g, unwanted("the greeting %s is cut off", clip(b))
	}
	g.version = string(version)
	g.capabilities = uint32(binary.LittleEndian.Uint16(rest[13:])) | uint32(binary.LittleEndian.Uint16(rest[18:]))<<16
	g.scramble = append(g.scramble, rest[4:12]...)
	more := max(int(rest[20])-8, 13)
	rest = rest[31:]
	more = min(more, len(rest))
	g.scramble = append(g.scramble, bytes.TrimSuffix(rest[:more], []byte{0})...)
	plugin, _, _ := bytes.Cut(rest[more:], []byte{0})
	g.plugin = string(plugin)
	return g, nil
}

// mysqlRefusal is an error packet.
type mysqlRefusal struct {
	code uint16
	text string
}

func (e mysqlRefusal) Error() string { return fmt.Sprintf("error %d %s", e.code, clipText(e.text)) }

// parseMySQLError reads an error packet: a number, perhaps # and an SQLSTATE
// of five letters, a text.
func parseMySQLError(b []byte) error {
	if len(b) < 3 {
		return mysqlRefusal{text: "without a number"}
	}
	text := b[3:]
	if len(text) >= 6 && text[0] == '#' {
		text = text[6:]
	}
	return mysqlRefusal{binary.LittleEndian.Uint16(b[1:]), string(text)}
}

// mysqlLogin makes the packets of a login.
type mysqlLogin struct {
	user, password, plugin string
	scramble               []byte
	tls                    bool
}

// header is the beginning of the login, which alone asks for TLS.
func (l *mysqlLogin) header() []byte {
	flags := uint32(mysqlLongPassword | mysqlProtocol41 | mysqlSecure | mysqlPluginAuth)
	if l.tls {
		flags |= mysqlSSL
	}
	b := binary.LittleEndian.AppendUint32(nil, flags)
	b = binary.LittleEndian.AppendUint32(b, 1<<24-1) // the longest packet
	b = append(b, 45)                                // utf8mb4_general_ci
	return append(b, make([]byte, 23)...)
}

// packet is HandshakeResponse41. A plugin that we do not know gets an empty
// answer: the server will ask to switch or refuse.
func (l *mysqlLogin) packet() []byte {
	answer, err := l.answer()
	if err != nil || l.plugin == "mysql_clear_password" {
		answer = nil
	}
	b := append(l.header(), l.user...)
	b = append(b, 0, byte(len(answer)))
	b = append(b, answer...)
	b = append(b, l.plugin...)
	return append(b, 0)
}

// answer proves the password in the way the server wants.
func (l *mysqlLogin) answer() ([]byte, error) {
	switch {
	case l.plugin == "mysql_clear_password" && !l.tls:
		return nil, unwanted("the server wants the password in clear, which needs TLS")
	case l.plugin == "mysql_clear_password":
		return append([]byte(l.password), 0), nil
	case l.password == "":
		return nil, nil
	case l.plugin == "mysql_native_password" || l.plugin == "":
		hash := sha1.Sum([]byte(l.password))
		twice := sha1.Sum(hash[:])
		mask := sha1.Sum(append(bytes.Clone(l.scramble), twice[:]...))
		return xor(hash[:], mask[:]), nil
	case l.plugin == "caching_sha2_password":
		hash := sha256.Sum256([]byte(l.password))
		twice := sha256.Sum256(hash[:])
		mask := sha256.Sum256(append(twice[:], l.scramble...))
		return xor(hash[:], mask[:]), nil
	}
	return nil, unwanted("the server wants to log in by %s, which this check does not know; give its user mysql_native_password", clipText(l.plugin))
}

func xor(a, b []byte) []byte {
	for i := range a {
		a[i] ^= b[i]
	}
	return a
}
