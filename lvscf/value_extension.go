package lvscf

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bad reports a value of an extension that cannot be used.
func (v *values) bad(t Token, message, cure string) {
	v.fail(codeBadValue, t, message, cure)
}

// extension tells that a value is beyond Piranha's grammar, although its
// directive is not, and reports whether it may be used: not in the strict
// dialect.
func (v *values) extension(t Token, what string) bool {
	if v.c.dialect != Strict {
		return true
	}
	v.fail(codeExtension, t, fmt.Sprintf("invalid argument: %s %s: Piranha's daemons do not know %s", v.dir.name, quote(t.Text), what),
		extensionCure)
	return false
}

// duration reads a time of 0 or more: a number is seconds, and a unit may
// follow, as in 500ms, 1.5s or 2m.
func (v *values) duration() (time.Duration, bool) {
	t := v.args[0]
	d, ok := parseDuration(t.Text)
	const most = math.MaxInt32 * time.Second
	switch {
	case !ok:
		v.bad(t, "invalid argument: "+quote(t.Text)+" is no time", v.example()+"; a number is seconds, or give a unit as in 500ms, 5s or 2m")
		return 0, false
	case d < 0 || d > most:
		v.bad(t, "invalid argument: "+quote(t.Text)+" is out of range", v.dir.name+" must be 0 or more, and less than 2^31 seconds")
		return 0, false
	}
	return d, true
}

