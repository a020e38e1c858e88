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

// ToKeepalived writes a configuration as a keepalived.conf of version 2.2.7.
//
// What is written is read back with [FromKeepalived], and each field that is
// not what it was is a loss: Where names the block, and What the directive
// with its value.
//
// A keepalived.conf is that of one router. Where the two differ the lines of
// the backup router begin with @backup: start it with --config-id backup.
func ToKeepalived(cfg *lvscf.Config) ([]byte, Losses) {
	e := &exporter{cfg: cfg}
	e.file()
	text := []byte(strings.TrimRight(e.b.String(), "\n") + "\n")
	back, _, err := fromKeepalived("", text, KeepalivedOptions{ConfigID: configIDPrimary}, true)
	var l ledger
	if err != nil {
		// A text that cannot be written: nothing is kept back in silence.
		l.lose(Where{}, "the whole file", "it cannot be read back: "+err.Error(), "look for a text with unusual characters")
		return text, l.losses()
	}
	compare(&l, cfg, back)
	return text, l.losses()
}

// The config ids of the two routers; any other one reads what the primary does.
const (
	configIDPrimary = "primary"
	configIDBackup  = "backup"
)

// maxAdvertised is how many addresses go into the advertisements: as many as
// fit into a packet of the smallest networks with room to spare.
const maxAdvertised = 20

// exporter writes a configuration.
type exporter struct {
	cfg    *lvscf.Config
	b      strings.Builder
	indent int
}

func (e *exporter) line(format string, args ...any) {
	e.b.WriteString(strings.Repeat("    ", e.indent))
	fmt.Fprintf(&e.b, format, args...)
	e.b.WriteByte('\n')
}

// comment writes a remark; names of the file are made harmless.
func (e *exporter) comment(format string, args ...any) {
	e.line("# %s", clean(fmt.Sprintf(format, args...)))
}

// section writes a block and a blank line behind it.
func (e *exporter) section(head string, body func()) {
	before := e.b.Len()
	e.block(head, body)
	if e.b.Len() > before {
		e.blank()
	}
}

// block writes a block unless there is nothing in it.
func (e *exporter) block(head string, body func()) {
	start := e.b.Len()
	e.line("%s {", head)
	inside := e.b.Len()
	e.indent++
	body()
	e.indent--
	if e.b.Len() == inside {
		text := e.b.String()[:start]
		e.b.Reset()
		e.b.WriteString(text)
		return
	}
	e.line("}")
}

func (e *exporter) blank() { e.b.WriteByte('\n') }

func (e *exporter) file() {
	e.comment("keepalived.conf made from lvs.cf")
	e.blank()
	virtuals := e.virtuals()
	carriers := e.carriers(virtuals)
	e.globals(virtuals, carriers)
	e.tlsFiles(virtuals)
	e.statics(carriers)
	e.staticRoutes(carriers)
	e.tracked(carriers)
	e.syncGroups(carriers)
	for _, c := range carriers {
		if !c.lone {
			e.instance(c)
		}
	}
	for _, v := range virtuals {
		e.virtual(v)
	}
}

// statics writes the addresses that a router always has: those of a lone
// router, too, need no vrrp_instance.
func (e *exporter) statics(carriers []*carrier) {
	e.section("static_ipaddress", func() {
		for _, c := range carriers {
			for _, a := range c.addresses {
				if c.lone {
					e.line("%s", addressLine(a.Prefix.Addr(), a.bits, a.Device))
				}
			}
		}
		for _, a := range e.cfg.StaticAddresses {
			e.line("%s", addressLine(a.Prefix.Addr(), a.Prefix.Bits(), a.Device))
		}
	})
}

// staticRoutes writes the routes of a lone router.
func (e *exporter) staticRoutes(carriers []*carrier) {
	e.section("static_routes", func() {
		for _, c := range carriers {
			if c.lone {
				e.routes(c.vrrp.Routes)
			}
		}
	})
}

// tlsFiles writes the certificate that all checks over TLS show.
func (e *exporter) tlsFiles(virtuals []*lvscf.Virtual) {
	cert, key := "", ""
	for _, v := range virtuals {
		for _, s := range writable(v) {
			for _, c := range v.ChecksOf(s) {
				if c.Kind == lvscf.CheckHTTPS && cert == "" {
					cert, key = c.CertFile, c.KeyFile
				}
			}
		}
	}
	if cert == "" {
		return
	}
	e.section("SSL", func() {
		e.text("certificate", cert)
		e.text("key", key)
	})
}

// virtuals returns the blocks that can be written: active ones with an address
// or a mark, and at least one server of which the same is true.
func (e *exporter) virtuals() []*lvscf.Virtual {
	var out []*lvscf.Virtual
	if e.cfg.Service != lvscf.LVS {
		return nil
	}
	for i := range e.cfg.Virtuals {
		v := &e.cfg.Virtuals[i]
		if v.Active && (v.FWMark != 0 || v.Address.Addr.IsValid()) && len(writable(v)) > 0 {
			out = append(out, v)
		}
	}
	return out
}

// writable returns the servers that can be written, without sorry servers.
func writable(v *lvscf.Virtual) []*lvscf.Server {
	var out []*lvscf.Server
	for i := range v.Servers {
		if s := &v.Servers[i]; s.Active && !s.Sorry && s.Address.Addr.IsValid() && familyFits(v, s.Address.Addr) {
			out = append(out, s)
		}
	}
	return out
}

