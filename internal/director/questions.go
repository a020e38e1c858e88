package director

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/lvscf"
)

// maxAsked bounds the questions of one service that are compared: a service
// whose servers all have blocks of their own gains nothing by it.
const maxAsked = 16

// asker makes the check of package health that a check block asks for. Errors
// of files that a block names are collected, since several may be wrong.
type asker struct {
	v    *lvscf.Virtual
	k    *lvscf.Check
	dial health.Dial
	errs []error
	// programs bounds those of all checks together.
	programs *health.Programs
}

// asked is a check block of a service with the check that was made of it.
type asked struct {
	v *lvscf.Virtual
	k lvscf.Check
	c health.Checker
}

// question returns the check of a block, or an error that names the
// directives that cannot be used. Servers that are asked by the same block share
// one check: the certificates that it trusts alone may be half a megabyte.
func (s *Setup) question(v *lvscf.Virtual, k *lvscf.Check) (health.Checker, error) {
	if len(s.asked) > 0 && s.asked[0].v != v {
		s.asked = nil
	}
	for i := range s.asked {
		if reflect.DeepEqual(s.asked[i].k, *k) {
			return s.asked[i].c, nil
		}
	}
	c, err := s.questionBy(v, k, func(*health.Dial) {})
	if err == nil && len(s.asked) < maxAsked {
		s.asked = append(s.asked, asked{v, *k, c})
	}
	return c, err
}

// questionBy is question with a change of how it is asked.
func (s *Setup) questionBy(v *lvscf.Virtual, k *lvscf.Check, change func(*health.Dial)) (health.Checker, error) {
	a := asker{v: v, k: k, programs: s.programs, dial: health.Dial{
		Source: k.Source.Addr, Device: k.Interface, Mark: k.Mark,
		ConnectTimeout: k.ConnectTimeout, TLSTimeout: k.TLSTimeout, AnswerTimeout: k.ReadTimeout,
	}}
	change(&a.dial)
	c, err := a.ask()
	if len(a.errs) > 0 {
		// What else is wrong may come of what could not be read.
		return nil, errors.Join(a.errs...)
	}
	return c, err
}

