package convert

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

// kind reads what sort of check the service has.
func (im *ldImport) kind(v *ldVirtual) {
	v.checkType = "negotiate"
	if d := im.section.last("checktype"); d != nil {
		number := strings.TrimPrefix(d.value, "checktimeout") // as the manual page has it
		n, err := strconv.ParseUint(number, 10, 31)
		switch d.value {
		case "negotiate", "connect", "ping", "off", "on", "external", "external-perl":
			v.checkType = d.value
		default:
			if err != nil {
				im.fail(d, fmt.Sprintf("%q is no type of check", clip(d.value)), "write connect, external, external-perl, negotiate, off, on, ping or a number")
				break
			}
			v.checkType, v.connects = "combined", int64(n)
		}
		if v.checkType == "external-perl" {
			im.lose(d, "checktype = external-perl", "there is no Perl here to run the script in", "it is run as a program: make it executable, with #!/usr/bin/perl as its first line")
		}
	}
	if v.service = ldServiceOf(v.Port); v.mark {
		v.service = "none"
	}
	if d := im.section.last("service"); d != nil {
		if _, ok := ldServices[d.value]; !ok {
			im.fail(d, fmt.Sprintf("%q is no service that ldirectord can ask", clip(d.value)), "see service in ldirectord(8); none is one of them")
		} else {
			v.service = d.value
		}
	}
	if d := im.section.last("checkport"); d != nil {
		v.checkPort = uint16(im.number(d, 1, 65535))
	}
	v.off = v.checkType == "off"
	v.Timeout = v.negotiateTimeout
	switch v.checkType {
	case "connect", "external", "external-perl", "ping":
		v.Timeout = v.connectTimeout
	}
	if v.Interval == v.Timeout {
		v.Interval = 0 // that is what lvs.cf assumes
	}
}

// virtualChecks gives the block the checks that all its servers share. Servers
// whose port makes a difference get their own in serverChecks.
func (im *ldImport) virtualChecks(v *ldVirtual) {
	v.Checks = im.checks(v, v.Port, nil)
	shorten(&v.Check, &v.Checks)
}

// serverChecks gives a server its own checks if they differ from the block's:
// it has a request of its own, or no port while the service has.
func (im *ldImport) serverChecks(d *ldLine, v *ldVirtual, s *lvscf.Server, port uint16, f realFlags) {
	usual := ldServices[v.service]
	if !f.asks && (port != 0 || v.checkPort != 0 || !v.mark && (usual == v.Port || usual == 0)) {
		return
	}
	if v.off || v.checkType == "on" {
		return
	}
	if port == 0 && v.checkPort == 0 {
		port = usual
	}
	own := &ldQuestion{at: d, request: f.request, receive: f.receive, asks: f.asks, noPort: port == 0 && v.checkPort == 0, port: port}
	s.Checks = im.checks(v, s.Port, own)
	shorten(&s.Check, &s.Checks)
}

// ldQuestion is what a real server asks for by itself.
type ldQuestion struct {
	at               *ldLine
	request, receive string
	asks             bool
	noPort           bool
	port             uint16
}

// checks returns the checks of a service, or those of one server of it.
func (im *ldImport) checks(v *ldVirtual, serverPort uint16, own *ldQuestion) []lvscf.Check {
	check := func(kind lvscf.CheckKind) lvscf.Check {
		c := lvscf.NewCheck(kind.String())
		c.Kind, c.Port = kind, v.checkPort
		if own != nil && own.port != serverPort && c.Port == 0 {
			c.Port = own.port
		}
		return c
	}
	switch v.checkType {
	case "off", "on":
		c := check(lvscf.CheckNone)
		c.Port = 0
		return []lvscf.Check{c}
	case "ping":
		return []lvscf.Check{im.ping(v)}
	case "external", "external-perl":
		return []lvscf.Check{im.external(v)}
	case "connect":
		return []lvscf.Check{im.connect(v, check(lvscf.CheckTCP), own)}
	case "combined":
		ask := im.negotiate(v, check, own)
		if ask.Kind == lvscf.CheckNone || v.connects == 0 {
			return []lvscf.Check{ask}
		}
		connect := im.connect(v, check(lvscf.CheckTCP), own)
		connect.Name, ask.Name = "connect", "negotiate"
		connect.Timeout = v.connectTimeout
		every := v.Interval
		if every == 0 {
			every = v.Timeout
		}
		if v.connects < int64(maxLdirectordSeconds) {
			ask.Interval = every * time.Duration(1+v.connects)
		}
		return []lvscf.Check{connect, ask}
	}
	return []lvscf.Check{im.negotiate(v, check, own)}
}

