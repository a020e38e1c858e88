package health

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is one kind of check that can be made from options with names, such as
// those of a command line or a configuration file.
type Kind struct {
	// Name is what users write, such as "redis".
	Name string
	// Summary says in a few words what is asked.
	Summary string
	// Port is the port that the protocol has of old (IANA's registry of
	// service names), TLSPort the one with TLS from the first byte; 0 is none.
	Port, TLSPort uint16
	// AnyPort tells that the check needs no port: 0 will do in the target.
	AnyPort bool
	// Options are all options that New takes.
	Options []Option
	// New makes a check. Options that are left out have the zero value of the
	// field they stand for; the error names every one that is unknown or
	// cannot be used.
	New func(options map[string]string) (Checker, error)
}

// Option is one option of a [Kind].
type Option struct {
	// Name is what users write, such as "password-file".
	Name string
	// Summary says in a few words what it is for, what may stand there, and
	// what counts without it.
	Summary string
	// Repeats tells that the option may hold several values, one a line.
	Repeats bool
}

// Kinds returns all kinds of checks that options can describe, by their names.
// Those made of other values have constructors only: [NewDialogue], [NewAll],
// [NewAny], [NewNot], [NewOnPort].
//
// Options that many kinds have: source, device, mark, namespace,
// connect-timeout, tls-timeout, answer-timeout and graceful for [Dial]; tls,
// tls-name, tls-skip-verify, tls-roots (a file of certificates), tls-cert and
// tls-key (files) for [TLSConfig], each of which turns TLS on; starttls. A
// password or secret may be given as a file, by the name of the option and
// "-file". An option that stands for several things, each with blanks or commas
// of its own, has one a line: header and expect-header ("Name: value"),
// expect-header-regex, and json ("path=value").
func Kinds() []Kind {
	kinds := make([]Kind, len(kindTable))
	for i, k := range kindTable {
		probe := &options{}
		_, _ = k.build(probe)
		ports := portsOf(k.name)
		kinds[i] = Kind{Name: k.name, Summary: k.summary, Port: ports.plain, TLSPort: ports.tls, AnyPort: ports.any, Options: describeOptions(k.name, probe.known), New: func(given map[string]string) (Checker, error) {
			o := &options{given: given}
			c, err := k.build(o)
			if bad := o.problems(); bad != nil {
				return nil, fmt.Errorf("%s check: %w", k.name, bad)
			}
			if err != nil {
				return nil, err
			}
			return c, nil
		}}
	}
	return kinds
}