func (a *asker) ask() (health.Checker, error) {
	k, dial := a.k, a.dial
	transport := health.OverTCP
	if a.v.Protocol == lvscf.UDP {
		transport = health.OverUDP
	}
	switch k.Kind {
	case lvscf.CheckPiranha:
		return health.NewPiranha(health.PiranhaConfig{
			Transport: transport, VirtualPort: a.v.Port, Send: k.Send, Expect: k.Expect, SendProgram: k.Command, UseRegex: k.UseRegex, Programs: a.programs, Dial: dial,
		})
	case lvscf.CheckNone:
		return unasked{}, nil
	case lvscf.CheckTCP:
		return a.text(health.OverTCP)
	case lvscf.CheckUDP:
		return a.text(health.OverUDP)
	case lvscf.CheckText:
		return a.text(transport)
	case lvscf.CheckTLS:
		return a.overTLS()
	case lvscf.CheckHTTP, lvscf.CheckHTTPS:
		return a.http()
	case lvscf.CheckGRPC:
		return health.NewGRPC(&health.GRPCConfig{Service: k.GRPCService, Watch: true, TLS: a.tls(), Dial: dial})
	case lvscf.CheckDNS:
		kind := k.QueryType
		if kind == "" && k.Query != "" && k.Query != "." {
			kind = "A"
		}
		// As the clients ask.
		return health.NewDNS(&health.DNSConfig{Name: k.Query, Type: kind, Answer: k.Expect, TCP: a.overTCP(), TLS: a.tls(), Dial: dial})
	case lvscf.CheckSMTP:
		return health.NewSMTP(&health.SMTPConfig{TLS: a.tls(), StartTLS: k.StartTLS, Dial: dial})
	case lvscf.CheckPOP3:
		return health.NewPOP3(&health.POP3Config{User: k.User, Password: a.secret(), TLS: a.tls(), StartTLS: k.StartTLS, Dial: dial})
	case lvscf.CheckIMAP:
		return health.NewIMAP(&health.IMAPConfig{User: k.User, Password: a.secret(), TLS: a.tls(), StartTLS: k.StartTLS, Dial: dial})
	case lvscf.CheckFTP:
		return health.NewFTP(&health.FTPConfig{User: k.User, Password: a.secret(), TLS: a.tls(), StartTLS: k.StartTLS, Dial: dial})
	case lvscf.CheckNNTP:
		return health.NewNNTP(&health.NNTPConfig{TLS: a.tls(), StartTLS: k.StartTLS, Dial: dial})
	case lvscf.CheckLDAP:
		return health.NewLDAP(&health.LDAPConfig{BindDN: k.User, Password: a.secret(), Base: k.Query, TLS: a.tls(), StartTLS: k.StartTLS, Dial: dial})
	case lvscf.CheckMySQL:
		return health.NewMySQL(&health.MySQLConfig{User: k.User, Password: a.secret(), Database: k.Database, Query: k.Query, TLS: a.tls(), Dial: dial})
	case lvscf.CheckPostgres:
		return health.NewPostgres(&health.PostgresConfig{User: k.User, Password: a.secret(), Query: k.Query, Database: k.Database, TLS: a.tls(), Dial: dial})
	case lvscf.CheckRedis:
		return health.NewRedis(&health.RedisConfig{Username: k.User, Password: a.secret(), Database: a.number("database", k.Database), Role: k.Role, TLS: a.tls(), Dial: dial})
	case lvscf.CheckMemcached:
		return health.NewMemcached(&health.MemcachedConfig{TLS: a.tls(), Dial: dial})
	case lvscf.CheckRADIUS:
		return a.radius()
	case lvscf.CheckNTP:
		return health.NewNTP(&health.NTPConfig{Dial: dial})
	case lvscf.CheckSIP:
		return a.sip()
	case lvscf.CheckAJP:
		return health.NewAJP(&health.AJPConfig{Dial: dial})
	case lvscf.CheckAgent:
		return health.NewAgent(&health.AgentConfig{Send: health.Unescape(k.Send), Dial: dial})
	case lvscf.CheckPing:
		return health.NewICMP(&health.ICMPConfig{Dial: dial})
	case lvscf.CheckScript:
		if k.Command == "" {
			return nil, errors.New("kind = script without a command: write command = PROGRAM")
		}
		return health.NewExternal(health.ExternalConfig{Command: k.Command, Expect: health.Unescape(k.Expect), Weight: k.UseWeight, Programs: a.programs})
	case lvscf.CheckNagios:
		if k.Command == "" {
			return nil, errors.New("kind = nagios without a command: write command = PLUGIN")
		}
		return health.NewNagios(health.NagiosConfig{Command: k.Command, Programs: a.programs})
	case lvscf.CheckFile:
		if k.Path == "" {
			return nil, errors.New("kind = file without a path: write path = FILE")
		}
		return health.NewFile(health.FileConfig{Path: k.Path, Weight: k.UseWeight})
	}
	return nil, fmt.Errorf("kind %s is not known: write another", k.Kind)
}

// overTCP tells whether the clients of the service come over TCP. A service by
// firewall mark has no protocol of its own.
func (a *asker) overTCP() bool { return a.v.Protocol == lvscf.TCP && a.v.FWMark == 0 }

// text is a connection, or one text sent and one expected.
func (a *asker) text(over health.Transport) (health.Checker, error) {
	k := a.k
	if over == health.OverTCP && k.Send == "" && k.Expect == "" {
		return health.NewTCP(&health.TCPConfig{Dial: a.dial})
	}
	expect := k.Expect
	if k.RequireReply && expect == "" && over == health.OverUDP {
		expect = "*"
	}
	return health.NewSendExpect(&health.SendExpectConfig{Transport: over, Send: k.Send, Expect: expect, Regex: k.UseRegex, Dial: a.dial})
}

