package lvscf

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// values reads the arguments of one directive line. Its methods report what is
// wrong, at most one error a line, and whether the value may be used.
type values struct {
	c      *collector
	line   *Line
	dir    *directive
	args   []Token
	failed bool
}

func (v *values) fail(code Code, t Token, message, cure string) {
	v.failed = true
	code, cure = teach(v.line, code, cure)
	v.c.atAs(Error, code, v.line, t.Column, message, cure)
}

func (v *values) warn(code Code, t Token, message, cure string) {
	v.c.at(code, v.line, t.Column, message, cure)
}

// example is the line that a cure shows.
func (v *values) example() string {
	line := v.dir.name + " = " + v.dir.example
	if strings.Contains(line, `"`) {
		return "write for example `" + line + "`"
	}
	return "write for example " + strconv.Quote(line)
}

// cNumber reads an integer as C's strtol does with base 0. ok is false when
// anything else is in s; a number beyond 64 bits saturates.
func cNumber(s string) (n int64, base int, ok bool) {
	digits, sign := s, ""
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		sign, digits = digits[:1], digits[1:]
	}
	base = 10
	switch {
	case len(digits) > 1 && (digits[:2] == "0x" || digits[:2] == "0X"):
		base, digits = 16, digits[2:]
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	if digits == "" || digits[0] == '-' || digits[0] == '+' {
		return 0, base, false
	}
	n, err := strconv.ParseInt(sign+digits, base, 64)
	if err != nil && !isRange(err) {
		return 0, base, false
	}
	return n, base, true
}

func isRange(err error) bool {
	e, ok := err.(*strconv.NumError)
	return ok && e.Err == strconv.ErrRange
}

// saturated reports whether a number is beyond 64 bits, whatever its leading
// zeros mean.
func saturated(s string) bool {
	for _, base := range []int{0, 10} {
		if _, err := strconv.ParseInt(s, base, 64); isRange(err) {
			return true
		}
	}
	return false
}

// integer reads a number by the rules of the dialect: the default one takes
// leading zeros for nothing.
func (v *values) integer(s string) (n int64, base int, ok bool) {
	n, base, ok = cNumber(s)
	if v.c.dialect != Strict && base == 8 {
		var err error
		n, err = strconv.ParseInt(s, 10, 64)
		ok = err == nil || isRange(err)
	}
	return n, base, ok
}

// number reads an integer within bounds.
func (v *values) number(lo, hi int64) (int64, bool) {
	t := v.args[0]
	n, base, ok := v.integer(t.Text)
	switch {
	case !ok:
		cure := v.example()
		if strings.HasPrefix(t.Text, "0") && strings.Trim(t.Text, "0123456789") == "" {
			cure = "a leading zero makes it octal, which has no 8 and 9; write " + strings.TrimLeft(t.Text, "0")
		}
		v.fail(codeNotInteger, t, "integer expected: "+quote(t.Text)+" is not a whole number", cure)
		return 0, false
	case n < lo || n > hi:
		v.fail(codeRange, t, fmt.Sprintf("invalid argument: %s is out of range", quote(t.Text)), rangeCure(v.dir.name, lo, hi))
		return 0, false
	case (n == math.MaxInt64 || n == math.MinInt64) && saturated(t.Text):
		v.warn(codeSaturated, t, fmt.Sprintf("%s is beyond what 64 bits hold, and is read as %d", quote(t.Text), n), rangeCure(v.dir.name, lo, hi))
	case base == 8 && v.c.dialect != Strict:
		if n != 0 {
			v.warn(codeLeadingZero, t, fmt.Sprintf("%s is read as %d; to Piranha its leading zero makes it octal", quote(t.Text), n), fmt.Sprintf("write %d", n))
		}
	case base == 8 && n > 7:
		v.warn(codeLeadingZero, t, fmt.Sprintf("%s is octal because of its leading zero, and means %d", quote(t.Text), n),
			fmt.Sprintf("write %d, or %s if that is meant", n, strings.TrimLeft(t.Text, "+0")))
	}
	return n, true
}

