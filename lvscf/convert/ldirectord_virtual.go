package convert

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

// ldVirtual is a virtual service while its section is read: what its checks
// and servers need to know of it.
type ldVirtual struct {
	lvscf.Virtual
	six, mark bool
	// off tells that no server is ever put in, as with checktype = off.
	off bool
	// portName is the virtual port as written.
	portName string
	// checkType is a word of the manual page, combined for a number, and
	// connects that number.
	checkType string
	connects  int64
	service   string
	checkPort uint16
	// connectTimeout and negotiateTimeout limit the two families of checks.
	connectTimeout, negotiateTimeout time.Duration
	seen                             map[ldServer]bool
}

// ldServer is what makes two real servers of a service the same.
type ldServer struct {
	host lvscf.Host
	port uint16
}

// virtual reads the open section.
func (im *ldImport) virtual() {
	head := &im.section.head
	v := &ldVirtual{Virtual: lvscf.NewVirtual(""), seen: map[ldServer]bool{}}
	if n := len(im.section.lines); n > 0 {
		head.source += ", with the " + counted(n, "line", "lines") + " below it"
	}
	if !im.address(head, v) {
		return
	}
	for i := range im.section.lines {
		im.unread(&im.section.lines[i])
	}
	v.Active = true
	v.Scheduler = "wrr" // ldirectord's default, lvs.cf has wlc
	v.QuiesceServer = false
	v.Rise = 1 // one good answer is enough
	im.protocol(v)
	im.scheduling(v)
	im.timing(v)
	im.kind(v)
	im.label(v)
	im.virtualChecks(v)
	for i := range im.section.lines {
		if d := &im.section.lines[i]; d.name == "real" || d.name == "real6" {
			im.real(d, v)
		}
	}
	im.unused(v)
	shareChecks(v)
	usualPort(v)
	im.fallback(v)
	im.fallbackCommand(v)
	im.config.Virtuals = append(im.config.Virtuals, v.Virtual)
}

// shareChecks gives the block the checks that every server has of its own.
func shareChecks(v *ldVirtual) {
	for i := range v.Servers {
		s, first := &v.Servers[i], &v.Servers[0]
		if s.Check == lvscf.CheckPiranha && len(s.Checks) == 0 || s.Check != first.Check || !slices.EqualFunc(s.Checks, first.Checks, sameCheck) {
			return
		}
	}
	if len(v.Servers) == 0 {
		return
	}
	v.Check, v.Checks = v.Servers[0].Check, v.Servers[0].Checks
	for i := range v.Servers {
		v.Servers[i].Check, v.Servers[i].Checks = lvscf.CheckPiranha, nil
	}
}

// usualPort leaves out the port of the checks where it is that of every server.
func usualPort(v *ldVirtual) {
	if slices.ContainsFunc(v.Servers, func(s lvscf.Server) bool { return s.Port != v.checkPort }) {
		return
	}
	for i := range v.Checks {
		if v.Checks[i].Port == v.checkPort {
			v.Checks[i].Port = 0
		}
	}
	shorten(&v.Check, &v.Checks)
}

// address reads what the service answers to: address and port, or a mark.
func (im *ldImport) address(d *ldLine, v *ldVirtual) bool {
	v.six = d.name == "virtual6"
	if n, err := strconv.ParseUint(d.value, 10, 32); err == nil && n > 0 {
		v.FWMark, v.mark, v.Port = uint32(n), true, 0
		return true
	}
	hostText, port := splitPort(d.value)
	host, ok := im.hostIn(d, hostText, v.six)
	number, named := ldPort(port)
	switch {
	case !ok && strings.HasPrefix(d.value, "[") && !v.six:
		im.fail(d, "virtual takes no IPv6 address", "write virtual6, and real6 and fallback6 below it")
	case !ok:
		im.fail(d, fmt.Sprintf("%q is no virtual service", clip(d.value)), "write ADDRESS:PORT, [ADDRESS]:PORT for virtual6, or a firewall mark above 0")
	case port == "":
		im.fail(d, "the virtual service has no port", "write ADDRESS:PORT")
	case !named || number == 0:
		im.failPart(d, port, fmt.Sprintf("%q is no port", clip(port)), "write a port of 1 to 65535")
	case im.isNone(d, host):
	default:
		if v.six {
			im.nameOfSix(d, host)
		}
		v.Address, v.Port, v.portName = host, number, port
		return true
	}
	return false
}

