package convert

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

// lose enters what a directive says as a loss, once even if it is read for
// several services or servers.
func (im *ldImport) lose(d *ldLine, what, why, nearest string) {
	if im.first(d, what) {
		im.ledger.lose(im.in(d.where), what, why, nearest)
	}
}

// said is what was told of a line.
type said struct {
	where Where
	what  string
}

// first reports whether this is told of a line for the first time.
func (im *ldImport) first(d *ldLine, what string) bool {
	key := said{d.where, what}
	if im.told[key] {
		return false
	}
	im.told[key] = true
	return true
}

// fail enters a directive as faulty at its value.
func (im *ldImport) fail(d *ldLine, message, cure string) {
	where := d.at()
	if d.value == "" {
		where, message = d.where, d.name+" has no value"
	}
	if im.first(d, message) {
		im.faults.add(im.in(where), d.source, message, templateCure(d.value, cure))
	}
}

// failPart enters a part of a value as faulty, at its last appearance.
func (im *ldImport) failPart(d *ldLine, part, message, cure string) {
	at := *d
	if i := strings.LastIndex(d.value, part); i >= 0 {
		at.column += i
	}
	im.fail(&at, message, cure)
}

// in adds the open section to a place.
func (im *ldImport) in(w Where) Where {
	w.Path = im.path
	return w
}

// text reads a value with or without quotes, which must not be empty. As in
// ldirectord the last quote of the line ends it, and there are no escapes.
func (im *ldImport) text(d *ldLine) (string, bool) {
	s := d.value
	if strings.HasPrefix(s, `"`) {
		end := strings.LastIndexByte(s, '"')
		if end == 0 {
			im.fail(d, "the quote is not closed", `write `+d.name+` = "..."`)
			return "", false
		}
		if rest := strings.Trim(s[end+1:], blanks); rest != "" {
			im.lose(d, clip(rest), "ldirectord does not read what follows the closing quote", "left out")
		}
		s = s[1:end]
	}
	if s == "" {
		im.fail(d, d.name+" is empty", "write a text between the quotes")
		return "", false
	}
	return s, true
}

// yes reads yes or no.
func (im *ldImport) yes(d *ldLine) bool {
	switch d.value {
	case "yes":
		return true
	case "no":
	default:
		im.fail(d, fmt.Sprintf("%s must be yes or no, not %q", d.name, clip(d.value)), "write yes or no")
	}
	return false
}

// number reads a whole number, 0 if it is none.
func (im *ldImport) number(d *ldLine, lo, hi int64) int64 {
	n, err := strconv.ParseInt(d.value, 10, 64)
	if err != nil || n < lo || n > hi || d.value[0] == '+' || d.value[0] == '-' {
		im.fail(d, fmt.Sprintf("%q is no %s", clip(d.value), d.name), fmt.Sprintf("write a whole number of %d to %d", lo, hi))
		return 0
	}
	return n
}

// maxLdirectordSeconds is the longest time that makes sense to wait for, and
// that everything here can carry.
const maxLdirectordSeconds = 31 * 24 * 3600

// seconds returns the time that the last line with a name gives, in the
// section or else at the left margin, -1 if there is none.
func (im *ldImport) seconds(name string) time.Duration {
	if d := im.either(name); d != nil {
		return time.Duration(im.number(d, 1, maxLdirectordSeconds)) * time.Second
	}
	return -1
}

// either returns the line that counts, that of the section before that at the
// left margin; nil if there is none.
func (im *ldImport) either(name string) *ldLine {
	if d := im.section.last(name); d != nil {
		return d
	}
	return lastLine(im.file.globals, name)
}

// hostName is a name of labels with dots between them, as lvs.cf takes it.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$`)

// numberPart is what no name ends with: it could be an address, as C reads one.
var numberPart = regexp.MustCompile(`^(?:[0-9]+|0[xX][0-9a-fA-F]*)$`)

const maxHostName = 253 // RFC 1035 section 2.3.4, without the length octets

// isNone enters the unspecified address as a loss, and reports whether it is
// that.
func (im *ldImport) isNone(d *ldLine, h lvscf.Host) bool {
	none := h.Addr.IsValid() && h.Addr.IsUnspecified()
	if none {
		im.fail(d, noHost(h.Addr), "write the address of one host; a service for any address is a firewall mark")
	}
	return none
}

// host reads an address of one family, in brackets if it is IPv6, or a name.
// A text that is neither gives false; nothing is reported.
func (im *ldImport) host(s string, six bool) (lvscf.Host, bool) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		return lvscf.Host{Addr: a}, ok && six && err == nil && a.Is6() && a.Zone() == "" && !a.Is4In6()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return lvscf.Host{Addr: a}, a.Is4() && !six
	}
	last := s[strings.LastIndexByte(s, '.')+1:]
	return lvscf.Host{Name: s}, len(s) <= maxHostName && hostName.MatchString(s) && !numberPart.MatchString(last)
}

