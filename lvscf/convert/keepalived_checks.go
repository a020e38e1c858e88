package convert

import (
	"encoding/hex"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lvskit/lvskit/lvscf"
)

// checkKind is a kind of check as keepalived has it.
type checkKind struct {
	kind lvscf.CheckKind // empty: not carried
	// retry and before are its defaults; before < 0 is the interval.
	retry  int64
	before time.Duration
	// read fills in what is special to it.
	read func(*checkReader)
	// why and nearest are said of one that is not carried.
	why, nearest string
}

// checkKinds are those of keepalived.conf(5).
var checkKinds = map[string]checkKind{
	"TCP_CHECK":  {kind: lvscf.CheckTCP, retry: 1, before: time.Second},
	"PING_CHECK": {kind: lvscf.CheckPing, retry: 1, before: time.Second},
	"HTTP_GET":   {kind: lvscf.CheckHTTP, retry: 1, before: 3 * time.Second, read: (*checkReader).http},
	"SSL_GET":    {kind: lvscf.CheckHTTPS, retry: 1, before: 3 * time.Second, read: (*checkReader).http},
	"SMTP_CHECK": {kind: lvscf.CheckSMTP, retry: 1, before: time.Second, read: (*checkReader).smtp},
	"DNS_CHECK":  {kind: lvscf.CheckDNS, retry: 3, before: -1, read: (*checkReader).dns},
	"MISC_CHECK": {kind: lvscf.CheckScript, retry: 0, before: time.Second, read: (*checkReader).misc},
	"UDP_CHECK":  {kind: lvscf.CheckUDP, retry: 1, before: time.Second, read: (*checkReader).udp},
	"BFD_CHECK": {
		why:     "lvs.cf has no check of the kind bfd",
		nearest: "a check of kind ping with a small interval",
	},
	"FILE_CHECK": {
		why:     "a check of kind file reads its number the other way round: 0 is bad there, and it sets the weight in place of adding to it",
		nearest: "a check of kind file with numbers of that sense, or of kind script",
	},
}

// checkReader reads one check.
type checkReader struct {
	im     *importer
	p      place
	s      *statement
	l      level
	ssl    bool
	c      lvscf.Check   // what all of its checks share
	checks []lvscf.Check // several, where one block asks several questions
	h      handlers
	done   []func() // to do when all is read
}

// check reads a check of a real server; it may be several here.
func (im *importer) check(p place, s *statement, l level) []lvscf.Check {
	kind := checkKinds[s.name]
	if kind.kind == "" {
		p.lose(s, kind.why, kind.nearest)
		return nil
	}
	r := &checkReader{im: im, p: p.in(s), s: s, l: l, ssl: s.name == "SSL_GET"}
	r.c = lvscf.NewCheck("")
	r.c.Kind = kind.kind
	r.h = r.l.handlers(r.p)
	delete(r.h, "inhibit_on_failure")
	delete(r.h, "virtualhost")
	for word, do := range (handlers{
		"connect_ip":   func(s *statement) { r.p.host(s, &r.c.Address) },
		"connect_port": func(s *statement) { r.p.port(s, &r.c.Port) },
		"bindto":       func(s *statement) { r.p.host(s, &r.c.Source) },
		"bind_if":      func(s *statement) { r.c.Interface, _ = r.p.device(s, 0) },
		"fwmark": func(s *statement) {
			if n, ok := r.p.number(s, 0, 0, math.MaxUint32); ok {
				r.c.Mark = uint32(n)
			}
		},
	}) {
		r.h[word] = do
	}
	if kind.read != nil {
		kind.read(r)
	}
	r.p.each(s.body, inCheck, r.h)
	r.timing(kind)
	for _, do := range r.done {
		do()
	}
	if r.checks == nil {
		r.checks = []lvscf.Check{r.c}
	}
	return r.checks
}

func (p place) port(s *statement, to *uint16) {
	if n, ok := p.number(s, 0, 1, 65535); ok {
		*to = uint16(n)
	}
}

// timing fills in how often and how patiently to ask: what keepalived does
// when nothing is said is written out.
func (r *checkReader) timing(kind checkKind) {
	retry, before := r.l.retry, r.l.before
	if retry < 0 {
		retry = kind.retry
	}
	if before < 0 {
		before = kind.before
	}
	if before < 0 {
		before = r.l.loop
	}
	r.c.Interval, r.c.FastInterval = r.l.loop, before
	r.c.Fall, r.c.Rise = int(retry)+1, 1
	if retry == 0 {
		r.c.FastInterval = 0 // nothing to do in a hurry
	}
	r.c.StartState = lvscf.StartUp
	if r.l.alpha {
		r.c.StartState = lvscf.StartDown
	}
	limit := r.l.connect
	switch r.c.Kind {
	case lvscf.CheckHTTP, lvscf.CheckHTTPS, lvscf.CheckSMTP:
		// keepalived limits each step, and no check as a whole.
		r.c.ConnectTimeout, r.c.ReadTimeout = limit, limit
		r.c.Timeout = wholeTimeout(r.c.Kind, limit)
		if r.c.Kind == lvscf.CheckHTTPS {
			r.c.TLSTimeout = limit
		}
	case lvscf.CheckScript:
		if r.c.Timeout == 0 {
			r.c.Timeout = r.l.loop
		}
	default:
		r.c.Timeout = limit
	}
}