// unread judges a line that is read nowhere else.
func (im *ldImport) unread(d *ldLine) {
	switch d.name {
	case "comment":
		im.lose(d, "comment = "+clip(d.value), "it is a text for messages by mail", "write it as a comment above the virtual block")
	case "monitorfile":
		if s, ok := im.text(d); ok {
			im.lose(d, "monitorfile = "+clip(s), "no file is written about each check", "lvsctl status tells the last results of each check, and notify_cmd runs at each change")
		}
	case "load":
		if s, ok := im.text(d); ok {
			im.lose(d, "load = "+clip(s), "ldirectord(8) does not tell what it is for, and ldirectord does nothing with it", "left out")
		}
	default:
		im.shared(d)
	}
}

func (im *ldImport) protocol(v *ldVirtual) {
	v.Protocol = lvscf.TCP
	if v.portName == "53" || v.portName == "domain" {
		v.Protocol = lvscf.UDP
	}
	d := im.section.last("protocol")
	switch {
	case d == nil:
	case v.mark && d.value == "fwm":
	case v.mark:
		im.fail(d, "the protocol of a firewall mark is fwm", "write protocol = fwm")
	case d.value == "tcp":
		v.Protocol = lvscf.TCP
	case d.value == "udp":
		v.Protocol = lvscf.UDP
	default:
		im.fail(d, fmt.Sprintf("the protocol of an address and port is tcp or udp, not %q", clip(d.value)), "write tcp or udp")
	}
	if d := im.section.last("ops"); d != nil && im.yes(d) && v.Protocol == lvscf.UDP {
		v.OnePacket = true // with other protocols ldirectord ignores it too
	}
}

func (im *ldImport) scheduling(v *ldVirtual) {
	if d := im.section.last("scheduler"); d != nil {
		v.Scheduler = lvscf.Scheduler(d.value)
		if !knownScheduler(v.Scheduler) {
			if strings.Trim(d.value, "abcdefghijklmnopqrstuvwxyz") != "" || d.value == "" {
				im.fail(d, fmt.Sprintf("%q is no scheduler", clip(d.value)), "write one of ipvsadm(8), such as wrr")
			} else {
				im.lose(d, "scheduler = "+d.value, "it is none of the kernel's schedulers", "wrr, ldirectord's default, was taken")
			}
			v.Scheduler = "wrr"
		}
	}
	if d := im.section.last("schedflags"); d != nil {
		if err := v.SchedulerFlags.UnmarshalText([]byte(d.value)); err != nil {
			im.lose(d, "schedflags = "+clip(d.value), "these are no flags of a scheduler", "left out")
		}
	}
	persistent := im.section.last("persistent")
	if persistent != nil {
		v.Persistent = time.Duration(im.number(persistent, 1, maxLdirectordSeconds)) * time.Second
	}
	d := im.section.last("netmask")
	if d == nil {
		return
	}
	dotted := strings.Contains(d.value, ".")
	err := v.PMask.UnmarshalText([]byte(d.value))
	switch {
	case dotted && err != nil && validAddr4(d.value):
		im.lose(d, "netmask = "+clip(d.value), "a mask with gaps cannot be carried", "each client counts on its own")
		v.PMask = 0
	case err != nil || dotted == v.six || !v.six && v.PMask == 0:
		cure := "write a mask such as 255.255.255.0"
		if v.six {
			cure = "write a prefix length of 1 to 128"
		}
		im.fail(d, fmt.Sprintf("%q is no netmask", clip(d.value)), cure)
		v.PMask = 0
	case v.Persistent == 0:
		v.PMask = 0 // ldirectord reads it with persistent only
	}
}

