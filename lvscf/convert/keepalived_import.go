package convert

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

// FromKeepalived takes over a keepalived.conf, as keepalived.conf(5) of version
// 2.2.7 describes it. The name is used in messages, and its folder is where
// relative includes look. What keepalived assumes where lvs.cf assumes
// otherwise is written out. A quote or a block that is not closed, and an
// include that cannot be read, is a loss; a file in which nothing else can be
// read gives no configuration and a [*lvscf.InvalidFileError].
func FromKeepalived(name string, src []byte, opt KeepalivedOptions) (*lvscf.Config, Losses, error) {
	return fromKeepalived(name, src, opt, false)
}

// fromKeepalived is [FromKeepalived]; when strict, any fault is an error.
func fromKeepalived(name string, src []byte, opt KeepalivedOptions, strict bool) (*lvscf.Config, Losses, error) {
	im := &importer{opt: opt, cfg: lvscf.NewConfig()}
	var f faults
	tree := parseKeepalived(name, src, opt, &im.ledger, &f)
	im.cfg.Path = name
	im.all(tree)
	c := im.cfg
	usable := len(c.Virtuals)+len(c.VRRPs)+len(c.StaticAddresses)+len(c.FloatingAddresses) > 0
	if err := f.settle(&im.ledger, usable && !strict, ""); err != nil {
		return nil, nil, err
	}
	im.ledger.sort()
	return im.cfg, appendComments(im.ledger.losses(), name, im.ledger.comments), nil
}

// importer fills a configuration from a tree.
type importer struct {
	ledger ledger
	opt    KeepalivedOptions
	cfg    *lvscf.Config

	global     globalDefs
	vips       map[netip.Addr]*vip
	tls        tlsFiles
	scripts    map[string]*trackable
	trackFiles map[string]*trackable
	groups     map[string]*statement
	usedGroups map[*statement]bool
	labels     labels
	statics    []*vip
	seenRoutes map[lvscf.Route]bool
	order      []*vip                // those of vrrp_instance, in their order
	leftAlone  map[netip.Addr]string // devices of addresses that the system has
}

// place is where in the structure the importer is.
type place struct {
	im   *importer
	path string
}

// in returns the place within a block.
func (p place) in(s *statement) place {
	path := s.text()
	if p.path != "" {
		path = p.path + " / " + path
	}
	return place{p.im, path}
}

// lose enters a statement that is not carried.
func (p place) lose(s *statement, why, nearest string) { p.loseAs(s, s.text(), why, nearest) }

func (p place) loseAs(s *statement, what, why, nearest string) {
	w := s.where
	w.Path = p.path
	if what == s.text() { // said of a block itself, which need not name it twice
		w.Path = strings.TrimSuffix(strings.TrimSuffix(w.Path, what), " / ")
	}
	p.im.ledger.lose(w, what, why, nearest)
}

// handlers say what to do with the keywords of a block. A nil handler takes
// the keyword for granted: it says what lvs.cf does anyway.
type handlers map[string]func(*statement)

// each passes the statements of a block to their handlers, and loses those
// without one with the reason that the table knows.
func (p place) each(body []*statement, in blockKind, h handlers) {
	for _, s := range body {
		do, ok := h[s.name]
		switch {
		case !ok:
			why, nearest := reasonFor(in, s.name)
			p.lose(s, why, nearest)
			continue
		case do != nil:
			do(s)
		}
		p.rest(s, mostWords(in, s.name))
	}
}

// all takes over the whole tree: first what others refer to.
func (im *importer) all(tree []*statement) {
	top := place{im: im}
	im.vips, im.leftAlone = map[netip.Addr]*vip{}, map[netip.Addr]string{}
	im.scripts, im.trackFiles = map[string]*trackable{}, map[string]*trackable{}
	im.groups, im.labels = map[string]*statement{}, labels{}
	im.usedGroups = map[*statement]bool{}
	im.seenRoutes = map[lvscf.Route]bool{}
	im.global.version = 2
	im.global.device = "eth0"
	pass := func(h handlers) {
		for _, s := range tree {
			if do := h[s.name]; do != nil {
				do(s)
			}
		}
	}
	trackFile := func(s *statement) { im.trackFile(top, s) }
	first := handlers{
		"global_defs": func(s *statement) { im.globalDefs(top, s) },
		"vrrp_script": func(s *statement) { im.vrrpScript(top, s) },
		"track_file":  trackFile, "vrrp_track_file": trackFile,
		"virtual_server_group": func(s *statement) { im.groups[s.word(0)] = s },
		"SSL":                  func(s *statement) { im.sslFiles(top, s) },
	}
	second := handlers{
		"static_ipaddress": func(s *statement) { im.staticAddresses(top, s) },
		"vrrp_instance":    func(s *statement) { im.vrrpInstance(top, s) },
	}
	third := handlers{
		"vrrp_sync_group": func(s *statement) { im.syncGroup(top, s) },
		"virtual_server":  func(s *statement) { im.virtualServer(top, s) },
		"static_routes":   func(s *statement) { im.staticRoutes(top, s) },
	}
	pass(first)
	pass(second)
	pass(third)
	for _, s := range tree {
		if s.name == "virtual_server_group" && !im.usedGroups[s] {
			top.lose(s, "no virtual_server names it, so keepalived does nothing with it", "leave it out")
		}
	}
	known := handlers{}
	for _, h := range []handlers{first, second, third} {
		for name := range h {
			known[name] = nil
		}
	}
	top.each(tree, inTop, known)
	im.unusedTracks(top)
	im.finishVRRP(top)
	im.finishGlobal(top)
	im.chooseForward()
}