// wholeTimeout is the sum of a check's steps: to connect, to read, and the
// handshake of TLS or the greeting, the name and the farewell of SMTP.
func wholeTimeout(kind lvscf.CheckKind, step time.Duration) time.Duration {
	switch kind {
	case lvscf.CheckHTTP:
		return 2 * step
	case lvscf.CheckHTTPS:
		return 3 * step
	case lvscf.CheckSMTP:
		return 4 * step
	}
	return step
}

// http reads HTTP_GET and SSL_GET: each url becomes a check, all of which must
// be good.
func (r *checkReader) http() {
	var urls []*statement
	sni := false
	host := r.l.host
	version := "1.0"
	r.h["url"] = func(s *statement) { urls = append(urls, s) }
	r.h["virtualhost"] = func(s *statement) { host, _ = r.p.text(s) }
	r.h["http_protocol"] = func(s *statement) {
		switch s.word(0) {
		case "1.1":
			version = ""
		case "1.0", "1.0C", "1.0c":
		default:
			r.p.lose(s, "no version that keepalived speaks", "1.0 was taken")
		}
	}
	// An alias that keepalived keeps for these two kinds alone.
	r.h["nb_get_retry"] = r.h["retry"]
	r.h["enable_sni"] = nil // without TLS there is nothing to name
	if r.ssl {
		r.h["enable_sni"] = func(s *statement) { r.p.flag(s, &sni) }
		r.c.Verify = false // keepalived verifies no certificate
		r.c.CertFile, r.c.KeyFile = r.im.tls.cert, r.im.tls.key
	}
	r.done = append(r.done, func() {
		r.c.HTTPVersion = version
		if len(urls) == 0 {
			r.p.loseAs(r.s, r.s.name+" without a url", "keepalived asks nothing then", "the server counts as good without this check")
			r.checks = []lvscf.Check{}
		}
		for _, u := range urls {
			c := r.c
			c.Host = host
			r.url(u, &c)
			if r.ssl && !sni && c.Host != "" {
				r.p.loseAs(u, "no enable_sni", "a check over TLS always names the server that it wants", "the name "+c.Host+" is sent in the handshake")
			}
			r.checks = append(r.checks, c)
		}
	})
}

func (r *checkReader) url(s *statement, c *lvscf.Check) {
	p := r.p.in(s)
	var options *statement
	var expression *statement
	p.each(s.body, inURL, handlers{
		"path": func(s *statement) {
			if t, ok := p.text(s); ok && t != "/" {
				c.Path = t
			}
		},
		"digest": func(s *statement) {
			if d := s.word(0); len(d) == 32 && strings.Trim(strings.ToLower(d), "0123456789abcdef") == "" {
				c.Digest = strings.ToLower(d)
			} else {
				p.lose(s, "no MD5 sum of 32 digits", "digest with the sum that keepalived's genhash prints")
			}
		},
		"status_code":   func(s *statement) { p.status(s, c) },
		"virtualhost":   func(s *statement) { c.Host, _ = p.text(s) },
		"regex":         func(s *statement) { expression = s },
		"regex_options": func(s *statement) { options = s },
	})
	if expression != nil {
		p.regex(expression, options, c)
	}
}

func (p place) status(s *statement, c *lvscf.Check) {
	var codes lvscf.StatusCodes
	if err := codes.UnmarshalText([]byte(strings.Join(s.words, ","))); err != nil {
		p.lose(s, "no status codes of 100 to 999", "200-299, the default, was taken")
		return
	}
	if codes.String() != "200-299" { // what lvs.cf takes too
		c.Status = codes
	}
}

// regexFlags are the options of PCRE that RE2 has as well.
var regexFlags = map[string]string{"caseless": "i", "dotall": "s", "multiline": "m", "ungreedy": "U", "utf": "", "ucp": "", "never_ucp": "", "no_auto_capture": "", "no_start_optimize": "", "no_auto_possess": "", "no_dotstar_anchor": ""}