// familyFits reports whether keepalived lets a server be of the family: other
// than the service's only with the tunnel method, which is seldom; it is left
// out here.
func familyFits(v *lvscf.Virtual, a netip.Addr) bool {
	return !v.Address.Addr.IsValid() || v.FWMark != 0 || v.Address.Addr.Is4() == a.Is4()
}

func (e *exporter) globals(virtuals []*lvscf.Virtual, carriers []*carrier) {
	c := e.cfg
	e.section("global_defs", func() {
		if e.runsPrograms(virtuals, carriers) {
			e.comment("who runs the programs named below")
			e.line("script_user root")
			e.line("enable_script_security")
		}
		if c.SyncDaemon && c.SyncdIface != "" {
			line := "lvs_sync_daemon " + c.SyncdIface
			if len(carriers) > 0 && !carriers[0].lone {
				line += " inst " + name(carriers[0].vrrp.Name)
			}
			line += fmt.Sprintf(" id %d", c.SyncdID)
			for _, o := range []struct {
				word string
				n    int
			}{{"maxlen", int(c.SyncdMaxLen)}, {"port", int(c.SyncdPort)}, {"ttl", int(c.SyncdTTL)}} {
				if o.n != 0 {
					line += fmt.Sprintf(" %s %d", o.word, o.n)
				}
			}
			if c.SyncdGroup.IsValid() {
				line += " group " + c.SyncdGroup.String()
			}
			e.line("%s", line)
		}
		timeouts := ""
		for _, o := range []struct {
			word string
			d    time.Duration
		}{{"tcp", c.TCPTimeout}, {"tcpfin", c.TCPFinTimeout}, {"udp", c.UDPTimeout}} {
			if o.d >= time.Second {
				timeouts += fmt.Sprintf(" %s %d", o.word, o.d/time.Second)
			}
		}
		if timeouts != "" {
			e.line("lvs_timeouts%s", timeouts)
		}
		if d := garpInterval(carriers); d > 0 {
			e.line("vrrp_garp_interval %s", timer(d))
		}
	})
}

// garpInterval returns the one time between announcements that keepalived can
// have for all.
func garpInterval(carriers []*carrier) time.Duration {
	var d time.Duration
	for _, c := range carriers {
		d = cmp.Or(d, c.vrrp.GARPInterval)
	}
	return min(d, maxTimer)
}

// runsPrograms reports whether any program is named: keepalived wants to be
// told who runs it.
func (e *exporter) runsPrograms(virtuals []*lvscf.Virtual, carriers []*carrier) bool {
	script := func(c lvscf.Check) bool { return c.Kind == lvscf.CheckScript || c.Command != "" }
	for _, c := range carriers {
		if r := c.vrrp; r.MasterCmd+r.BackupCmd+r.FaultCmd+r.NotifyCmd != "" || slices.ContainsFunc(r.Checks, script) {
			return true
		}
	}
	for _, v := range virtuals {
		if v.QuorumUpCmd+v.QuorumDownCmd != "" {
			return true
		}
		for _, s := range writable(v) {
			if s.UpCmd+s.DownCmd != "" || slices.ContainsFunc(v.ChecksOf(s), script) {
				return true
			}
		}
	}
	return false
}

// timer writes seconds with a fraction of microseconds.
func timer(d time.Duration) string {
	d = max(d.Round(time.Microsecond), time.Microsecond)
	text := strconv.FormatInt(int64(d/time.Second), 10)
	if rest := d % time.Second; rest != 0 {
		text += strings.TrimRight(fmt.Sprintf(".%06d", rest/time.Microsecond), "0")
	}
	return text
}

// text writes a keyword with a text as it stands, if there is one and
// keepalived takes it so: within quotes, where nothing is escaped.
func (e *exporter) text(word, s string) {
	if writableText(s) && !strings.Contains(s, `"`) {
		e.line("%s \"%s\"", word, s)
	}
}

// escaped writes a keyword whose text knows escapes. A quote becomes its
// number, as keepalived counts quotes before it knows of escapes.
func (e *exporter) escaped(word, s string) {
	if writableText(s) {
		e.line("%s \"%s\"", word, strings.NewReplacer(`\`, `\\`, `"`, `\042`, "'", `\047`).Replace(s))
	}
}

// writableText reports whether a text can stand on a line of its own, and
// keepalived puts nothing in place of a part.
func writableText(s string) bool {
	return s != "" && len(s) <= 8<<10 && !strings.Contains(s, "$_") && !strings.Contains(s, "${_") &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' })
}

// name writes the name of a block as one word.
func name(s string) string {
	if s == "" || strings.ContainsAny(s, "{}#!\"'$~@ \t") {
		return `"` + strings.ReplaceAll(s, `"`, "") + `"`
	}
	return s
}

// command writes a keyword with a command, if both sides read it alike.
func (e *exporter) command(word, s string) {
	if plainCommand(s) {
		e.text(word, s)
	}
}

// addressLine writes an address with its device: an alias becomes a label.
func addressLine(a netip.Addr, bits int, device string) string {
	line := a.String()
	if bits >= 0 {
		line += "/" + strconv.Itoa(bits)
	}
	if base, _, alias := strings.Cut(device, ":"); device != "" {
		line += " dev " + base
		if alias && a.Is4() { // IPv6 has no labels
			line += " label " + device
		}
	}
	return line
}
