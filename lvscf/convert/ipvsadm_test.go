package convert

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvsadm"
	"github.com/lvskit/lvskit/lvscf"
)

var equalTables = cmp.Options{cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty()}

// tableFrom reads rules as a table.
func tableFrom(t *testing.T, text []byte) ipvs.Table {
	t.Helper()
	commands, err := ipvsadm.Parse(t.Context(), string(text), ipvsadm.Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	table, err := ipvsadm.Table(commands)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestImportRulesGolden compares the losses and the configuration of each rule
// text of testdata with the file beside it. The table that the configuration
// makes must be the one of the rules, unless losses name the difference.
func TestImportRulesGolden(t *testing.T) {
	fixtures(t, "testdata/ipvsadm/*.rules", 4, func(t *testing.T, path string, src []byte) {
		cfg, losses, err := FromIPVSAdm(t.Context(), filepath.Base(path), src, RuleOptions{ImportOptions: ImportOptions{Device: "eth1"}})
		want := strings.TrimSuffix(path, ".rules") + ".want"
		if err != nil {
			var bad *lvscf.InvalidFileError
			if !errors.As(err, &bad) {
				t.Errorf("error %v has no diagnostics", err)
			}
			golden(t, want, []byte(err.Error()+"\n"))
			return
		}
		checkLosses(t, losses)
		golden(t, want, []byte(losses.String()+"\n"+settings(cfg)))
		writtenAndRead(t, cfg)
		got, _ := Table(cfg)
		if strings.HasSuffix(path, "everything.rules") {
			if diff := cmp.Diff(tableFrom(t, src), got, equalTables); diff != "" {
				t.Errorf("table (-rules +configuration):\n%s", diff)
			}
		}
	})
}

func TestEveryDirectiveHasAFate(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range lvscf.Directives() {
		if d.Block == "check" || d.Block == "vrrp" {
			continue // lost with their blocks
		}
		seen[d.Block+" "+d.Name] = true
		f, ok := ruleFates[d.Block][d.Name]
		if _, lost := whyLost[f]; !ok || f > unread && !lost {
			t.Errorf("nobody knows what becomes of %s in a %s block", d.Name, d.Block)
		}
	}
	for block, rows := range ruleFates {
		for name := range rows {
			if !seen[block+" "+name] && name != "device" {
				t.Errorf("%s is no directive of a %s block", name, block)
			}
		}
	}
}

// A generator makes configurations by chance: of all that a table can hold,
// and some that it cannot.
type generator struct{ *rand.Rand }

func (g generator) one(n int) bool { return g.IntN(n) == 0 }

func (g generator) addr(six bool, net byte) netip.Addr {
	if six {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, net, 15: byte(1 + g.IntN(20))})
	}
	return netip.AddrFrom4([4]byte{10, net, 0, byte(1 + g.IntN(20))})
}

func (g generator) config() *lvscf.Config {
	c := lvscf.NewConfig()
	c.Path = "x.cf"
	c.Network = lvscf.Network(g.IntN(3))
	if g.one(3) {
		c.TCPTimeout, c.UDPTimeout = time.Duration(1+g.IntN(900))*time.Second, time.Duration(g.IntN(300))*time.Second
	}
	if g.one(4) {
		c.BackupActive, c.Primary.Addr, c.Backup.Addr = true, g.addr(false, 9), g.addr(false, 8)
	}
	used := map[string]bool{}
	for range g.IntN(5) {
		v := g.virtual()
		key := fmt.Sprint(v.FWMark, v.Address, v.Port, v.Protocol)
		if v.FWMark != 0 {
			key = fmt.Sprint(v.FWMark)
		}
		if v.Active && used[key] {
			continue
		}
		used[key] = used[key] || v.Active
		c.Virtuals = append(c.Virtuals, v)
	}
	return c
}