// connect is the check that only connects. Over UDP it is a ping.
func (im *ldImport) connect(v *ldVirtual, c lvscf.Check, own *ldQuestion) lvscf.Check {
	switch {
	case v.Protocol == lvscf.UDP && !v.mark && v.checkType == "connect":
		return im.ping(v)
	case own != nil && own.noPort:
		im.lose(own.at, "the port to check", "neither the server nor checkport names one, so that ldirectord never gets an answer", "the server is pinged")
		return im.ping(v)
	}
	return c
}

// ping is the check by ICMP. Only it heeds checkcount: so many requests may be
// lost in each check.
func (im *ldImport) ping(v *ldVirtual) lvscf.Check {
	c := lvscf.NewCheck("ping")
	c.Kind = lvscf.CheckPing
	d := im.either("checkcount")
	if d == nil {
		return c
	}
	if n := im.number(d, 1, 1000); n > 1 {
		c.Fall = int(n) * max(1, v.Fall)
		c.FastInterval = v.Timeout
	}
	return c
}

// external is a program of the operator's.
func (im *ldImport) external(v *ldVirtual) lvscf.Check {
	c := lvscf.NewCheck("script")
	c.Kind = lvscf.CheckScript
	c.Command = "/bin/true"
	d := im.section.last("checkcommand")
	if d != nil {
		if s, ok := im.text(d); ok {
			c.Command = s
		}
	}
	if strings.ContainsAny(c.Command, blanks+`"'%`) || !lineText(c.Command) {
		im.lose(d, "checkcommand = "+clip(c.Command), "ldirectord takes it all for the name of one program, lvs.cf splits it at blanks and reads % as the begin of a parameter", "put it into a script of its own; /bin/false was taken, so that nothing is taken for well")
		c.Command = "/bin/false"
	}
	who := v.Address.String()
	if v.mark {
		who = strconv.FormatUint(uint64(v.FWMark), 10)
	}
	c.Command += fmt.Sprintf(" %s %d %%h %%p", who, v.Port)
	return c
}

// question is what the negotiating checks ask for, from the section or from
// one server.
type question struct {
	// at is the line with the expression.
	at, requestAt    *ldLine
	request, receive string
	own              bool
}

func (im *ldImport) question(own *ldQuestion) question {
	if own != nil && own.asks {
		return question{own.at, own.at, "/" + strings.TrimPrefix(own.request, "/"), own.receive, true}
	}
	q := question{request: "/"}
	if d := im.section.last("request"); d != nil {
		s, _ := im.text(d)
		q.requestAt, q.request = d, "/"+strings.TrimPrefix(s, "/")
	}
	if d := im.section.last("receive"); d != nil {
		s, _ := im.text(d)
		q.at, q.receive = d, s
	}
	return q
}