func validAddr4(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is4()
}

// timing reads how often and how patiently to ask.
func (im *ldImport) timing(v *ldVirtual) {
	local := func(name string) time.Duration {
		if d := im.section.last(name); d != nil {
			return im.seconds(name)
		}
		return -1
	}
	global := func(name string) time.Duration {
		if d := lastLine(im.file.globals, name); d != nil {
			return time.Duration(im.number(d, 1, maxLdirectordSeconds)) * time.Second
		}
		return -1
	}
	first := func(ds ...time.Duration) time.Duration {
		for _, d := range ds {
			if d > 0 {
				return d
			}
		}
		return 0
	}
	const check, negotiate = "checktimeout", "negotiatetimeout"
	v.connectTimeout = first(local(check), local(negotiate), global(check), global(negotiate), 5*time.Second)
	v.negotiateTimeout = first(local(negotiate), local(check), global(negotiate), global(check), 30*time.Second)
	v.Interval = first(global("checkinterval"), defaultInterval)
	if im.forks {
		v.Interval = first(local("checkinterval"), v.Interval)
	}
	if d := im.either("failurecount"); d != nil {
		if n := im.number(d, 1, 1_000_000); n > 1 {
			v.Fall = int(n)
		}
	}
	if d := im.either("quiescent"); d != nil {
		v.QuiesceServer = im.yes(d)
	}
}

// label names the block, after servicename where there is one.
func (im *ldImport) label(v *ldVirtual) {
	if d := im.section.last("servicename"); d != nil {
		if name := bareWord(d.value); name != "" {
			v.Name = im.labels.virtual(name)
			return
		}
	}
	v.Name = im.labels.virtual(nameOf(&v.Virtual))
}

// realLine is the form of a real server: address or name, perhaps the end of a
// range, perhaps a port before or behind that, then the rest.
var realLine = regexp.MustCompile(`^([^\s>:]+|\[[^\s\]]*\])(?::([A-Za-z0-9-]+))?(?:\s*->\s*([^\s>:]+|\[[^\s\]]*\]))?(?::([A-Za-z0-9-]+))?\s+(.*)$`)

// real reads one line of real servers.
func (im *ldImport) real(d *ldLine, v *ldVirtual) {
	if (d.name == "real6") != v.six {
		im.fail(d, d.name+" stands in a section of the other address family", "write real below virtual and real6 below virtual6")
		return
	}
	m := realLine.FindStringSubmatch(d.value)
	if m == nil {
		im.fail(d, fmt.Sprintf("%q is no real server", clip(d.value)), "write ADDRESS:PORT and gate, masq or ipip")
		return
	}
	first, ok := im.hostIn(d, m[1], v.six)
	if !ok {
		im.fail(d, fmt.Sprintf("%q is no address of a real server", clip(m[1])), "write an IPv4 address or a name; an IPv6 address in brackets below virtual6")
		return
	}
	portText := m[4]
	if portText == "" {
		portText = m[2]
	} else if m[2] != "" {
		im.fail(d, "the real server has two ports", "write one")
		return
	}
	port, ok := uint16(0), true
	if portText != "" {
		port, ok = ldPort(portText)
	}
	if !ok {
		im.failPart(d, portText, fmt.Sprintf("%q is no port", clip(portText)), "write a port of 0 to 65535")
		return
	}
	flags, ok := im.realFlags(d, m[5], v)
	if !ok || im.isNone(d, first) {
		return
	}
	im.unaskedOf(d, v, flags)
	if v.six {
		im.nameOfSix(d, first)
	}
	if m[3] == "" {
		if im.room(d, 1) {
			im.server(d, v, first, port, flags)
		}
		return
	}
	last, ok := im.hostIn(d, m[3], v.six)
	switch {
	case !ok:
		im.failPart(d, m[3], fmt.Sprintf("%q is no address to end a range with", clip(m[3])), "write an IPv4 address")
	case first.Name != "" || last.Name != "":
		im.lose(d, "real = "+m[1]+"->"+m[3], "the ends of the range are names, which are looked up by who runs the file", "write the addresses in place of the names")
	case v.six:
		im.fail(d, "ldirectord has no ranges of IPv6 addresses", "write a line for each")
	case last.Addr.Less(first.Addr):
		im.fail(d, "the range ends before it begins", "write the lower address first")
	case im.room(d, distance(first.Addr, last.Addr)+1):
		for a := first.Addr; a.IsValid() && !last.Addr.Less(a); a = a.Next() {
			im.server(d, v, lvscf.Host{Addr: a}, port, flags)
		}
	}
}