func rangeCure(name string, lo, hi int64) string {
	if hi == math.MaxInt32 && lo >= 0 {
		return fmt.Sprintf("%s must be %d or more, and less than 2^31", name, lo)
	}
	return fmt.Sprintf("%s must be %d..%d", name, lo, hi)
}

// seconds reads a time of at least lo whole seconds.
func (v *values) seconds(lo int64) (time.Duration, bool) {
	n, ok := v.number(lo, math.MaxInt32)
	return time.Duration(n) * time.Second, ok
}

// boolean reads 0 or 1.
func (v *values) boolean() (value, ok bool) {
	const cure = "write 1 for yes or 0 for no"
	t := v.args[0]
	n, _, isNumber := v.integer(t.Text)
	switch {
	case !isNumber:
		digit := booleanWord(t.Text)
		switch {
		case digit == "" || t.Quote != 0:
			v.fail(codeNotBoolean, t, "integer expected: "+quote(t.Text)+" is not a whole number", cure)
			return false, false
		case v.c.dialect == Strict:
			v.fail(codeBooleanWord, t, "integer expected: "+quote(t.Text)+" is not a whole number", "write "+digit)
			return false, false
		}
		v.warn(codeBooleanWord, t, quote(t.Text)+" is read as "+digit+", and Piranha refuses it", "write "+digit)
		return digit == "1", true
	case n != 0 && n != 1:
		v.fail(codeNotBoolean, t, "boolean expected: "+quote(t.Text)+" is neither 0 nor 1", cure)
		return false, false
	}
	return n == 1, true
}

// booleanWord returns the digit that a word stands for, or "".
func booleanWord(word string) string {
	switch strings.ToLower(word) {
	case "yes", "true", "on", "enable", "enabled":
		return "1"
	case "no", "false", "off", "disable", "disabled":
		return "0"
	}
	return ""
}

// port reads a port number, or a service name where the language allows one.
func (v *values) port(names bool) (uint16, bool) {
	t := v.args[0]
	if _, _, isNumber := v.integer(t.Text); !isNumber && names {
		if n, ok := servicePort(t.Text); ok {
			return n, true
		}
		v.fail(codeNotPort, t, "invalid argument: "+quote(t.Text)+" is no port number and no service name known here",
			"write the port as a number, 1..65535")
		return 0, false
	}
	if n, ok := servicePort(t.Text); ok && !names {
		if v.c.dialect != Strict {
			v.warn(codePortName, t, fmt.Sprintf("%s is read as %d; Piranha refuses a name here", quote(t.Text), n), fmt.Sprintf("write %d", n))
			return n, true
		}
		v.fail(codePortName, t, "integer expected: "+quote(t.Text)+" is a service name, which a server's port may not be",
			fmt.Sprintf("write %d", n))
		return 0, false
	}
	n, ok := v.number(1, math.MaxUint16)
	return uint16(n), ok
}

// portOrAll reads a port, or 0 for every port.
func (v *values) portOrAll(names bool) (uint16, bool) {
	if v.args[0].Text == "0" && v.args[0].Quote == 0 {
		return 0, v.extension(v.args[0], "a port of 0, which is every port")
	}
	return v.port(names)
}

// text reads a word or a quoted text as it is.
func (v *values) text() (string, bool) { return v.args[0].Text, true }

// checkText reads a text of a check.
func (v *values) checkText() (string, bool) {
	t := v.args[0]
	const most = 255
	if len(t.Text) > most {
		v.warn(codeLongText, t, fmt.Sprintf("%d bytes are more than Piranha's limit of %d", len(t.Text), most), "shorten the text")
	}
	return t.Text, true
}