// negotiate is the check that speaks with the service.
func (im *ldImport) negotiate(v *ldVirtual, check func(lvscf.CheckKind) lvscf.Check, own *ldQuestion) lvscf.Check {
	q := im.question(own)
	plain := func(kind lvscf.CheckKind, tls bool) lvscf.Check {
		c := check(kind)
		if tls {
			c.TLS, c.Verify = true, false // ldirectord takes any certificate
		}
		return c
	}
	if v.service != "none" && own != nil && own.noPort {
		return im.connect(v, check(lvscf.CheckTCP), own)
	}
	switch v.service {
	case "http", "https":
		return im.http(v, check(lvscf.CheckKind(v.service)), q)
	case "http_proxy":
		return im.proxy(v, check(lvscf.CheckText), q)
	case "dns":
		return im.dns(check(lvscf.CheckDNS), q)
	case "simpletcp":
		return im.simpleTCP(v, check, q)
	case "smtp", "submission":
		return plain(lvscf.CheckSMTP, false)
	case "nntp":
		return plain(lvscf.CheckNNTP, false)
	case "pop", "pops":
		return im.login(v, plain(lvscf.CheckPOP3, v.service == "pops"))
	case "imap", "imaps":
		return im.login(v, plain(lvscf.CheckIMAP, v.service == "imaps"))
	case "ldap", "ldaps":
		c := im.login(v, plain(lvscf.CheckLDAP, v.service == "ldaps"))
		c.Query = im.value(q.requestAt, strings.TrimPrefix(q.request, "/"))
		im.unasked(q, "the name of the entry that is found is not compared with an expression")
		return c
	case "ftp":
		c := im.login(v, plain(lvscf.CheckFTP, false))
		if c.User == "" {
			c.User = "anonymous"
		}
		if q.requestAt != nil {
			im.lose(q.requestAt, "the file "+clip(q.request), "the check by FTP fetches no file", "the login is checked")
		}
		im.unasked(q, "the check by FTP fetches no file that could be compared")
		return c
	case "mysql", "pgsql":
		kind := lvscf.CheckMySQL
		if v.service == "pgsql" {
			kind = lvscf.CheckPostgres
		}
		c := im.login(v, plain(kind, false))
		c.Query = im.value(q.requestAt, strings.TrimPrefix(q.request, "/"))
		if d := im.section.last("database"); d != nil {
			c.Database, _ = im.text(d)
			c.Database = im.value(d, c.Database)
		}
		return c
	case "oracle":
		im.lose(im.kindLine(), "service = oracle", "there is no check that speaks the protocol of Oracle", "the check only connects; a check of kind script can run a client")
		return check(lvscf.CheckTCP)
	case "radius":
		return im.radius(v, plain(lvscf.CheckRADIUS, false))
	case "sip":
		c := plain(lvscf.CheckSIP, false)
		if d := im.section.last("login"); d != nil {
			c.User, _ = im.text(d)
			c.User = im.value(d, c.User)
		}
		return c
	}
	c := check(lvscf.CheckNone)
	c.Port = 0
	return c
}

// kindLine is where the service stands, or the head of the section where it is
// told by its port.
func (im *ldImport) kindLine() *ldLine {
	if d := im.section.last("service"); d != nil {
		return d
	}
	return &im.section.head
}

// value passes on a text that lvs.cf can hold, and loses another.
func (im *ldImport) value(d *ldLine, s string) string {
	if lineText(s) {
		return s
	}
	im.lose(d, d.name, "a value of lvs.cf has no control characters, and no quotes of both kinds", "left out")
	return ""
}

// unasked loses an expression that the check has no use for, though ldirectord
// has.
func (im *ldImport) unasked(q question, why string) {
	if q.at != nil && q.receive != "" {
		im.lose(q.at, "receive "+clip(q.receive), why, "any answer is good")
	}
}