// nameOfSix enters a loss for a name that ldirectord looks up as IPv6.
func (im *ldImport) nameOfSix(d *ldLine, h lvscf.Host) {
	if h.Name != "" {
		im.lose(d, h.Name, "ldirectord looks this name up as IPv6, lvs.cf has no such mark on a name", "write the IPv6 address in place of the name")
	}
}

// variable is a whole word that is a variable of a template.
var variable = regexp.MustCompile(`^\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})$`)

// hostIn reads what [ldImport.host] does, and a variable of a template as a
// name: what the rest of the file says is worth having.
func (im *ldImport) hostIn(d *ldLine, s string, six bool) (lvscf.Host, bool) {
	m := variable.FindStringSubmatch(s)
	if m == nil {
		return im.host(s, six)
	}
	h, ok := im.host(m[1]+m[2], false)
	if ok {
		im.lose(d, s, "it is a variable of a template that nobody filled in", "the name "+h.Name+" was taken: write its address in the place of that")
	}
	return h, ok
}

// splitPort takes host:port apart. The port is empty if there is none.
func splitPort(s string) (host, port string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, ""
	}
	return s[:i], s[i+1:]
}

// ldServices are the services that ldirectord can ask, with their usual ports
// (ldirectord(8), directive service).
var ldServices = map[string]uint16{
	"dns": 53, "ftp": 21, "http": 80, "https": 443, "http_proxy": 3128, "imap": 143, "imaps": 993, "ldap": 389, "ldaps": 636,
	"mysql": 3306, "nntp": 119, "none": 0, "oracle": 1521, "pgsql": 5432, "pop": 110, "pops": 995, "radius": 1812,
	"simpletcp": 0, "sip": 5060, "smtp": 25, "submission": 587,
}

// ldServiceOf returns the service whose usual port this is, none for others.
func ldServiceOf(port uint16) string {
	for name, p := range ldServices {
		if p == port && p != 0 {
			return name
		}
	}
	return "none"
}

// ldPortNames are names of ports beside those of ldServices, as in IANA's
// registry and its usual aliases, so that a file means the same everywhere.
var ldPortNames = map[string]uint16{
	"domain": 53, "www": 80, "imap2": 143, "pop3": 110, "pop-3": 110, "pop3s": 995, "postgresql": 5432, "squid": 3128,
	"ssh": 22, "telnet": 23, "mail": 25, "ntp": 123, "snmp": 161, "smtps": 465, "syslog": 514, "webcache": 8080, "http-alt": 8080,
	"rsync": 873, "nfs": 2049, "ms-sql-s": 1433, "ms-wbt-server": 3389, "svn": 3690, "amqp": 5672, "sip-tls": 5061, "redis": 6379,
}

// port reads a port by number or name.
func ldPort(s string) (uint16, bool) {
	if p, ok := ldPortNames[s]; ok {
		return p, true
	}
	if p, ok := ldServices[s]; ok && p != 0 {
		return p, true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil
}

// posixExpression turns a Perl expression into one of POSIX, false if that
// cannot say it.
func posixExpression(perl string) (string, bool) {
	var b strings.Builder
	inSet, quantified := false, false
	for i := 0; i < len(perl); i++ {
		c := perl[i]
		switch {
		case c == '\\' && i+1 < len(perl):
			i++
			quantified = false
			class, ok := map[byte]string{'d': "0-9", 'w': "[:alnum:]_", 's': "[:space:]"}[perl[i]]
			switch {
			case ok && inSet:
				b.WriteString(class)
			case ok:
				b.WriteString("[" + class + "]")
			case strings.IndexByte("nrt", perl[i]) >= 0:
				b.WriteByte(map[byte]byte{'n': '\n', 'r': '\r', 't': '\t'}[perl[i]])
			case perl[i] == '_' || perl[i]|0x20 >= 'a' && perl[i]|0x20 <= 'z' || perl[i] >= '0' && perl[i] <= '9':
				return "", false // a class, an anchor or a back reference of Perl
			case inSet && perl[i] != '\\':
				b.WriteByte(perl[i])
			default:
				b.WriteByte('\\')
				b.WriteByte(perl[i])
			}
			continue
		case c == '[':
			inSet = true
		case c == ']':
			inSet = false
		case inSet:
		case c == '?' && quantified:
			quantified = false // how much is taken first changes no match
			continue
		case c == '+' && quantified:
			return "", false
		}
		quantified = !inSet && strings.IndexByte("*+?}", c) >= 0
		b.WriteByte(c)
	}
	out := b.String()
	_, err := regexp.CompilePOSIX(out)
	return out, err == nil
}

// literal returns the text that an expression stands for if it is no more than
// a text, with or without dots escaped.
func literal(perl string) (string, bool) {
	perl = strings.TrimSuffix(strings.TrimPrefix(perl, "^"), "$")
	plain := strings.ReplaceAll(perl, `\.`, ".")
	return plain, plain != "" && !strings.ContainsAny(plain, `\[](){}*+?|^$`)
}