// chooseForward says the ways of forwarding where they are said best.
func (im *importer) chooseForward() {
	for i := range im.cfg.Virtuals {
		v := &im.cfg.Virtuals[i]
		for j := range v.Servers {
			s := &v.Servers[j]
			s.Forward = cmp.Or(s.Forward, v.Forward)
		}
		v.Forward = nil
	}
	shortenForward(im.cfg)
}

// number reads a whole number that the statement has as its word. What is none
// keepalived ignores, and so it is lost.
func (p place) number(s *statement, word int, lo, hi int64) (int64, bool) {
	n, err := strconv.ParseInt(s.word(word), 10, 64)
	if err != nil || n < lo || n > hi {
		p.lose(s, fmt.Sprintf("not a whole number of %d to %d, so keepalived ignores it", lo, hi), "the default was taken")
		return 0, false
	}
	return n, true
}

// timer reads seconds with a fraction of at most six digits.
func (p place) timer(s *statement, word int, hi time.Duration) (time.Duration, bool) {
	d, ok := parseTimer(s.word(word))
	if !ok || d > hi {
		p.lose(s, fmt.Sprintf("not a time in seconds of up to %.0f, so keepalived ignores it", hi.Seconds()), "the default was taken")
		return 0, false
	}
	return d, true
}

func parseTimer(text string) (time.Duration, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseUint(cmp.Or(whole, "0"), 10, 31)
	if err != nil || text == "" || text == "." || len(fraction) > 9 {
		return 0, false
	}
	d := time.Duration(n) * time.Second
	if fraction != "" {
		f, err := strconv.ParseUint((fraction + "000000")[:6], 10, 32)
		if err != nil {
			return 0, false
		}
		d += time.Duration(f) * time.Microsecond
	}
	return d, true
}

// boolean reads a switch; nothing is on.
func (p place) boolean(s *statement, word int) (value, ok bool) {
	switch strings.ToLower(s.word(word)) {
	case "", "on", "true", "yes":
		return true, true
	case "off", "false", "no":
		return false, true
	}
	p.lose(s, "neither on nor off, so keepalived ignores it", "the default was taken")
	return false, false
}

// addr reads an address.
func (p place) addr(s *statement, word int) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s.word(word))
	if err != nil || a.Zone() != "" {
		p.lose(s, "no address that lvs.cf can hold", braced(s.word(word), "write an address without a zone"))
		return netip.Addr{}, false
	}
	if a = a.Unmap(); a.IsUnspecified() {
		p.lose(s, noHost(a), "left out: write the address of one host")
		return netip.Addr{}, false
	}
	return a, true
}

// device reads the name of an interface.
func (p place) device(s *statement, word int) (string, bool) {
	d := s.word(word)
	if !deviceName(d) {
		p.lose(s, "no name of an interface", "nothing was carried")
		return "", false
	}
	return d, true
}

// text reads one text that most keywords have: as it stands, without escapes.
func (p place) text(s *statement) (string, bool) {
	return p.sayable(s, s.word(0))
}

// escaped reads the text of the keywords that know escapes: expressions and
// commands.
func (p place) escaped(s *statement) (string, bool) {
	return p.sayable(s, append(quotedWords(s.raw), "")[0])
}

// sayable refuses what no value of lvs.cf can be.
func (p place) sayable(s *statement, text string) (string, bool) {
	switch {
	case text == "":
		p.lose(s, "there is no text", "nothing was carried")
		return "", false
	case !lineText(text):
		p.lose(s, "lvs.cf holds no such text: it has a control character or quotes of both kinds", "use another text")
		return "", false
	}
	return text, true
}

// lineText reports whether a value of lvs.cf can be that text.
func lineText(s string) bool {
	control := strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f || r == '\uFFFD' })
	return !control && !(strings.Contains(s, `"`) && strings.Contains(s, "'"))
}

// command reads a script with its arguments, and perhaps who it runs as. A
// command of lvs.cf is split at blanks alone, so that no argument has one.
func (p place) command(s *statement) (string, bool) {
	text, ok := p.escaped(s)
	if !ok {
		return "", false
	}
	if words := quotedWords(s.raw); len(words) > 1 {
		p.loseAs(s, s.name+" ... "+strings.Join(words[1:], " "), "programs are run as the user of the director", "run it through runuser -u "+words[1])
	}
	args := quotedWords(text)
	if len(args) == 0 || slices.ContainsFunc(args, func(a string) bool { return a == "" || !plainCommand(a) || strings.ContainsAny(a, blanks) }) {
		p.lose(s, "a command of lvs.cf is split at blanks, and knows no quotes", "a program of your own that calls it")
		return "", false
	}
	return strings.Join(args, " "), true
}

// plainCommand reports whether keepalived and lvs.cf split a command alike:
// for one of them quotes and backslashes are something special.
func plainCommand(command string) bool { return !strings.ContainsAny(command, "'\"\\") }

// sort brings losses into the order of the source, file by file.
func (l *ledger) sort() {
	rank := map[string]int{}
	for _, e := range l.list {
		if _, ok := rank[e.Where.File]; !ok {
			rank[e.Where.File] = len(rank)
		}
	}
	slices.SortStableFunc(l.list, func(a, b Loss) int {
		return cmp.Or(cmp.Compare(rank[a.Where.File], rank[b.Where.File]), cmp.Compare(a.Where.Line, b.Where.Line), cmp.Compare(a.Where.Column, b.Where.Column))
	})
	for i := range l.list {
		l.list[i].Number = i + 1
	}
}