// overTLS is a handshake, and a text after it if one is asked for.
func (a *asker) overTLS() (health.Checker, error) {
	k := a.k
	if k.Send == "" && k.Expect == "" {
		return health.NewTLS(&health.TLSCheckConfig{TLS: *a.tls(), Dial: a.dial})
	}
	step := health.DialogueStep{Send: health.Unescape(k.Send), Regex: true}
	switch {
	case k.Expect == "":
		step.Regex = false
	case k.UseRegex:
		step.Expect = "(?s)" + k.Expect
	case k.Expect == "*":
		step.Expect = "(?s)."
	default:
		step.Expect = `\A` + regexp.QuoteMeta(health.Unescape(k.Expect))
	}
	return health.NewDialogue(health.DialogueConfig{Steps: []health.DialogueStep{step}, TLS: a.tls(), Dial: a.dial})
}

func (a *asker) http() (health.Checker, error) {
	k := a.k
	conf := health.HTTPConfig{
		Method: k.Method, Path: k.Path, Host: k.Host, Status: ranges(k.Status), Body: k.Body, BodyRegex: k.BodyRegex, Digest: k.Digest,
		HTTP2: k.HTTPVersion == "2", HTTP10: k.HTTPVersion == "1.0", TLS: a.tls(), Dial: a.dial,
	}
	for _, line := range k.Header {
		if conf.Header == nil {
			conf.Header = make(http.Header)
		}
		name, value, _ := strings.Cut(line, ":")
		conf.Header.Add(name, strings.TrimSpace(value))
	}
	if k.User != "" {
		if conf.Header == nil {
			conf.Header = make(http.Header)
		}
		conf.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(k.User+":"+a.secret())))
	}
	return health.NewHTTP(&conf)
}

func (a *asker) radius() (health.Checker, error) {
	if a.k.PasswordFile == "" {
		return nil, errors.New("kind = radius without a secret: write password_file = FILE, with the secret in its first line")
	}
	// The user has no password of its own here: a refusal proves as much.
	return health.NewRADIUS(&health.RADIUSConfig{Secret: a.secret(), User: a.k.User, AllowReject: a.k.User != "", Dial: a.dial})
}

func (a *asker) sip() (health.Checker, error) {
	conf := health.SIPConfig{Status: ranges(a.k.Status), TCP: a.overTCP(), TLS: a.tls(), Dial: a.dial}
	if a.k.User != "" {
		conf.From = "sip:" + strings.TrimPrefix(a.k.User, "sip:")
	}
	return health.NewSIP(&conf)
}

func ranges(codes lvscf.StatusCodes) (out []health.StatusRange) {
	for _, r := range codes {
		out = append(out, health.StatusRange{Min: r.Min, Max: r.Max})
	}
	return out
}

// tls is nil if the block speaks in clear.
func (a *asker) tls() *health.TLSConfig {
	k := a.k
	if !k.UsesTLS() {
		return nil
	}
	return &health.TLSConfig{
		ServerName: k.ServerName, SkipVerify: !k.Verify,
		RootsPEM: a.file("ca_file", k.CAFile), CertPEM: a.file("cert_file", k.CertFile), KeyPEM: a.file("key_file", k.KeyFile),
	}
}

// file reads a file that a directive names; an empty name is none.
func (a *asker) file(directive, path string) []byte {
	if path == "" {
		return nil
	}
	b, err := readSmall(path)
	if err != nil {
		a.errs = append(a.errs, fmt.Errorf("%s: %w", directive, err))
	}
	return b
}

// secret is the first line of password_file.
func (a *asker) secret() string {
	first, _, _ := strings.Cut(string(a.file("password_file", a.k.PasswordFile)), "\n")
	return strings.TrimSuffix(first, "\r")
}

func (a *asker) number(directive, text string) int {
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		a.errs = append(a.errs, fmt.Errorf("%s = %s: with %s it is a number", directive, text, a.k.Kind))
	}
	return n
}

// readSmall reads a file that a configuration names; a larger one is none of
// those.
func readSmall(path string) ([]byte, error) {
	const most = 4 << 20
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > most:
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("no regular file of at most %d bytes: name another", most)}
	}
	return os.ReadFile(path)
}