// kindTable is constant. Each build reads all its options before it can fail.
var kindTable = [...]struct {
	name, summary string
	build         func(o *options) (Checker, error)
}{
	{"agent", "weight and state in the words of HAProxy's agent", func(o *options) (Checker, error) {
		return NewAgent(&AgentConfig{Send: o.text("send"), Weight: o.number("weight"), Dial: o.dial()})
	}},
	{"ajp", "CPing to a servlet container", func(o *options) (Checker, error) {
		return NewAJP(&AJPConfig{Dial: o.dial()})
	}},
	{"bfd", "session of BFD over one hop", func(o *options) (Checker, error) {
		return NewBFD(&BFDConfig{Interval: o.duration("interval"), Multiplier: o.number("multiplier"), Dial: o.origin()})
	}},
	{"dns", "one question to a name server", func(o *options) (Checker, error) {
		return NewDNS(&DNSConfig{Name: o.text("name"), Type: o.text("type"), RCodes: o.numbers("rcodes"), Answer: o.text("answer"), TCP: o.flag("tcp"), TLS: o.tls(), Dial: o.dial()})
	}},
	{"external", "a program, by exit code and output", func(o *options) (Checker, error) {
		return NewExternal(ExternalConfig{Command: o.text("command"), Expect: o.text("expect"), Weight: o.flag("weight")})
	}},
	{"file", "a number in a file on this machine", func(o *options) (Checker, error) {
		return NewFile(FileConfig{Path: o.text("path"), Weight: o.flag("weight")})
	}},
	{"ftp", "greeting of a file server", func(o *options) (Checker, error) {
		return NewFTP(&FTPConfig{User: o.text("user"), Password: o.secret("password"), TLS: o.tls(), StartTLS: o.flag("starttls"), Dial: o.dial()})
	}},
	{"grpc", "gRPC health of a server or service", func(o *options) (Checker, error) {
		return NewGRPC(&GRPCConfig{Service: o.text("service"), Authority: o.text("authority"), Watch: o.flag("watch"), Keepalive: o.duration("keepalive"), TLS: o.tls(), Dial: o.dial()})
	}},
	{"http", "HTTP request, status and body", func(o *options) (Checker, error) {
		return NewHTTP(&HTTPConfig{
			Method: o.text("method"), Path: o.text("path"), Host: o.text("host"), Header: o.headers("header"),
			Status: o.ranges("status"), Body: o.text("body"), BodyRegex: o.text("body-regex"), Digest: o.text("digest"), JSON: o.json("json"),
			ExpectHeader: o.headerMatches("expect-header", "expect-header-regex"), Redirects: o.number("redirects"), MaxBody: o.number("max-body"),
			HTTP2: o.flag("http2"), HTTP10: o.flag("http10"), TLS: o.tls(), Dial: o.dial(),
		})
	}},
	{"icmp", "echo reply of a host", func(o *options) (Checker, error) {
		return NewICMP(&ICMPConfig{Size: o.number("size"), Dial: o.sends()})
	}},
	{"imap", "greeting and logout of a mail store", func(o *options) (Checker, error) {
		return NewIMAP(&IMAPConfig{User: o.text("user"), Password: o.secret("password"), TLS: o.tls(), StartTLS: o.flag("starttls"), Dial: o.dial()})
	}},
	{"ldap", "bind to a directory", func(o *options) (Checker, error) {
		return NewLDAP(&LDAPConfig{BindDN: o.text("bind-dn"), Password: o.secret("password"), Base: o.text("base"), TLS: o.tls(), StartTLS: o.flag("starttls"), Dial: o.dial()})
	}},
	{"load-command", "load average, printed by a program", func(o *options) (Checker, error) {
		return NewLoadCommand(LoadCommandConfig{Command: o.text("command")})
	}},
	{"load-http", "load average over HTTP, of node_exporter or in JSON", func(o *options) (Checker, error) {
		return NewLoadHTTP(&LoadHTTPConfig{
			HTTPConfig: HTTPConfig{Path: o.text("path"), Host: o.text("host"), Header: o.headers("header"), MaxBody: o.number("max-body"), HTTP2: o.flag("http2"), TLS: o.tls(), Dial: o.dial()},
			Value:      o.text("value"), CoresValue: o.text("cores-value"),
		})
	}},
	{"memcached", "version of a memcached server", func(o *options) (Checker, error) {
		return NewMemcached(&MemcachedConfig{TLS: o.tls(), Dial: o.dial()})
	}},
	{"mysql", "login to MySQL or MariaDB", func(o *options) (Checker, error) {
		return NewMySQL(&MySQLConfig{User: o.text("user"), Password: o.secret("password"), Database: o.text("database"), Query: o.text("query"), TLS: o.tls(), Dial: o.dial()})
	}},
	{"nagios", "a plugin of Nagios", func(o *options) (Checker, error) {
		return NewNagios(NagiosConfig{Command: o.text("command"), WarningFails: o.flag("warning-fails")})
	}},
	{"nntp", "greeting and quit of a news server", func(o *options) (Checker, error) {
		return NewNNTP(&NNTPConfig{TLS: o.tls(), StartTLS: o.flag("starttls"), Dial: o.dial()})
	}},
	{"ntp", "state of a time server", func(o *options) (Checker, error) {
		return NewNTP(&NTPConfig{Dial: o.sends()})
	}},
	{"pop3", "greeting and quit of a mail store", func(o *options) (Checker, error) {
		return NewPOP3(&POP3Config{User: o.text("user"), Password: o.secret("password"), TLS: o.tls(), StartTLS: o.flag("starttls"), Dial: o.dial()})
	}},
	{"postgres", "beginning of a PostgreSQL session", func(o *options) (Checker, error) {
		return NewPostgres(&PostgresConfig{User: o.text("user"), Database: o.text("database"), Password: o.secret("password"), Query: o.text("query"), Expect: o.text("expect"), TLS: o.tls(), Dial: o.dial()})
	}},
	{"radius", "Status-Server or login of a RADIUS server", func(o *options) (Checker, error) {
		return NewRADIUS(&RADIUSConfig{Secret: o.secret("secret"), User: o.text("user"), Password: o.secret("password"), AllowReject: o.flag("allow-reject"), Dial: o.sends()})
	}},
	{"redis", "PING or role of a Redis server", func(o *options) (Checker, error) {
		return NewRedis(&RedisConfig{Username: o.text("user"), Password: o.secret("password"), Database: o.number("database"), Role: o.text("role"), TLS: o.tls(), Dial: o.dial()})
	}},
	{"rup", "load average, asked of rstatd", func(o *options) (Checker, error) {
		return NewRup(&RupConfig{Port: o.port("rstatd-port"), Portmapper: o.port("portmapper-port"), Version: o.number("version"), Dial: o.sends()})
	}},
	{"ruptime", "load average, heard from rwhod", func(o *options) (Checker, error) {
		name, namespace, spool := o.text("name"), o.text("namespace"), o.text("spool")
		listen := parse(o, "listen", "an address with a port", netip.ParseAddrPort)
		who, err := NewRWho(&RWhoConfig{Listen: listen, Namespace: namespace, Spool: spool})
		if err != nil {
			return nil, err
		}
		return NewRuptime(&RuptimeConfig{RWho: who, Name: name})
	}},
	{"send-expect", "one text sent, one expected, over TCP", func(o *options) (Checker, error) { return o.sendExpect(OverTCP) }},
	{"sip", "OPTIONS to a SIP server", func(o *options) (Checker, error) {
		return NewSIP(&SIPConfig{URI: o.text("uri"), From: o.text("from"), Status: o.ranges("status"), TCP: o.flag("tcp"), TLS: o.tls(), Dial: o.dial()})
	}},
	{"smtp", "greeting and quit of a mail server", func(o *options) (Checker, error) {
		return NewSMTP(&SMTPConfig{Hello: o.text("hello"), TLS: o.tls(), StartTLS: o.flag("starttls"), Dial: o.dial()})
	}},
	{"syn", "half-open connection, which the server's program never sees", func(o *options) (Checker, error) {
		d := o.origin()
		d.ConnectTimeout = o.duration("connect-timeout")
		return NewSYN(&SYNConfig{Dial: d})
	}},
	{"tcp", "connect", func(o *options) (Checker, error) { return NewTCP(&TCPConfig{Dial: o.connects()}) }},
	{"tls", "handshake, certificate and its end", func(o *options) (Checker, error) {
		cfg := &TLSCheckConfig{Pins: o.list("pins"), ALPN: o.list("alpn"), ExpiryDays: o.number("expiry-days")}
		if t := o.tls(); t != nil {
			cfg.TLS = *t
		}
		cfg.Dial = o.connects()
		cfg.TLSTimeout = o.duration("tls-timeout")
		return NewTLS(cfg)
	}},
	{"udp", "one datagram sent, one expected", func(o *options) (Checker, error) { return o.sendExpect(OverUDP) }},
}