// regex takes over an expression of PCRE if RE2 reads it too.
func (p place) regex(s, options *statement, c *lvscf.Check) {
	text, ok := p.escaped(s)
	if !ok {
		return
	}
	p.surplus(s, quotedWords(s.raw), 1)
	flags := ""
	if options != nil {
		for _, o := range options.words {
			f, ok := regexFlags[o]
			if !ok {
				p.loseAs(options, "regex_options "+o, "the expressions are those of RE2, which has no such option", "an expression that needs none")
			}
			flags += f
		}
	}
	if flags != "" {
		text = "(?" + flags + ")" + text
	}
	if _, err := regexp.Compile(text); err != nil {
		p.lose(s, "the expressions are those of RE2, which does not read it: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "an expression without it, or a check of kind script")
		return
	}
	c.BodyRegex = text
}

// smtp reads SMTP_CHECK, where each host block of older files is a check.
func (r *checkReader) smtp() {
	var hosts []*statement
	r.h["host"] = func(s *statement) { hosts = append(hosts, s) }
	r.done = append(r.done, func() {
		for _, h := range hosts {
			p := r.p.in(h)
			c := r.c
			p.each(h.body, inCheck, handlers{
				"connect_ip":   func(s *statement) { p.host(s, &c.Address) },
				"connect_port": func(s *statement) { p.port(s, &c.Port) },
				"bindto":       func(s *statement) { p.host(s, &c.Source) },
				"bind_if":      func(s *statement) { c.Interface, _ = p.device(s, 0) },
			})
			r.checks = append(r.checks, c)
		}
	})
}

func (r *checkReader) dns() {
	r.c.QueryType, r.c.Query = "SOA", "."
	r.h["type"] = func(s *statement) {
		if !slices.Contains(strings.Fields("A NS CNAME SOA MX TXT AAAA"), s.word(0)) {
			r.p.lose(s, "no type that keepalived asks for", "SOA was taken")
			return
		}
		r.c.QueryType = s.word(0)
	}
	r.h["name"] = func(s *statement) {
		if t, ok := r.p.text(s); ok {
			r.c.Query = t
		}
	}
}

func (r *checkReader) misc() {
	r.h["misc_path"] = func(s *statement) { r.c.Command, _ = r.p.command(s) }
	r.h["misc_timeout"] = func(s *statement) {
		if n, ok := r.p.number(s, 0, 1, math.MaxInt32); ok {
			r.c.Timeout = time.Duration(n) * time.Second
		}
	}
	r.h["misc_dynamic"] = func(s *statement) { r.p.flag(s, &r.c.UseWeight) }
	delete(r.h, "connect_timeout")
	for _, word := range strings.Fields("connect_ip connect_port bindto bind_if fwmark connect_timeout") {
		r.h[word] = func(s *statement) {
			r.p.lose(s, "a program makes its own connections, so keepalived has no such word here", "arguments of the program")
		}
	}
	r.done = append(r.done, func() {
		if r.c.Command == "" {
			r.p.loseAs(r.s, "MISC_CHECK without misc_path", "keepalived runs nothing then", "the server counts as good without this check")
			r.checks = []lvscf.Check{}
		}
	})
}

func (r *checkReader) udp() {
	payload := false
	r.h["payload"] = func(s *statement) {
		payload = true
		if t, ok := r.p.hex(s); ok {
			r.c.Send = t
		}
	}
	r.h["require_reply"] = func(s *statement) {
		r.c.RequireReply = true
		if s.raw != "" {
			if t, ok := r.p.hex(s); ok {
				r.c.Expect = t
			}
		}
	}
	r.done = append(r.done, func() {
		if !payload {
			r.p.loseAs(r.s, "UDP_CHECK without payload", "keepalived sends bytes at random, the director an empty packet", "send with a text that the servers understand")
		}
	})
}

// hex reads bytes as hexadecimal digits, in pairs or alone between blanks, and
// makes the text of a send or expect line of them.
func (p place) hex(s *statement) (string, bool) {
	digits := ""
	for _, word := range quotedWords(s.raw) {
		for _, w := range strings.Fields(word) {
			for len(w) > 0 {
				if len(w) == 1 {
					w = "0" + w
				}
				digits, w = digits+w[:2], w[2:]
			}
		}
	}
	if strings.ContainsAny(digits, "xX") {
		p.lose(s, "an expected text has no places that do not count", "expect with the beginning up to the first of them, or use_regex")
		return "", false
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		p.lose(s, "no hexadecimal digits, so keepalived ignores it", "nothing was carried")
		return "", false
	}
	text, ok := escapeText(string(raw))
	if !ok {
		p.lose(s, "lvs.cf holds text only, and these bytes are none", "a check of kind script")
		return "", false
	}
	return text, true
}

// escapeText writes bytes with the escapes that [lvscf.Unescape] reads, if it
// can. The quotes of the file are beyond it, so the text has none.
func escapeText(raw string) (string, bool) {
	if !utf8.ValidString(raw) || raw == "" {
		return "", false
	}
	text := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(raw)
	return text, lineText(text) && lvscf.Unescape(text) == raw
}

// nameChecks gives the checks of a server names: their kinds, counted.
func nameChecks(checks []lvscf.Check) {
	seen := map[lvscf.CheckKind]int{}
	for i := range checks {
		c := &checks[i]
		seen[c.Kind]++
		c.Name = c.Kind.String()
		if n := seen[c.Kind]; n > 1 {
			c.Name += "-" + strconv.Itoa(n)
		}
	}
}
