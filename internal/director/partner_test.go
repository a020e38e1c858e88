package director

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
	"github.com/lvskit/lvskit/lvscf"
)

var partnerKey = []byte("a key that both routers share")

// pairFile is a file of two routers with the servers given by their weights.
func pairFile(lines string, weights ...int) string {
	text := "backup_active = 1\nbackup = 192.0.2.3\nkeepalive = 1\ndeadtime = 3\nheartbeat_port = 1539\nprimary = 192.0.2.2\n"
	text += "virtual web {\n\tactive = 1\n\taddress = 192.0.2.10 eth0:1\n\tsend = \"AUTH hunter2\\r\\n\"\n\texpect = \"+OK\"\n" + lines
	for i, w := range weights {
		text += fmt.Sprintf("\tserver s%d {\n\t\taddress = 10.0.0.%d\n\t\tactive = 1\n\t\tweight = %d\n\t}\n", i, i+1, w)
	}
	return text + "}\n"
}

// twoDirectors run on one network in memory, each with a setup of its own; the
// backup finds what is said from its first check on.
func twoDirectors(t *testing.T, primary, backup *Setup, backupFinds ...health.Verdict) (net *failovertest.Network, a, b *rig, log *warnings) {
	t.Helper()
	net = failovertest.NewNetwork(1)
	at := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:1539"), netip.MustParseAddrPort("192.0.2.3:1539")}
	log = &warnings{}
	var rigs [2]*rig
	for i, setup := range []*Setup{primary, backup} {
		rigs[i] = newRig(t, ipvstest.New(), func(c *Config) {
			c.Setup = checked(setup, c.Setup.Services[0].Servers[0].Checker)
			c.Failover = failover.Config{
				Primary: i == 0, Key: partnerKey, Interval: time.Second, DeadAfter: 3 * time.Second,
				Channels:  []failover.Channel{{Name: "public", Local: at[i], Peer: at[1-i]}},
				Transport: net.Host(fmt.Sprintf("router %d", i)),
			}
			if i == 1 {
				c.Logger = slog.New(log)
				if backupFinds != nil {
					c.Setup.Services[0].Servers[0].Checker.(*healthtest.Fake).Set(healthtest.Verdicts(backupFinds...))
				}
			}
		})
	}
	return net, rigs[0], rigs[1], log
}

// warnings is a log that keeps what the differences are.
type warnings struct {
	slog.Handler
	mu   sync.Mutex
	what []string
}

func (w *warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !strings.HasPrefix(r.Message, "the partner's configuration differs") {
		return nil
	}
	r.Attrs(func(a slog.Attr) bool { w.what = append(w.what, a.Value.String()); return true })
	return nil
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.what
	w.what = nil
	return out
}

func partnerOf(t *testing.T, r *rig) *control.Partner {
	t.Helper()
	p := r.status().Role.Partner
	if p == nil {
		t.Fatal("no partner in the status")
	}
	return p
}

func TestPartnersConfigurationIsCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, log := twoDirectors(t, setupOf(t, pairFile("\tport = 8080\n", 1, 2, 3)), setupOf(t, pairFile("", 1, 5, 3)))
		defer a.stop()
		defer b.stop()
		time.Sleep(20 * time.Second)
		ours := []string{`virtual "web": port 80 -> 8080`, `virtual "web": server "s0": port 80 -> 8080`, `virtual "web": server "s1": port 80 -> 8080`, `virtual "web": server "s1": weight 5 -> 2`, `virtual "web": server "s2": port 80 -> 8080`}
		p := partnerOf(t, b)
		if diff := cmp.Diff(ours, p.Differences); diff != "" || !p.ConfigDiffers || p.DifferencesUnknown != "" || p.MoreDifferences != 0 {
			t.Errorf("%+v\n(-want +got):\n%s", p, diff)
		}
		if diff := cmp.Diff(ours, log.take()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		if p := partnerOf(t, a); len(p.Differences) != 5 || p.Differences[3] != `virtual "web": server "s1": weight 2 -> 5` {
			t.Errorf("the primary knows %+v", p)
		}
		time.Sleep(time.Minute)
		if again := log.take(); len(again) > 0 {
			t.Errorf("said again: %q", again)
		}

		// A reload that goes a part of the way, and one that goes the rest.
		load := func(r *rig, text string) {
			r.next = func() (*Setup, error) { return checked(setupOf(t, text), r.checker), nil }
			r.reload <- syscall.SIGHUP
			time.Sleep(10 * time.Second)
		}
		load(b, pairFile("\tport = 8080\n", 1, 5, 3))
		left := []string{`virtual "web": server "s1": weight 5 -> 2`}
		if diff := cmp.Diff(left, partnerOf(t, b).Differences); diff != "" {
			t.Errorf("after our reload (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(left, log.take()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		load(a, pairFile("\tport = 8080\n", 1, 5, 3))
		if p := partnerOf(t, b); p.ConfigDiffers || p.Differences != nil || p.DifferencesUnknown != "" {
			t.Errorf("equal now: %+v", p)
		}
		load(a, pairFile("\tport = 8080\n", 1, 5, 4))
		if diff := cmp.Diff([]string{`virtual "web": server "s2": weight 3 -> 4`}, partnerOf(t, b).Differences); diff != "" {
			t.Errorf("after the partner's reload (-want +got):\n%s", diff)
		}
	})
}