// options reads the values of one check and remembers what was asked for and
// what was wrong.
type options struct {
	given map[string]string
	known []string
	errs  []error
}

// problems reports what cannot be used, unknown names included.
func (o *options) problems() error {
	for _, name := range slices.Sorted(maps.Keys(o.given)) {
		if !slices.Contains(o.known, name) {
			o.errs = append(o.errs, fmt.Errorf("unknown option %s: want one of %s", name, strings.Join(o.known, ", ")))
		}
	}
	return errors.Join(o.errs...)
}

func (o *options) text(name string) string {
	o.known = append(o.known, name)
	return o.given[name]
}

// parse reads an option that is there; the error is kept.
func parse[T any](o *options, name, want string, read func(string) (T, error)) (value T) {
	text := o.text(name)
	if text == "" {
		return value
	}
	value, err := read(text)
	if err != nil {
		o.errs = append(o.errs, fmt.Errorf("option %s=%q: want %s", name, text, want))
	}
	return value
}

func (o *options) number(name string) int { return parse(o, name, "a number", strconv.Atoi) }
func (o *options) flag(name string) bool {
	return parse(o, name, "true or false", strconv.ParseBool)
}

func (o *options) port(name string) uint16 {
	return parse(o, name, "a port of 1..65535", func(s string) (uint16, error) {
		n, err := strconv.ParseUint(s, 10, 16)
		if n == 0 {
			err = strconv.ErrRange
		}
		return uint16(n), err
	})
}

func (o *options) duration(name string) time.Duration {
	return parse(o, name, "a duration such as 2s", time.ParseDuration)
}

func (o *options) list(name string) []string {
	if text := o.text(name); text != "" {
		return strings.Split(text, ",")
	}
	return nil
}

func (o *options) numbers(name string) (all []int) {
	return parse(o, name, "numbers with commas between", func(text string) ([]int, error) {
		for _, part := range strings.Split(text, ",") {
			n, err := strconv.Atoi(part)
			if err != nil {
				return nil, err
			}
			all = append(all, n)
		}
		return all, nil
	})
}

// lines reads an option of several things, one a line.
func (o *options) lines(name string) []string {
	return strings.FieldsFunc(o.text(name), func(r rune) bool { return r == '\n' || r == '\r' })
}

// headers reads lines of the form "Name: value".
func (o *options) headers(name string) http.Header {
	h := http.Header{}
	for _, m := range o.headerLines(name, true) {
		h.Add(m.Name, m.Value)
	}
	return h
}

// headerMatches reads lines of the form "Name: value", or "Name" alone for any
// value, from an option for texts and from one for regular expressions.
func (o *options) headerMatches(texts, regexes string) []HeaderMatch {
	all := o.headerLines(texts, false)
	for _, m := range o.headerLines(regexes, true) {
		m.Regex = true
		all = append(all, m)
	}
	return all
}