func (g generator) virtual() lvscf.Virtual {
	v := lvscf.NewVirtual(fmt.Sprintf("v%d", g.IntN(1000)))
	v.Active = !g.one(6)
	six := g.one(4)
	v.Protocol = []lvscf.Protocol{lvscf.TCP, lvscf.UDP, lvscf.SCTP}[g.IntN(3)]
	v.Scheduler = []lvscf.Scheduler{"rr", "wrr", "lc", "wlc", "sh", "mh", "sed", "nq", "fo", "ovf", "dh", "lblc", "twos"}[g.IntN(13)]
	if g.one(2) {
		v.Persistent = time.Duration(1+g.IntN(1000)) * time.Second
		v.PMask = lvscf.Netmask(g.IntN(33))
	}
	v.Port = uint16(80 + g.IntN(3))
	if v.Persistent > 0 && g.one(5) {
		v.Port = 0
	}
	v.Address.Addr, v.Device = g.addr(six, 1), "eth0:1"
	if g.one(4) {
		v.FWMark = uint32(1 + g.IntN(9))
		if g.one(2) {
			v.Address, v.Device = lvscf.Host{}, ""
		}
	}
	if v.Scheduler == "sh" || v.Scheduler == "mh" {
		v.SchedulerFlags = lvscf.SchedulerFlags(g.IntN(4))
	}
	v.OnePacket = v.Protocol == lvscf.UDP && v.FWMark == 0 && g.one(3)
	if g.one(3) {
		n := lvscf.Network(g.IntN(3))
		v.Forward = &n
	}
	if g.one(4) {
		v.Check = lvscf.CheckNone
	} else if g.one(3) {
		v.Send, v.Expect = "x", "y"
	}
	if g.one(4) {
		v.SorryServer = g.addr(six, 7)
	}
	v.QuiesceServer = g.one(3)
	for i := range g.IntN(5) {
		s := lvscf.NewServer(fmt.Sprintf("s%d", i), v.Port)
		s.Active, s.Weight = !g.one(5), g.IntN(4)
		s.Address.Addr = g.addr(six, 2)
		if v.Port != 0 && g.one(3) {
			s.Port = uint16(8000 + g.IntN(3))
		}
		if g.one(3) {
			n := lvscf.Network(g.IntN(3))
			s.Forward = &n
		}
		if g.one(4) {
			s.UpperThreshold = uint32(10 + g.IntN(100))
			s.LowerThreshold = uint32(g.IntN(10))
		}
		if g.one(5) {
			s.TunnelType, s.TunnelPort = lvscf.GUE, 6080
			s.TunnelChecksum = lvscf.TunnelChecksum(g.IntN(3))
		}
		s.Sorry, s.Maintenance = g.one(6), g.one(6)
		v.Servers = append(v.Servers, s)
	}
	return v
}

// plain is what rules can say of a configuration, said in one way: the
// services by their key.
func plain(c *lvscf.Config) map[ipvs.ServiceKey]ipvs.Entry {
	m := map[ipvs.ServiceKey]ipvs.Entry{}
	table, _ := Table(c)
	for _, e := range table {
		e.Service = e.Service.Normalized()
		for i := range e.Destinations {
			e.Destinations[i] = e.Destinations[i].Normalized()
		}
		m[e.Service.Key] = e
	}
	return m
}

// TestRulesKeepTheMeaning writes generated configurations as rules and reads
// them again. The table must be the same, but for entries that losses name;
// and every value that is not the same must be named by a loss too.
func TestRulesKeepTheMeaning(t *testing.T) {
	for seed := range uint64(2000) {
		g := generator{rand.New(rand.NewPCG(seed, 4))}
		before := g.config()
		text, losses, err := ToIPVSAdm(before)
		if err != nil {
			t.Fatal(err)
		}
		checkLosses(t, losses)
		var back Losses
		var after *lvscf.Config
		if len(text) == 0 {
			after = lvscf.NewConfig()
		} else if after, back, err = FromIPVSAdm(t.Context(), "r", text, RuleOptions{ImportOptions: ImportOptions{Device: "eth0"}}); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		checkLosses(t, back)
		all := losses.String() + back.String()
		if after.TCPTimeout != before.TCPTimeout || after.UDPTimeout != before.UDPTimeout {
			t.Errorf("seed %d: timeouts %v %v, want %v %v", seed, after.TCPTimeout, after.UDPTimeout, before.TCPTimeout, before.UDPTimeout)
		}
		want, got := plain(before), plain(after)
		for key, e := range want {
			if strings.Contains(all, key.String()) && got[key].Service.Key != key {
				delete(want, key) // left out, and listed
				delete(got, ipvs.MarkService(key.Mark))
				continue
			}
			e.Destinations = slices.DeleteFunc(slices.Clone(e.Destinations), func(d ipvs.Destination) bool {
				return strings.Contains(all, "add "+d.Key.String()) || strings.Contains(all, "rule text cannot say") && !slices.Contains(got[key].Destinations, d)
			})
			want[key] = e
		}
		if diff := cmp.Diff(want, got, equalTables); diff != "" {
			t.Fatalf("seed %d: table (-before +after):\n%s\n%s\n%s", seed, diff, text, losses)
		}
		for _, miss := range unnamed(before, all) {
			t.Fatalf("seed %d: %s is in no loss:\n%s", seed, miss, all)
		}
		// What came out of rules goes back without a change of the table.
		again, _, err := ToIPVSAdm(after)
		if err != nil || back == nil && string(again) != string(text) {
			t.Fatalf("seed %d: error %v, rules (-first +again):\n%s", seed, err, cmp.Diff(string(text), string(again)))
		}
	}
}