func TestPartnersDifferencesAreBoundedAndHideSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var one, two []int
		for i := range 50 {
			one, two = append(one, i+1), append(two, i+2)
		}
		mine := strings.Replace(pairFile("", one...), "hunter2", "hunter3", 1)
		_, a, b, log := twoDirectors(t, setupOf(t, pairFile("", two...)), setupOf(t, mine))
		defer a.stop()
		defer b.stop()
		time.Sleep(30 * time.Second)
		p := partnerOf(t, b)
		if len(p.Differences) != maxDifferences || p.MoreDifferences != 51-maxDifferences {
			t.Errorf("%d differences and %d more", len(p.Differences), p.MoreDifferences)
		}
		said := log.take()
		if len(said) != maxDifferences+1 || said[maxDifferences] != fmt.Sprintf("and %d more", 51-maxDifferences) {
			t.Errorf("log: %q", said)
		}
		if text := strings.Join(append(said, p.Differences...), "\n"); strings.Contains(text, "hunter") || !strings.Contains(text, `send hidden:`) {
			t.Errorf("the secret:\n%s", text)
		}
	})
}

func TestPartnerThatTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := setupOf(t, pairFile("", 1))
		silent.Config = nil // as of a version that has none to tell
		_, a, b, _ := twoDirectors(t, silent, setupOf(t, pairFile("", 2)))
		defer a.stop()
		defer b.stop()
		time.Sleep(20 * time.Second)
		if p := partnerOf(t, b); !p.ConfigDiffers || !strings.Contains(p.DifferencesUnknown, "an older version never does") {
			t.Errorf("%+v", p)
		}
		if p := partnerOf(t, a); !p.ConfigDiffers || !strings.Contains(p.DifferencesUnknown, "ours cannot be told") {
			t.Errorf("%+v", p)
		}
	})
}

// A setup that is not from a file has nothing to compare with what the partner
// tells.
func TestSetupWithoutFileIsNotCompared(t *testing.T) {
	document, err := account(setupOf(t, pairFile("", 1)).Config, partnerKey)
	if err != nil {
		t.Fatal(err)
	}
	p := partner{log: slog.New(slog.DiscardHandler), key: partnerKey}
	p.setOwn(&Setup{})
	p.compare(document)
	st := control.Partner{ConfigDiffers: true}
	p.describe(&st)
	if st.Differences != nil || !strings.Contains(st.DifferencesUnknown, "not from a file") {
		t.Errorf("%+v", st)
	}
}

// deflated is a document of any text.
func deflated(t testing.TB, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAccountComesBack(t *testing.T) {
	c := setupOf(t, pairFile("\tcheck a {\n\t\tkind = http\n\t\theader = \"X-Probe: lvs\"\n\t\tpath = /a?b\n\t}\n", 1, 2)).Config
	document, err := account(c, partnerKey)
	if err != nil {
		t.Fatal(err)
	}
	back, unread, err := readAccount(document)
	if err != nil || unread != 0 {
		t.Fatal(unread, err)
	}
	if ds := lvscf.Diff(c.Concealed(partnerKey), back); len(ds) > 0 {
		t.Errorf("came back with %v", ds)
	}
}

func TestAccountsThatCannotBeRead(t *testing.T) {
	for name, tt := range map[string]struct {
		document []byte
		want     string
	}{
		"no deflate":         {[]byte("virtual web {\n}\n"), "cannot be unpacked"},
		"cut short":          {deflated(t, bytes.Repeat([]byte("# comment\n"), 1000))[:20], "cannot be unpacked"},
		"a bomb":             {deflated(t, make([]byte, maxAccount+1)), "too large"},
		"a block too many":   {deflated(t, bytes.Repeat([]byte("virtual a {\n}\n"), maxBraces+1)), "too large"},
		"nothing that it is": {nil, "cannot be unpacked"},
	} {
		if _, _, err := readAccount(tt.document); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	// A newer version's words are counted, the rest is read.
	c, unread, err := readAccount(deflated(t, []byte("levitate = 1\nvirtual web {\n\tport = 81\n\twarp = 9\n}\n")))
	if err != nil || unread != 2 || c.Virtuals[0].Port != 81 {
		t.Errorf("%+v, %d lines unread, %v", c, unread, err)
	}
	if got := oneLine("a\x1b[31mb\n" + strings.Repeat("x", 1000)); len([]rune(got)) != 301 || strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("%q", got)
	}
}

func TestTooLongAnAccountIsAnError(t *testing.T) {
	noise := make([]byte, 300_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // never fails
	c := lvscf.NewConfig()
	v, k := lvscf.NewVirtual("web"), lvscf.NewCheck("a")
	k.Kind, k.Body = lvscf.CheckHTTP, hex.EncodeToString(noise)
	v.Checks = []lvscf.Check{k}
	c.Virtuals = []lvscf.Virtual{v}
	if document, err := account(c, partnerKey); err == nil || !strings.Contains(err.Error(), "can be sent") {
		t.Errorf("%d bytes, %.200v", len(document), err)
	}
}

func FuzzAccount(f *testing.F) {
	f.Add([]byte(pairFile("", 1, 2)))
	f.Add([]byte("levitate = 1\nvirtual web {\n\tport = 81\n"))
	own := lvscf.NewConfig()
	f.Fuzz(func(t *testing.T, in []byte) {
		_, _, _ = readAccount(in) // must not panic
		c, _, err := readAccount(deflated(t, in))
		if err != nil {
			return
		}
		for _, d := range lvscf.Diff(own, c) {
			for _, r := range oneLine(d.String()) {
				if r < ' ' || r == 0x7f {
					t.Fatalf("%q holds %q", d, r)
				}
			}
		}
	})
}