// distance counts the steps from one IPv4 address to a higher one.
func distance(from, to netip.Addr) uint64 {
	a, b := from.As4(), to.As4()
	return uint64(binary.BigEndian.Uint32(b[:]) - binary.BigEndian.Uint32(a[:]))
}

// realFlags is what follows the address of a real server.
type realFlags struct {
	forward          lvscf.Network
	weight           int
	request, receive string
	asks             bool
	lower, upper     uint32
}

var (
	forwardWord = map[string]lvscf.Network{"gate": lvscf.Direct, "masq": lvscf.NAT, "ipip": lvscf.Tunnel}

	weightPart    = regexp.MustCompile(`^(?:-w\s+)?([0-9]+)(?:\s+|$)`)
	requestPart   = regexp.MustCompile(`^"(.*)"[, ]\s*"(.*)"$`)
	thresholdPart = regexp.MustCompile(`(?:^|\s+)"?([lu]):([0-9]+)"?$`)
)

func (im *ldImport) realFlags(d *ldLine, text string, v *ldVirtual) (f realFlags, ok bool) {
	word, rest, _ := strings.Cut(text, " ")
	word, more, tab := strings.Cut(word, "\t")
	if tab {
		rest = more + " " + rest
	}
	f.weight = 1
	if f.forward, ok = forwardWord[word]; !ok {
		im.failPart(d, word, fmt.Sprintf("%q is no way to forward", clip(word)), "write gate, masq or ipip after the address")
		return f, false
	}
	rest = strings.Trim(rest, blanks)
	if m := weightPart.FindStringSubmatch(rest); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 32)
		if err != nil {
			im.failPart(d, m[1], fmt.Sprintf("the weight %s is too large", clip(m[1])), "write a weight below 2147483648")
			return f, false
		}
		f.weight, rest = int(n), rest[len(m[0]):]
	}
	// From the end, as a request may hold anything.
	for range 2 {
		m := thresholdPart.FindStringSubmatch(rest)
		if m == nil {
			break
		}
		n, err := strconv.ParseUint(m[2], 10, 31)
		if err != nil {
			im.failPart(d, m[2], fmt.Sprintf("the threshold %s is too large", clip(m[2])), "write a number below 2147483648")
			return f, false
		}
		if m[1] == "l" {
			f.lower = uint32(n)
		} else {
			f.upper = uint32(n)
		}
		rest = rest[:len(rest)-len(m[0])]
	}
	if m := requestPart.FindStringSubmatch(rest); m != nil {
		f.request, f.receive, f.asks, rest = m[1], m[2], true, ""
	}
	if rest != "" {
		im.failPart(d, rest, fmt.Sprintf("%q does not belong there", clip(rest)), `write gate, masq or ipip, then WEIGHT "REQUEST", "RECEIVE" l:LOWER u:UPPER as far as needed`)
		return f, false
	}
	if f.lower > f.upper && f.upper > 0 {
		im.lose(d, fmt.Sprintf("l:%d", f.lower), "it is above the upper threshold, which no kernel takes", "three quarters of the upper one, the default, was taken")
		f.lower = 0
	}
	return f, true
}