// unnamed lists what rules cannot say of a configuration and no loss names.
func unnamed(c *lvscf.Config, losses string) []string {
	var out []string
	need := func(is bool, what string) {
		if is && !strings.Contains(losses, what) {
			out = append(out, what)
		}
	}
	need(c.BackupActive, "the failover (backup, backup_active, primary)")
	for _, v := range c.Virtuals {
		at := "virtual " + v.Name + ": "
		if !v.Active {
			need(true, at+"the block")
			continue
		}
		need(v.Device != "", at+"the virtual address (device")
		need(v.SorryServer.IsValid(), at+"the sorry server (sorry_server)")
		checked := false
		for _, s := range v.Servers {
			need(!s.Active, at+"server "+s.Name)
			if s.Active {
				need(s.Sorry, at+"the sorry server of server "+s.Name)
				need(s.Maintenance && !s.Sorry, at+"the weight of server "+s.Name)
				checked = checked || !s.Sorry && v.Check != lvscf.CheckNone
			}
		}
		need(checked, at+"the checks (")
		need(checked && v.Send != "", "send")
		need(checked && v.QuiesceServer, "quiesce_server")
		need(v.Name != nameOf(&v), v.Name)
	}
	return out
}

func TestToIPVSAdmRefusesFailoverServices(t *testing.T) {
	c := lvscf.NewConfig()
	c.Service = lvscf.FOS
	if _, _, err := ToIPVSAdm(c); !errors.Is(err, ErrFailover) {
		t.Errorf("error %v", err)
	}
}

// TestRuleCorpus imports every file of the folder that LVSKIT_IPVSADM_CORPUS
// names: it comes out with each loss explained, or is refused with a place.
func TestRuleCorpus(t *testing.T) {
	for name, src := range corpus(t, "LVSKIT_IPVSADM_CORPUS") {
		cfg, losses, err := FromIPVSAdm(t.Context(), name, src, RuleOptions{})
		var bad *lvscf.InvalidFileError
		switch {
		case errors.As(err, &bad):
			t.Logf("%-40s refused: %v", name, err)
			continue
		case err != nil:
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkLosses(t, losses)
		if ds := cfg.Check(); ds.HasErrors() {
			t.Errorf("%s: the configuration has errors: %v", name, ds)
		}
		if _, err := cfg.File(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%-40s %d services, %d losses\n%v", name, len(cfg.Virtuals), len(losses), losses)
	}
}

// FuzzFromIPVSAdm checks what holds for any rules: what comes out makes their
// table, unless losses say that it does not, and goes back into rules.
func FuzzFromIPVSAdm(f *testing.F) {
	addFixtures(f, "testdata/ipvsadm/*.rules")
	f.Fuzz(takesAnyRules)
}

// takesAnyRules checks what holds for any text.
func takesAnyRules(t *testing.T, src string) {
	cfg, losses, err := FromIPVSAdm(t.Context(), "r", []byte(src), RuleOptions{ImportOptions: ImportOptions{Device: "eth0"}})
	if err != nil {
		if cfg != nil || losses != nil {
			t.Error("an error and a configuration")
		}
		return
	}
	checkLosses(t, losses)
	if _, err := cfg.File(); err != nil {
		t.Errorf("no lvs.cf can say it: %v", err)
	}
	text, _, err := ToIPVSAdm(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !losses.Harmless() {
		return
	}
	if diff := cmp.Diff(tableFrom(t, []byte(src)), tableFrom(t, text), equalTables); diff != "" {
		t.Errorf("table (-rules +back):\n%s", diff)
	}
}

// TestRulesTellOfFilesNotRead says that an include which nobody has read is a
// loss: whole services may stand there.
func TestRulesTellOfFilesNotRead(t *testing.T) {
	cfg := lvscf.NewConfig()
	cfg.Includes = []string{"mail.cf"}
	_, losses, err := ToIPVSAdm(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if text := losses.String(); !strings.Contains(text, "the included files (include)") {
		t.Errorf("the include is lost in silence:\n%s", text)
	}
}

func TestRulesThatAreNoText(t *testing.T) {
	text := "-A -t 192.0.2.1:80\n" + strings.Repeat("\x7fELF\x00\x01\n", 300)
	_, _, err := FromIPVSAdm(t.Context(), "ls", []byte(text), RuleOptions{})
	if err == nil || err.Error() != "ls:2:5: not a text: there is a zero byte: convert what ipvsadm -S -n prints" {
		t.Errorf("error %v", err)
	}
}