// http is the check of a page.
func (im *ldImport) http(v *ldVirtual, c lvscf.Check, q question) lvscf.Check {
	c.Verify = c.Kind != lvscf.CheckHTTPS
	if d := im.section.last("virtualhost"); d != nil {
		if host, ok := im.text(d); ok {
			c.Host = im.value(d, host)
		}
	}
	if d := im.section.last("httpmethod"); d != nil {
		switch method := strings.ToUpper(d.value); method {
		case "GET":
		case "HEAD":
			c.Method = method
		default:
			im.fail(d, fmt.Sprintf("%q is no method that ldirectord has", clip(d.value)), "write GET or HEAD")
		}
	}
	if q.own && strings.Contains(q.request, v.service+"://") {
		im.elsewhere(&c, q)
	} else if q.request != "/" {
		c.Path = im.value(q.requestAt, q.request)
	}
	if q.receive == "" {
		return c
	}
	if _, err := regexp.Compile(q.receive); err != nil {
		im.lose(q.at, "receive "+clip(q.receive), "body_regex takes expressions of RE2, which has no look-around and no back references", "the page must be there, whatever is in it")
		return c
	}
	c.BodyRegex = im.value(q.at, q.receive)
	return c
}

// elsewhere is a request of one server that names another address.
func (im *ldImport) elsewhere(c *lvscf.Check, q question) {
	text := strings.TrimPrefix(q.request, "/")
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		im.page(q, fmt.Sprintf("%q is no address of a page", clip(text)))
		return
	}
	host, ok := im.host(u.Hostname(), false)
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && a.Is6() && a.Zone() == "" && !a.Is4In6() {
		host, ok = lvscf.Host{Addr: a}, true
	}
	if !ok {
		im.page(q, fmt.Sprintf("%q is no host", clip(u.Host)))
		return
	}
	if host.Addr.IsValid() && host.Addr.IsUnspecified() {
		im.page(q, noHost(host.Addr))
		return
	}
	port := ldServices[u.Scheme]
	if u.Port() != "" {
		if port, ok = ldPort(u.Port()); !ok || port == 0 {
			im.page(q, fmt.Sprintf("%q is no port", clip(u.Port())))
			return
		}
	}
	c.Address, c.Port = host, port
	if path := u.RequestURI(); path != "/" {
		c.Path = im.value(q.at, path)
	}
}

// page loses a request for a page elsewhere.
func (im *ldImport) page(q question, why string) {
	im.lose(q.at, "request "+clip(strings.TrimPrefix(q.request, "/")), why, "the server is asked for its first page: write http://HOST:PORT/PATH")
}

// proxy is the check that asks a proxy for a page elsewhere, said as a text.
func (im *ldImport) proxy(v *ldVirtual, c lvscf.Check, q question) lvscf.Check {
	target := strings.TrimPrefix(q.request, "/")
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || q.requestAt == nil {
		im.lose(im.kindLine(), "service = http_proxy", "request names no whole address, such as http://www.example.net/, so that ldirectord cannot ask", "the check only connects")
		c.Kind, c.Name = lvscf.CheckTCP, "tcp"
		return c
	}
	method := "GET"
	if d := im.section.last("httpmethod"); d != nil && strings.EqualFold(d.value, "HEAD") {
		method = "HEAD"
	}
	c.Send = im.checkText(q.requestAt, method+" "+target+" HTTP/1.0\r\nHost: "+u.Host+"\r\n\r\n")
	c.Expect, c.UseRegex = `^HTTP/1[.][01] 2`, true
	im.unasked(q, "the answer of a proxy is compared up to its status only")
	return c
}

// checkText is a text of a check with its escapes.
func (im *ldImport) checkText(d *ldLine, s string) string {
	const most = 255 // bytes, of send and expect
	text, ok := escapeText(s)
	if !ok || len(text) > most {
		im.lose(d, d.name+" "+clip(s), fmt.Sprintf("send and expect have at most %d bytes, and no quotes of both kinds", most), "left out; a check of kind script can do it")
		return ""
	}
	return text
}