// parseDuration reads seconds with or without a fraction, or a number with a
// unit.
func parseDuration(s string) (time.Duration, bool) {
	if s == "" || s[len(s)-1] < 'a' || s[len(s)-1] > 'z' {
		s += "s"
	}
	if len(s) > 32 || strings.ContainsAny(s, "uµn") { // nobody means less than a millisecond
		return 0, false
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

// count reads a whole number of at least lo.
func count(lo int64) func(*values) (int, bool) {
	return func(v *values) (int, bool) {
		n, ok := v.number(lo, math.MaxInt32)
		return int(n), ok
	}
}

// uintTo reads a whole number of lo..hi.
func uintTo[T ~uint8 | ~uint16 | ~uint32](lo, hi int64) func(*values) (T, bool) {
	return func(v *values) (T, bool) {
		n, ok := v.number(lo, hi)
		return T(n), ok
	}
}

// command reads a program with its arguments.
func (v *values) command() (string, bool) {
	t := v.args[0]
	if strings.TrimSpace(t.Text) == "" {
		v.bad(t, "invalid argument: there is no program in "+quote(t.Text), v.example())
		return "", false
	}
	return t.Text, true
}

// CheckFence reports what is wrong with a command as fence_cmd and the flag
// --fence take it: nothing, or quotes. Its words are what blanks separate and no
// shell reads them, so one with quotes would fail at the moment at which a
// partner is dead.
func CheckFence(command string) error {
	switch {
	case strings.TrimSpace(command) == "":
		return errors.New("there is no program in it")
	case strings.ContainsAny(command, `"'`):
		return errors.New("it is split at blanks and no shell reads it, so quotes mean nothing there: put it into a script")
	}
	return nil
}

// fence reads the program that fences a partner.
func (v *values) fence() (string, bool) {
	text, ok := v.command()
	if !ok {
		return "", false
	}
	if err := CheckFence(text); err != nil {
		v.bad(v.args[0], "invalid argument: "+quote(text)+": "+err.Error(), v.example())
		return "", false
	}
	return text, true
}

// path reads a file name, which must not be empty.
func (v *values) path() (string, bool) {
	t := v.args[0]
	if t.Text == "" {
		v.bad(t, "invalid argument: the file has no name", v.example())
		return "", false
	}
	return t.Text, true
}

// interfaceName reads the name of one device.
func (v *values) interfaceName() (string, bool) {
	t := v.args[0]
	if t.isComment() || !isDevice(t.Text) {
		v.bad(t, "invalid argument: "+quote(t.Text)+" is no device name", v.example())
		return "", false
	}
	return t.Text, true
}

// isDevice reports whether a name fits an interface or its alias: IFNAMSIZ
// (linux/if.h) less its zero byte.
func isDevice(s string) bool {
	return s != "" && len(s) <= 15 && !strings.ContainsAny(s, "/ \t")
}

// parsePrefix reads an address with or without the length of its network.
func parsePrefix(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, true
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

// deviceAddress reads an address with the length of its network, and a device.
func (v *values) deviceAddress() (DeviceAddress, bool) {
	t := v.args[0]
	prefix, ok := parsePrefix(t.Text)
	if !ok || prefix.Addr().IsUnspecified() {
		v.bad(t, "invalid argument: "+quote(t.Text)+" is no address with the length of its network", v.example())
		return DeviceAddress{}, false
	}
	device, ok := v.device()
	return DeviceAddress{prefix, device}, ok
}

// deviceWeight reads a device and what its state changes a priority by.
func (v *values) deviceWeight() (DeviceWeight, bool) {
	name, ok := v.interfaceName()
	if !ok {
		return DeviceWeight{}, false
	}
	other := *v
	other.args = v.args[1:]
	weight, ok := priorityWeight(&other)
	v.failed = v.failed || other.failed
	return DeviceWeight{name, weight}, ok
}

// heartbeatPath reads the two ends of a way between the routers.
func (v *values) heartbeatPath() (HeartbeatPath, bool) {
	primary, ok := v.host(true)
	if !ok {
		return HeartbeatPath{}, false
	}
	other := *v
	other.args = v.args[1:]
	backup, ok := other.host(true)
	v.failed = v.failed || other.failed
	return HeartbeatPath{primary, backup}, ok
}

// schedulerFlags reads words with commas between.
func (v *values) schedulerFlags() (SchedulerFlags, bool) {
	var f SchedulerFlags
	if err := f.UnmarshalText([]byte(v.args[0].Text)); err != nil {
		v.bad(v.args[0], "invalid argument: "+quote(v.args[0].Text)+" are no flags of a scheduler",
			"write one or more of "+strings.Join(schedulerFlagWords, ", ")+", with commas and no blanks between")
		return 0, false
	}
	return f, true
}

// engine reads the name of a persistence engine: IP_VS_PENAME_MAXLEN
// (linux/ip_vs.h) less its zero byte.
func (v *values) engine() (string, bool) {
	t := v.args[0]
	if t.Text == "" || len(t.Text) > 15 || strings.ContainsAny(t.Text, " \t/") {
		v.bad(t, "invalid argument: "+quote(t.Text)+" is no name of a persistence engine", v.example())
		return "", false
	}
	return t.Text, true
}

func (v *values) checkKind() (CheckKind, bool) {
	n, ok := v.word(checkKindWords)
	if !ok {
		return "", false
	}
	return CheckKind(checkKindWords[n]), true
}

// digest reads an MD5 or SHA-256 sum in hexadecimal.
func (v *values) digest() (string, bool) {
	t := v.args[0]
	if (len(t.Text) != 32 && len(t.Text) != 64) || strings.Trim(t.Text, "0123456789abcdefABCDEF") != "" {
		v.bad(t, "invalid argument: "+quote(t.Text)+" is no MD5 or SHA-256 sum", "write 32 or 64 hexadecimal digits, as md5sum and sha256sum print them")
		return "", false
	}
	return strings.ToLower(t.Text), true
}

// header reads one line of a request.
func (v *values) header() (string, bool) {
	t := v.args[0]
	name, _, ok := strings.Cut(t.Text, ":")
	if !ok || name == "" || strings.ContainsAny(name, " \t\r\n") || strings.ContainsAny(t.Text, "\r\n") {
		v.bad(t, "invalid argument: "+quoteToken(v.line, t)+" is no header line", v.example())
		return "", false
	}
	return t.Text, true
}

func (v *values) status() (StatusCodes, bool) {
	var s StatusCodes
	if err := s.UnmarshalText([]byte(v.args[0].Text)); err != nil {
		v.bad(v.args[0], "invalid argument: "+quote(v.args[0].Text)+" are no status codes",
			v.example()+"; codes and ranges of 100 to 999, with commas and no blanks between")
		return nil, false
	}
	return s, true
}

// StatusRange is a range of status codes, both ends included.
type StatusRange struct{ Min, Max int }

// StatusCodes are ranges of status codes, in order and apart from each other.
type StatusCodes []StatusRange

// maxStatusRanges bounds a list: no server has more codes worth telling apart.
const maxStatusRanges = 100

// String returns codes and ranges with commas between, as in "200,300-399".
func (s StatusCodes) String() string {
	var words []string
	for _, r := range s {
		w := strconv.Itoa(r.Min)
		if r.Max != r.Min {
			w += "-" + strconv.Itoa(r.Max)
		}
		words = append(words, w)
	}
	return strings.Join(words, ",")
}

// MarshalText writes the same text as String.
func (s StatusCodes) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes, in any order, and joins ranges
// that touch. Codes are 100..999.
func (s *StatusCodes) UnmarshalText(text []byte) error {
	var got StatusCodes
	for word := range strings.SplitSeq(string(text), ",") {
		from, to, isRange := strings.Cut(word, "-")
		if !isRange {
			to = from
		}
		lo, err1 := strconv.Atoi(from)
		hi, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || lo < 100 || hi > 999 || lo > hi {
			return fmt.Errorf("status %q: want codes and ranges of 100 to 999, as in 200,300-399", word)
		}
		if len(got) == maxStatusRanges {
			return fmt.Errorf("status: more than %d ranges", maxStatusRanges)
		}
		got = append(got, StatusRange{lo, hi})
	}
	slices.SortFunc(got, func(a, b StatusRange) int { return a.Min - b.Min })
	joined := got[:1]
	for _, r := range got[1:] {
		if last := &joined[len(joined)-1]; r.Min <= last.Max+1 {
			last.Max = max(last.Max, r.Max)
		} else {
			joined = append(joined, r)
		}
	}
	*s = joined
	return nil
}

// httpVersionWords are the versions that a check can speak.
var httpVersionWords = []string{"1.0", "1.1", "2"}

// httpVersion reads a version; the default is the empty text.
func (v *values) httpVersion() (string, bool) {
	n, ok := v.word(httpVersionWords)
	if !ok || n == 1 {
		return "", ok
	}
	return httpVersionWords[n], true
}

// redisRoleWords are the roles of a Redis server, as it calls them itself.
var redisRoleWords = []string{"master", "slave", "sentinel"}

func (v *values) redisRole() (string, bool) {
	n, ok := v.word(redisRoleWords)
	if !ok {
		return "", false
	}
	return redisRoleWords[n], true
}

// method reads a request method: a token of RFC 9110 5.6.2, in capitals.
func (v *values) method() (string, bool) {
	t := v.args[0]
	if t.Text == "" || len(t.Text) > 32 || strings.Trim(t.Text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != "" {
		v.bad(t, "invalid argument: "+quote(t.Text)+" is no method of HTTP", v.example())
		return "", false
	}
	return t.Text, true
}

// re2 reads a regular expression.
func (v *values) re2() (string, bool) {
	t := v.args[0]
	if _, err := regexp.Compile(t.Text); err != nil {
		v.bad(t, "invalid argument: "+quote(t.Text)+": "+strings.TrimPrefix(err.Error(), "error parsing regexp: "),
			v.example()+"; the expressions are those of RE2")
		return "", false
	}
	return t.Text, true
}

// recordType reads a DNS record type in capitals, or TYPE and a number
// (RFC 3597 5).
func (v *values) recordType() (string, bool) {
	t := v.args[0]
	if t.Text == "" || len(t.Text) > 16 || strings.Trim(t.Text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		v.bad(t, "invalid argument: "+quote(t.Text)+" is no type of DNS records", v.example())
		return "", false
	}
	return t.Text, true
}

// multicast reads a multicast address of either family.
func (v *values) multicast() (netip.Addr, bool) {
	addr, ok := v.address()
	if ok && !addr.IsMulticast() {
		v.bad(v.args[0], "invalid argument: "+quote(v.args[0].Text)+" is no multicast address", v.example())
		return netip.Addr{}, false
	}
	return addr, ok
}

// advertInterval reads a time of 10 ms to 255 s: both versions' bounds.
func (v *values) advertInterval() (time.Duration, bool) {
	d, ok := v.duration()
	if ok && (d < 10*time.Millisecond || d > 255*time.Second) {
		v.bad(v.args[0], "invalid argument: "+quote(v.args[0].Text)+" is out of range", v.dir.name+" must be 10ms to 255s")
		return 0, false
	}
	return d, ok
}