// word reads one of a few words.
func (v *values) word(words []string) (int, bool) {
	t := v.args[0]
	var known []string
	for n, w := range words {
		switch {
		case w == "":
		case w == t.Text:
			return n, true
		case v.c.dialect != Strict && strings.EqualFold(w, t.Text):
			v.warn(codeCase, t, quote(t.Text)+" is in upper case, which Piranha does not know", "write "+w)
			return n, true
		default:
			known = append(known, w)
		}
	}
	code, cure := codeNotWord, "write one of "+strings.Join(known, ", ")
	if near := nearest(t.Text, known); near != "" {
		cure = fmt.Sprintf("did you mean %q? The words are %s", near, strings.Join(known, ", "))
	}
	if other := wordOfOthers(t.Text); slices.Contains(known, other) {
		cure = fmt.Sprintf("here that is called %q", other)
	}
	if slices.Contains(known, strings.ToLower(t.Text)) {
		code = codeCase
	}
	v.fail(code, t, fmt.Sprintf("invalid argument: %s is no %s", quoteToken(v.line, t), v.dir.name), cure)
	return 0, false
}

func (v *values) protocol() (Protocol, bool) {
	words := protocolWords
	if v.c.dialect == Strict {
		if v.args[0].Text == protocolWords[SCTP] {
			return 0, v.extension(v.args[0], "this protocol")
		}
		words = words[:SCTP]
	}
	n, ok := v.word(words)
	if !ok {
		return 0, false
	}
	return Protocol(n), true
}

func (v *values) scheduler() (Scheduler, bool) {
	t := v.args[0]
	if t.Text == "pcc" {
		if v.c.dialect != Strict {
			v.warn(codeOldName, t, `"pcc" is the old name of the lc scheduler, and Piranha refuses it`, `write "scheduler = lc"`)
			return LeastConnection, true
		}
		v.fail(codeOldName, t, `invalid argument: "pcc" is the old name of a scheduler`, `write "scheduler = lc"`)
		return "", false
	}
	words := schedulerWords
	if v.c.dialect == Strict {
		if slices.Contains(words[piranhaSchedulers:], t.Text) {
			return "", v.extension(t, "this scheduler")
		}
		words = words[:piranhaSchedulers]
	}
	n, ok := v.word(words)
	if !ok {
		return "", false
	}
	return Scheduler(schedulerWords[n]), true
}

// device reads the name of an interface or of its alias.
func (v *values) device() (string, bool) {
	t := v.args[1]
	switch {
	case t.isComment():
		v.fail(codeNoDevice, t, "missing arguments: a device belongs after the address, not a comment", v.example()+", and the comment on a line of its own")
	case !isDevice(t.Text):
		v.fail(codeNotDevice, t, "invalid argument: "+quote(t.Text)+" is no device name", v.example())
	default:
		return t.Text, true
	}
	return "", false
}

// list reads words between brackets that stand alone.
func (v *values) list() ([]string, bool) {
	if !v.args[0].is("[") {
		v.fail(codeList, v.args[0], "list expected: "+quote(v.args[0].Text)+" stands where [ belongs", v.example()+", with blanks around the brackets")
		return nil, false
	}
	end := slices.IndexFunc(v.args, func(t Token) bool { return t.is("]") })
	if end < 0 {
		v.fail(codeList, v.args[len(v.args)-1], "list expected: the list has no closing ]", v.example()+", with blanks around the brackets")
		return nil, false
	}
	var words []string
	for _, t := range v.args[1:end] {
		words = append(words, t.Text)
	}
	return words, true
}

// host reads an address or a host name. When required, 0.0.0.0 is an error and
// otherwise means no host.
func (v *values) host(required bool) (Host, bool) {
	t := v.args[0]
	addr, note, ok := v.inet(t)
	if v.failed {
		return Host{}, false
	}
	switch {
	case ok && addr.IsUnspecified():
		if required {
			v.fail(codeNoHost, t, "invalid host name or ip address: "+quote(t.Text)+" is no address of a host", v.example()+", or remove the line")
			return Host{}, false
		}
		return Host{}, true
	case ok:
		v.noteAddress(t, note)
		return Host{Addr: addr}, true
	case isHostName(t.Text):
		if isTemplate(t.Text) {
			v.c.atAs(Warning, codeTemplate, v.line, t.Column, "the host name "+quote(t.Text)+" looks like a placeholder", "write the address in its place")
		}
		return Host{Name: t.Text}, true
	}
	v.fail(codeNotHost, t, "invalid argument: "+quote(t.Text)+" is no address and no host name", v.addressCure(t))
	return Host{}, false
}

