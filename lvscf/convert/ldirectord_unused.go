package convert

import (
	"slices"
	"strings"

	"github.com/lvskit/lvskit/lvscf"
)

// ldAsks are the directives that the check of each service has a use for.
var ldAsks = map[string]string{
	"http": "request receive virtualhost httpmethod checkport", "https": "request receive virtualhost httpmethod checkport",
	"http_proxy": "request receive httpmethod checkport", "dns": "request receive checkport", "simpletcp": "request receive checkport",
	"smtp": "checkport", "submission": "checkport", "nntp": "checkport",
	"pop": "login passwd checkport", "pops": "login passwd checkport", "imap": "login passwd checkport", "imaps": "login passwd checkport",
	"ldap": "request receive login passwd checkport", "ldaps": "request receive login passwd checkport",
	"ftp": "request receive login passwd checkport", "mysql": "request login passwd database checkport", "pgsql": "request login passwd database checkport",
	"oracle": "checkport", "radius": "login passwd secret checkport", "sip": "login checkport",
}

// ldChecks are those that some check has a use for.
var ldChecks = []string{"checkcommand", "checkport", "database", "httpmethod", "login", "passwd", "receive", "request", "secret", "virtualhost"}

// asks returns the directives that the check of a service has a use for, and
// what it is called.
func (v *ldVirtual) asks() (words []string, kind string) {
	switch v.checkType {
	case "negotiate", "combined":
		return strings.Fields(ldAsks[v.service]), "the check of service = " + v.service
	case "external", "external-perl":
		return []string{"checkcommand"}, "checktype = " + v.checkType
	case "connect":
		return []string{"checkport"}, "checktype = connect"
	}
	return nil, "checktype = " + v.checkType
}

// unused lists the lines of a section that nothing came of: those that the
// check has no use for, and those that a later line says again.
func (im *ldImport) unused(v *ldVirtual) {
	words, kind := v.asks()
	for i := range im.section.lines {
		d := &im.section.lines[i]
		switch {
		case slices.Contains(ldChecks, d.name) && !slices.Contains(words, d.name), d.name == "checkcount" && !v.pings():
			im.lose(d, d.shown(), kind+" has no use for it", "left out")
		case d.name == "checkinterval" && !im.forks:
			im.lose(d, d.shown(), "without fork = yes the interval is that of the left margin", "that one was taken")
		case d.name == "netmask" && im.section.last("persistent") == nil:
			im.lose(d, d.shown(), "it belongs to persistent, which is not there", "left out")
		case d.name == "ops" && d.value == "yes" && v.Protocol != lvscf.UDP:
			im.lose(d, d.shown(), "one packet scheduling is for UDP, and has no effect otherwise", "left out")
		}
	}
	im.repeated(im.section.lines)
}

// pings reports whether any server of the service is pinged.
func (v *ldVirtual) pings() bool {
	is := func(c lvscf.Check) bool { return c.Kind == lvscf.CheckPing }
	return v.Check == lvscf.CheckPing || slices.ContainsFunc(v.Checks, is) ||
		slices.ContainsFunc(v.Servers, func(s lvscf.Server) bool { return s.Check == lvscf.CheckPing || slices.ContainsFunc(s.Checks, is) })
}

// repeated lists the lines that a later one of the same name puts aside.
func (im *ldImport) repeated(lines []ldLine) {
	last := map[string]*ldLine{}
	for i := range slices.Backward(lines) {
		d := &lines[i]
		switch d.name {
		case "real", "real6", "comment", "emailalert", "emailalertfreq", "emailalertfrom", "emailalertstatus", "smtp", "execute":
			continue // there may be several, or each is told
		}
		if later := last[d.name]; later == nil {
			last[d.name] = d
		} else if later.value != d.value {
			im.lose(d, d.shown(), d.name+" stands again in line "+later.where.Pos.String()+", and the last one counts", "the later one was taken")
		}
	}
}

// unaskedOf lists what a real server asks for and its check does not.
func (im *ldImport) unaskedOf(d *ldLine, v *ldVirtual, f realFlags) {
	if !f.asks {
		return
	}
	words, kind := v.asks()
	for _, part := range []struct{ name, text string }{{"request", f.request}, {"receive", f.receive}} {
		if part.text != "" && !slices.Contains(words, part.name) {
			im.lose(d, part.name+" "+clip(part.text)+" of the real server", kind+" has no use for it", "left out")
		}
	}
}

// shown is the directive for messages, without what is secret.
func (d *ldLine) shown() string {
	if d.name == "passwd" || d.name == "secret" {
		return d.name + " = ..."
	}
	return d.name + " = " + clip(d.value)
}
