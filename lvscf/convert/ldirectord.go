package convert

import (
	"cmp"
	"slices"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

// ImportOptions are what an lvs.cf says and the files of others do not.
type ImportOptions struct {
	// Device is the name of the device that the virtual addresses are on,
	// such as eth0. When empty eth0 is taken, and listed as a loss.
	Device string
}

// ldImport is the import of one file.
type ldImport struct {
	ledger ledger
	faults faults
	file   *ldFile
	config *lvscf.Config
	labels labels
	// section is the one being read, path its name; forks tells that each
	// has an interval of its own.
	section *ldSection
	path    string
	forks   bool
	servers int
	told    map[said]bool
}

// FromLdirectord reads an ldirectord.cf, as ldirectord 4.12 does and its manual
// page ldirectord(8) describes. The name is for messages. A line that ldirectord
// would refuse the file for is left out, and is a loss; where it names a
// service, so are the lines below it. A file without any service that can be
// read gives a [*lvscf.InvalidFileError].
//
// The variables of a template, such as $VIP, become names where an address
// belongs.
//
// The defaults are those of the program. In one place the manual page has
// another: quiescent is no. A check by ldirectord may be redirected to another
// page, ours are not: a server whose page answers with a redirection needs
// the status codes of those, or the path that is redirected to.
func FromLdirectord(name string, src []byte, opt ImportOptions) (*lvscf.Config, Losses, error) {
	im := &ldImport{config: lvscf.NewConfig(), labels: labels{}, told: map[said]bool{}}
	im.file = parseLdirectord(name, src, &im.faults)
	im.global()
	for _, s := range im.file.sections {
		im.section, im.path = s, s.head.name+" "+clip(s.head.value)
		im.virtual()
	}
	im.path = ""
	usable := len(im.config.Virtuals) > 0
	if !usable && len(im.faults.list) == 0 {
		im.faults.add(Where{File: name, Pos: lvscf.Pos{Line: 1, Column: 1}}, "", "no virtual service in this file", "convert an ldirectord.cf; it has lines that begin with virtual =")
	}
	im.faults.sort()
	if err := im.faults.settle(&im.ledger, usable, "left out: "); err != nil {
		return nil, nil, err
	}
	im.config.Path = name
	shortenForward(im.config)
	for i := range im.config.Virtuals {
		sorryAddress(im.config, &im.config.Virtuals[i])
	}
	giveDevices(im.config, opt.Device, Where{File: name}, &im.ledger)
	im.ledger.sort()
	return im.config, appendComments(im.ledger.losses(), name, im.file.comments), nil
}

// sort brings the errors into the order of their lines.
func (f *faults) sort() {
	slices.SortStableFunc(f.list, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.where.Line, b.where.Line), cmp.Compare(a.where.Column, b.where.Column))
	})
}

// global judges the lines at the left margin that no service inherits.
func (im *ldImport) global() {
	im.section = &ldSection{}
	for i := range im.file.globals {
		d := &im.file.globals[i]
		switch d.name {
		case "fork":
			im.forks = im.yes(d)
		case "supervised":
			im.yes(d) // lvsctl run stays in the foreground in any case
		case "autoreload":
			if im.yes(d) {
				im.lose(d, "autoreload = yes", "a changed lvs.cf is read again only when asked for", "send SIGHUP to lvsctl run after a change, or have a path unit of systemd do it")
			}
		case "readdquiescent":
			if !im.yes(d) && d.value == "no" {
				im.lose(d, "readdquiescent = no", "a server removed by hand is put back, as the table is kept as configured", "give the server the line maintenance = 1, or remove its block")
			}
		case "execute":
			if s, ok := im.text(d); ok {
				im.lose(d, "execute = "+clip(s), "lvs.cf starts no other daemons", "convert that file too, and join both or run each")
			}
		case "callback":
			if _, ok := im.text(d); ok {
				im.lose(d, "callback", "nothing watches the file for changes", "call the program after each change of the file yourself")
			}
		case "logfile":
			if s, ok := im.text(d); ok {
				im.lose(d, "logfile = "+clip(s), "the log goes to standard error, and from there to the journal", "redirect it, or read it with journalctl")
			}
		case "maintenancedir":
			im.lose(d, "maintenancedir = "+clip(d.value), "no folder is looked at for servers in maintenance", "give such servers the line maintenance = 1, or drain them with lvsctl")
		case "emailalertfrom":
			im.mail(d)
		default:
			im.shared(d)
		}
	}
	im.repeated(im.file.globals)
}

// shared judges a line of the section, or of the left margin, that nothing
// else reads. Lines that services read are left to them.
func (im *ldImport) shared(d *ldLine) {
	switch d.name {
	case "emailalert", "emailalertfreq", "emailalertstatus", "smtp":
		im.mail(d)
	case "cleanstop":
		if im.yes(d) {
			im.lose(d, "cleanstop = yes", "services stay in the kernel's table when the director ends, so that traffic goes on", "delete them with lvsctl flush")
		}
	case "checkcount":
		im.number(d, 1, 1000)
	case "checkinterval", "checktimeout", "negotiatetimeout":
		im.number(d, 1, maxLdirectordSeconds)
	case "failurecount":
		im.number(d, 1, 1_000_000)
	case "quiescent":
		im.yes(d)
	case "fallbackcommand":
		im.text(d)
	}
}

// mail judges a line about messages by mail.
func (im *ldImport) mail(d *ldLine) {
	im.lose(d, d.name+" = "+clip(d.value), "lvs.cf sends no mail", "name a program that does in notify_cmd")
}

// defaultInterval is the time between two rounds of checks.
const defaultInterval = 10 * time.Second