// dns is the check of a name server.
func (im *ldImport) dns(c lvscf.Check, q question) lvscf.Check {
	name := strings.TrimPrefix(q.request, "/")
	if a, err := netip.ParseAddr(name); err == nil {
		c.QueryType = "PTR"
		name = reverseName(a)
	}
	c.Query = im.value(q.requestAt, name)
	if q.receive == "" {
		im.lose(im.kindLine(), "a dns check without receive", "ldirectord never takes an answer for good then", "any answer without an error is good")
		return c
	}
	text, ok := literal(q.receive)
	if !ok || !lineText(text) {
		im.lose(q.at, "receive "+clip(q.receive), "with dns expect is a text, not an expression", "any answer without an error is good")
		return c
	}
	c.Expect = text
	return c
}

// reverseName is the name whose PTR record tells that of an address (RFC 1035
// section 3.5, RFC 3596 section 2.5).
func reverseName(a netip.Addr) string {
	if a = a.Unmap(); a.Is4() {
		x := a.As4()
		return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", x[3], x[2], x[1], x[0])
	}
	const digits = "0123456789abcdef"
	x := a.As16()
	b := make([]byte, 0, 72)
	for i := len(x) - 1; i >= 0; i-- {
		b = append(b, digits[x[i]&15], '.', digits[x[i]>>4], '.')
	}
	return string(b) + "ip6.arpa"
}

// simpleTCP sends a text and compares the answer.
func (im *ldImport) simpleTCP(v *ldVirtual, check func(lvscf.CheckKind) lvscf.Check, q question) lvscf.Check {
	c := check(lvscf.CheckText)
	if v.Protocol == lvscf.UDP {
		c = check(lvscf.CheckUDP)
		c.RequireReply = true
	}
	// ldirectord drops a leading slash, and knows one escape.
	text := strings.ReplaceAll(strings.TrimPrefix(q.request, "/"), `\n`, "\n")
	if text != "" {
		c.Send = im.checkText(q.requestAt, text)
	}
	if q.receive == "" {
		return c
	}
	expression, ok := posixExpression(q.receive)
	if !ok {
		im.lose(q.at, "receive "+clip(q.receive), "expect takes expressions of POSIX, which has none of Perl's extensions", "any answer is good")
		return c
	}
	if c.Expect = im.checkText(q.at, expression); c.Expect != "" {
		c.UseRegex = true
	}
	return c
}

// login adds the user, and the file where the password belongs. lvs.cf holds
// no secrets, and messages tell none.
func (im *ldImport) login(v *ldVirtual, c lvscf.Check) lvscf.Check {
	if d := im.section.last("login"); d != nil {
		c.User, _ = im.text(d)
		c.User = im.value(d, c.User)
	}
	if d := im.section.last("passwd"); d != nil {
		im.secret(v, &c, d)
	}
	// A name alone is taken for nobody's (RFC 4513, section 5.1.2).
	if d := im.section.last("login"); c.Kind == lvscf.CheckLDAP && c.User != "" && c.PasswordFile == "" {
		im.lose(d, d.name+" = "+clip(c.User), "an object of a directory without a password binds as nobody", "the check binds as nobody")
		c.User = ""
	}
	return c
}

func (im *ldImport) secret(v *ldVirtual, c *lvscf.Check, d *ldLine) {
	if _, ok := im.text(d); !ok {
		return
	}
	c.PasswordFile = "/etc/lvs/" + v.Name + ".secret"
	im.lose(d, d.name+" = ...", "lvs.cf holds no secrets, only the name of a file with one", "write it into "+c.PasswordFile+", and let root alone read that")
}

// radius has a password and a secret, and lvs.cf a place for the latter.
func (im *ldImport) radius(v *ldVirtual, c lvscf.Check) lvscf.Check {
	if d := im.section.last("secret"); d != nil {
		im.secret(v, &c, d)
	}
	for _, name := range []string{"login", "passwd"} {
		d := im.section.last(name)
		if d == nil {
			continue
		}
		s, _ := im.text(d)
		if name == "login" {
			c.User = im.value(d, s)
			continue
		}
		im.lose(d, "passwd = ...", "the file of the check holds the secret of the server, and there is none for the password of the user", "any answer that the secret signs is good")
	}
	return c
}