// address reads an address where names are not allowed.
func (v *values) address() (netip.Addr, bool) {
	t := v.args[0]
	addr, note, ok := v.inet(t)
	if !ok {
		if !v.failed {
			v.fail(codeNotHost, t, "invalid host name or ip address: "+quote(t.Text)+" is no address", v.addressCure(t))
		}
		return netip.Addr{}, false
	}
	v.noteAddress(t, note)
	return addr, true
}

// inet reads an address of either family: IPv4 as C reads it, IPv6 as an
// extension and without a zone.
func (v *values) inet(t Token) (addr netip.Addr, note string, ok bool) {
	if strings.Contains(t.Text, ":") {
		addr, err := netip.ParseAddr(t.Text)
		if err != nil || addr.Zone() != "" || !v.extension(t, "IPv6 addresses") {
			return netip.Addr{}, "", false
		}
		return addr.Unmap(), "", true
	}
	return v.inetAton(t.Text)
}

// inetAton reads an IPv4 address by the rules of the dialect: in the default
// one four numbers with leading zeros are decimal.
func (v *values) inetAton(s string) (addr netip.Addr, note string, ok bool) {
	if v.c.dialect == Strict || !strings.HasPrefix(s, "0") && !strings.Contains(s, ".0") || strings.Count(s, ".") != 3 || strings.Trim(s, "0123456789.") != "" {
		return inetAton(s)
	}
	parts := strings.Split(s, ".")
	for i, p := range parts {
		if parts[i] = strings.TrimLeft(p, "0"); parts[i] == "" && p != "" {
			parts[i] = "0"
		}
	}
	plain := strings.Join(parts, ".")
	addr, _, ok = inetAton(plain)
	if plain != s {
		note = "is read as " + plain + "; to Piranha numbers with a leading zero are octal"
	}
	return addr, note, ok
}

func (v *values) noteAddress(t Token, note string) {
	if note != "" {
		v.warn(codeOddAddress, t, quote(t.Text)+" "+note, "write the four decimal numbers in full")
	}
}

func (v *values) addressCure(t Token) string {
	if addr, err := netip.ParseAddr(t.Text); err == nil && addr.Zone() != "" {
		return "write the address without a zone; " + v.example()
	}
	if strings.Contains(t.Text, "/") {
		return "write the address without a prefix length; " + v.example()
	}
	if _, err := netip.ParseAddrPort(t.Text); err == nil {
		return "write the address without a port; " + v.example()
	}
	return v.example()
}

// mask reads a dotted netmask; 0.0.0.0 is none.
func (v *values) mask() (Netmask, bool) {
	t := v.args[0]
	if n, ok := prefixLength(t.Text); ok && v.extension(t, "prefix lengths") {
		return n, true
	}
	if v.failed {
		return 0, false
	}
	addr, note, ok := v.inetAton(t.Text)
	if !ok {
		v.fail(codeNotMask, t, "Bad subnet mask specified: "+quote(t.Text)+" is no dotted mask", v.addressCure(t))
		return 0, false
	}
	return v.maskOf(addr, note)
}

// prefixLength reads a mask that is written as a prefix length, 1..128.
func prefixLength(s string) (Netmask, bool) {
	s = strings.TrimPrefix(s, "/")
	if s == "" || len(s) > 3 || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return Netmask(n), err == nil && n <= 128
}

func (v *values) maskOf(addr netip.Addr, note string) (Netmask, bool) {
	m, ok := maskOf(addr)
	if !ok {
		v.fail(codeSplitMask, v.args[0], "Bad subnet mask specified: the ones of "+addr.String()+" do not come first", v.example())
		return 0, false
	}
	v.noteAddress(v.args[0], note)
	return m, true
}