func (o *options) headerLines(name string, valued bool) (all []HeaderMatch) {
	for _, line := range o.lines(name) {
		key, value, ok := strings.Cut(line, ":")
		if !ok && valued {
			o.errs = append(o.errs, fmt.Errorf("option %s: line %q: want the form Name: value", name, line))
		}
		all = append(all, HeaderMatch{Name: strings.TrimSpace(key), Value: strings.TrimSpace(value)})
	}
	return all
}

// json reads lines of the form "path=value".
func (o *options) json(name string) (all []JSONMatch) {
	for _, line := range o.lines(name) {
		path, value, ok := strings.Cut(line, "=")
		for ok {
			if _, err := parseJSONPath(path); err == nil {
				break
			}
			// The name in the brackets goes on.
			var more string
			more, value, ok = strings.Cut(value, "=")
			path += "=" + more
		}
		if !ok {
			o.errs = append(o.errs, fmt.Errorf("option %s: line %q: want the form path=value, such as status.db[0].ok=true", name, line))
			continue
		}
		all = append(all, JSONMatch{Path: path, Value: value})
	}
	return all
}

func (o *options) ranges(name string) (all []StatusRange) {
	return parse(o, name, "codes such as 200-299,404", func(text string) ([]StatusRange, error) {
		for _, part := range strings.Split(text, ",") {
			low, high, ok := strings.Cut(part, "-")
			if !ok {
				high = low
			}
			lowest, err := strconv.Atoi(low)
			highest, bad := strconv.Atoi(high)
			if err := errors.Join(err, bad); err != nil {
				return nil, err
			}
			all = append(all, StatusRange{lowest, highest})
		}
		return all, nil
	})
}

// secret reads an option, or the first line of the file that it names.
func (o *options) secret(name string) string {
	value := o.text(name)
	if path := o.text(name + "-file"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			o.errs = append(o.errs, fmt.Errorf("option %s-file: %w", name, err))
		}
		value, _, _ = strings.Cut(string(b), "\n")
		value = strings.TrimSuffix(value, "\r")
	}
	return value
}

// origin is where a check comes from.
func (o *options) origin() Dial {
	return Dial{
		Source: parse(o, "source", "an address", netip.ParseAddr),
		Device: o.text("device"),
		Mark: parse(o, "mark", "a number of 32 bits", func(s string) (uint32, error) {
			n, err := strconv.ParseUint(s, 0, 32)
			return uint32(n), err
		}),
		Namespace: o.text("namespace"),
	}
}

// connects is for a check that connects over TCP and says nothing.
func (o *options) connects() Dial {
	d := o.origin()
	d.ConnectTimeout, d.Graceful = o.duration("connect-timeout"), o.flag("graceful")
	return d
}

// dial is for a check that talks over TCP; what it needs of TLS is read
// before.
func (o *options) dial() Dial {
	d := o.connects()
	if slices.Contains(o.known, "tls-name") {
		d.TLSTimeout = o.duration("tls-timeout")
	}
	d.AnswerTimeout = o.duration("answer-timeout")
	return d
}

// sends is for a check of packets.
func (o *options) sends() Dial {
	d := o.origin()
	d.AnswerTimeout = o.duration("answer-timeout")
	return d
}

// tls is nil if no option asks for it.
func (o *options) tls() *TLSConfig {
	on := o.flag("tls")
	if yes, _ := strconv.ParseBool(o.given["starttls"]); yes { // of the kinds that read it
		on = true
	}
	t := &TLSConfig{ServerName: o.text("tls-name"), SkipVerify: o.flag("tls-skip-verify")}
	files := false
	for _, f := range []struct {
		name string
		to   *[]byte
	}{{"tls-roots", &t.RootsPEM}, {"tls-cert", &t.CertPEM}, {"tls-key", &t.KeyPEM}} {
		path := o.text(f.name)
		if path == "" {
			continue
		}
		files = true
		var err error
		if *f.to, err = os.ReadFile(path); err != nil {
			o.errs = append(o.errs, fmt.Errorf("option %s: %w", f.name, err))
		}
	}
	if !on && !files && t.ServerName == "" && !t.SkipVerify {
		return nil
	}
	return t
}

func (o *options) sendExpect(over Transport) (Checker, error) {
	cfg := &SendExpectConfig{Transport: over, Send: o.text("send"), Expect: o.text("expect"), Regex: o.flag("regex"), Literal: o.flag("literal")}
	if over == OverTCP {
		cfg.Dial = o.dial()
	} else {
		cfg.Dial = o.sends()
	}
	return NewSendExpect(cfg)
}