// room takes the place of real servers, if there is as much.
func (im *ldImport) room(d *ldLine, n uint64) bool {
	if n > uint64(MaxLdirectordServers-im.servers) {
		im.fail(d, fmt.Sprintf("with these there are more than %d real servers", MaxLdirectordServers), "shorten the ranges")
		return false
	}
	im.servers += int(n)
	return true
}

// server adds one real server.
func (im *ldImport) server(d *ldLine, v *ldVirtual, host lvscf.Host, port uint16, f realFlags) {
	s := lvscf.NewServer("", v.Port)
	s.Address, s.Active, s.Weight = host, !v.off, f.weight
	s.UpperThreshold, s.LowerThreshold = f.upper, f.lower
	if port != 0 {
		s.Port = port
	}
	forward := f.forward
	s.Forward = &forward
	where := ldServer{s.Address, s.Port}
	if v.seen[where] {
		im.lose(d, nameOfServer(&s), "it stands twice in this service", "the first one counts")
		return
	}
	v.seen[where] = true
	s.Name = im.labels.server(v.Name, nameOfServer(&s))
	im.serverChecks(d, v, &s, port, f)
	v.Servers = append(v.Servers, s)
}

// fallback reads what serves when no real server does.
func (im *ldImport) fallback(v *ldVirtual) {
	name, other := "fallback", "fallback6"
	if v.six {
		name, other = other, name
	}
	if d := im.section.last(other); d != nil {
		im.fail(d, d.name+" stands in a section of the other address family", "write "+name)
	}
	d := im.either(name)
	if d == nil {
		return
	}
	words := strings.Fields(d.value)
	forward := lvscf.Direct
	if len(words) > 1 {
		n, ok := forwardWord[words[1]]
		if !ok || len(words) > 2 {
			im.failPart(d, words[len(words)-1], fmt.Sprintf("%q is no way to forward", clip(words[len(words)-1])), "write gate, masq or ipip after the address")
			return
		}
		forward = n
	}
	hostText, portText := splitPort(words[0])
	host, ok := im.hostIn(d, hostText, v.six)
	port, portOK := v.Port, true
	if portText != "" {
		if port, portOK = ldPort(portText); port == 0 {
			port = v.Port // where the packets arrive
		}
	}
	if !ok || !portOK {
		im.fail(d, fmt.Sprintf("%q is no fallback server", clip(words[0])), "write ADDRESS or ADDRESS:PORT")
		return
	}
	if im.isNone(d, host) {
		return
	}
	if v.six {
		im.nameOfSix(d, host)
	}
	if v.off {
		im.lose(d, d.name+" = "+clip(d.value), "with checktype = off ldirectord puts in no fallback server either", "left out")
		return
	}
	s := lvscf.NewServer("", v.Port)
	s.Address, s.Active, s.Sorry, s.Forward, s.Port = host, true, true, &forward, port
	s.Check = lvscf.CheckNone // ldirectord does not ask it
	s.Name = im.labels.server(v.Name, "fallback")
	v.Servers = append(v.Servers, s)
}

// fallbackCommand reads the program that is run when the fallback is needed.
func (im *ldImport) fallbackCommand(v *ldVirtual) {
	d := im.either("fallbackcommand")
	if d == nil {
		return
	}
	command, ok := im.text(d)
	if !ok {
		return
	}
	protocol, service := v.Protocol.String(), ""
	if v.mark {
		protocol = "fwm" // the address is empty then, as in ldirectord
		service = ":0"
	} else if v.Address.Addr.Is6() {
		service = fmt.Sprintf("[%v]:%d", v.Address, v.Port)
	} else {
		service = fmt.Sprintf("%v:%d", v.Address, v.Port)
	}
	if !lineText(command) {
		im.lose(d, "fallbackcommand", "a value of lvs.cf has no quotes of both kinds", "put the command into a script of its own")
		return
	}
	v.QuorumDownCmd = command + " start " + service + " " + protocol
	v.QuorumUpCmd = command + " stop " + service + " " + protocol
}
