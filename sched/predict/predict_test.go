package predict_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/sched"
	"github.com/lvskit/lvskit/sched/predict"
)

func service(scheduler string, flags sched.Flags, weights ...int) predict.Service {
	s := predict.Service{Addr: netip.MustParseAddrPort("192.0.2.1:80"), Scheduler: scheduler, Flags: flags}
	for i, w := range weights {
		s.Servers = append(s.Servers, predict.Server{Name: string(rune('A' + i)), Addr: netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:80", i+1)), Weight: w})
	}
	return s
}

func change(t *testing.T, text string) *predict.Change {
	t.Helper()
	c, err := predict.ParseChange(text)
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

func compare(t *testing.T, s predict.Service, text string, clients []netip.AddrPort) predict.Row {
	t.Helper()
	var c *predict.Change
	if text != "" {
		c = change(t, text)
	}
	rep, err := predict.Compare(s, c, nil, clients)
	if err != nil {
		t.Fatal(err)
	}
	return rep.Rows[0]
}

// The first server of the list was added last: round robin begins with it.
func TestServersStandInTheOrderOfTheList(t *testing.T) {
	got, err := service("rr", 0, 1, 1, 1).Where(predict.Generate(4, false))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A", "B", "C", "A"}, got); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
}

func TestWhatChangesMove(t *testing.T) {
	clients := predict.Generate(5_000, false)
	tests := map[string]struct {
		service predict.Service
		change  string
		// moved and needless are parts of all clients, within 2 %.
		moved, needless, refused float64
	}{
		"sh: a drained server's clients are refused":  {service("sh", 0, 1, 1, 2), "drain B", 0.25, 0, 0.25},
		"sh: fallback takes them":                     {service("sh", sched.FlagFallback, 1, 1, 2), "drain B", 0.25, 0, 0},
		"mh: a drained server's clients are refused":  {service("mh", 0, 1, 1, 2), "drain B", 0.25, 0, 0.25},
		"mh: fallback takes them":                     {service("mh", sched.FlagFallback, 1, 1, 2), "drain B", 0.25, 0, 0},
		"mh: a weight of zero is a drain":             {service("mh", sched.FlagFallback, 1, 1, 2), "weight B 0", 0.25, 0, 0},
		"sh: the same weight moves nobody":            {service("sh", 0, 1, 1, 2), "weight B 1", 0, 0, 0},
		"fo: the next one is taken by all":            {service("fo", 0, 3, 2, 1), "drain A", 1, 0, 0},
		"fo: another one does not matter":             {service("fo", 0, 3, 2, 1), "drain B", 0, 0, 0},
		"mh: a new one takes its share":               {service("mh", 0, 1, 1, 1), "add 10.0.0.9:80", 0.25, 0.25, 0},
		"rr: the drained one's share is for the rest": {service("rr", 0, 1, 1, 1), "drain A", 0, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			row := compare(t, tt.service, tt.change, clients)
			for what, v := range map[string][2]float64{
				"moved": {float64(row.Moved), tt.moved}, "needless": {float64(row.Needless), tt.needless}, "refused": {float64(row.RefusedAfter), tt.refused},
			} {
				if part := v[0] / float64(len(clients)); part < v[1]-0.02 || part > v[1]+0.02 {
					t.Errorf("%s: %.3f of the clients, want %.2f", what, part, v[1])
				}
			}
		})
	}
}

// Maglev is made for this: a removal moves few clients of the others, where
// sh moves many.
func TestRemovalMovesFewUnderMaglev(t *testing.T) {
	clients := predict.Generate(5_000, false)
	sh, mh := compare(t, service("sh", 0, 1, 1, 1, 1, 1), "remove C", clients), compare(t, service("mh", 0, 1, 1, 1, 1, 1), "remove C", clients)
	if sh.Needless < 5*mh.Needless || mh.Needless == 0 || mh.Needless > len(clients)/20 {
		t.Errorf("sh moves %d clients of the others and mh %d, of %d: want many and a few", sh.Needless, mh.Needless, len(clients))
	}
}

func TestSharesOfTheOthers(t *testing.T) {
	clients := predict.Generate(4000, false)
	tests := map[string]struct {
		change        string
		before, after []int
	}{
		"wlc":  {"drain C", []int{1000, 1000, 2000}, []int{2000, 2000, 0}},
		"wrr":  {"weight C 6", []int{1000, 1000, 2000}, []int{500, 500, 3000}},
		"rr":   {"remove B", []int{1334, 1333, 1333}, []int{2000, 0, 2000}},
		"lc":   {"add 10.0.0.9:80", []int{1334, 1333, 1333}, []int{1000, 1000, 1000, 1000}},
		"sed":  {"drain A", []int{1000, 1000, 2000}, []int{0, 1333, 2667}},
		"none": {"drain A", []int{0, 0, 0}, []int{0, 0, 0}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			row := compare(t, service(name, 0, 1, 1, 2), tt.change, clients)
			if row.Certain || row.Moved != 0 || row.Needless != 0 {
				t.Errorf("%+v: want shares, and nobody moved", row)
			}
			near := func(a, b int) bool { return a-b <= 2 && b-a <= 2 }
			if !slices.EqualFunc(row.Before[:3], tt.before, near) || !slices.EqualFunc(row.After, tt.after, near) {
				t.Errorf("%v -> %v, want %v -> %v", row.Before, row.After, tt.before, tt.after)
			}
		})
	}
}

func TestPersistenceKeepsGroupsTogether(t *testing.T) {
	clients, err := predict.Prefix(netip.MustParsePrefix("198.51.100.0/22"))
	if err != nil {
		t.Fatal(err)
	}
	s := service("sh", 0, 1, 1, 1, 1, 1, 1, 1)
	s.Persistent, s.Prefix = true, 24
	got, err := s.Where(clients)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := service("sh", 0, 1, 1, 1, 1, 1, 1, 1).Where(clients)
	if err != nil {
		t.Fatal(err)
	}
	for i := range clients {
		if first := i / 256 * 256; got[i] != alone[first] {
			t.Fatalf("%v gets %s, the first of its network %s", clients[i], got[i], alone[first])
		}
	}
	if slices.Equal(got, alone) {
		t.Error("without persistence the clients of a network are together, too")
	}
}

func TestEveryCandidateAnswers(t *testing.T) {
	s := service("wlc", 0, 1, 2, 0)
	candidates := predict.Candidates(s)
	if candidates[0] != (predict.Candidate{Scheduler: "wlc"}) || len(candidates) < 10 {
		t.Errorf("candidates %v: want wlc first, and the usual ones", candidates)
	}
	rep, err := predict.Compare(s, change(t, "drain A"), candidates, predict.Generate(1000, false))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rep.Rows {
		for _, counts := range [][]int{append([]int{row.RefusedBefore}, row.Before...), append([]int{row.RefusedAfter}, row.After...)} {
			if sum := counts[0] + counts[1] + counts[2] + counts[3]; sum != 1000 {
				t.Errorf("%v: %v are %d of 1000 clients", row.Candidate, counts, sum)
			}
		}
	}
}

func TestIPv6(t *testing.T) {
	s := service("mh", 0)
	s.Addr = netip.MustParseAddrPort("[2001:db8::1]:80")
	for i := range 4 {
		s.Servers = append(s.Servers, predict.Server{Name: string(rune('A' + i)), Addr: netip.MustParseAddrPort(fmt.Sprintf("[2001:db8:1::%d]:80", i+1)), Weight: 1})
	}
	clients := predict.Generate(8000, true)
	row := compare(t, s, "", clients)
	for i, n := range row.Before {
		if n < 1700 || n > 2300 {
			t.Errorf("server %d gets %d of 8000 clients, want about 2000", i, n)
		}
	}
	if s.Takes(netip.MustParseAddrPort("198.51.100.7:1")) || !s.Takes(clients[0]) {
		t.Error("the family of clients is not told")
	}
}

func TestMistakes(t *testing.T) {
	clients := predict.Generate(1, false)
	if _, err := predict.Compare(service("wlc", 0, 1), change(t, "drain Z"), nil, clients); !errors.Is(err, predict.ErrNoServer) || !strings.Contains(err.Error(), "there are A") {
		t.Errorf("got %v, want ErrNoServer with those that are there", err)
	}
	if _, err := predict.Compare(service("wlc", 0, 1), change(t, "add 10.0.0.1:80"), nil, clients); !errors.Is(err, sched.ErrServerExists) {
		t.Errorf("got %v, want ErrServerExists", err)
	}
	if _, err := service("magic", 0, 1).Where(clients); !errors.Is(err, sched.ErrUnknownScheduler) {
		t.Errorf("got %v, want ErrUnknownScheduler", err)
	}
	twice := service("wlc", 0, 1, 1)
	twice.Servers[1].Name = "A"
	if _, err := twice.Where(clients); err == nil || !strings.Contains(err.Error(), `the name "A"`) {
		t.Errorf("got %v, want a complaint of two servers named A", err)
	}
	for text, want := range map[string]string{
		"":                       "want WHAT SERVER",
		"drain":                  "want WHAT SERVER",
		"kill A":                 "want drain, remove, add or weight",
		"weight A":               "want the weight at its end",
		"weight A -1":            "want 0 to",
		"drain A 3":              `"3" is too much`,
		"add A":                  "want an address with a port",
		"add 10.0.0.1:80 2 rest": `"2 rest" is too much`,
	} {
		if _, err := predict.ParseChange(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("change %q: got %v, want %q", text, err, want)
		}
	}
}

func TestChangesAsText(t *testing.T) {
	for _, text := range []string{"drain A", "remove B", "weight A 7", "add 10.0.0.9:80 2", "add [2001:db8::9]:80 0"} {
		c := change(t, text)
		if c.String() != text || *change(t, c.String()) != *c || *change(t, strings.ReplaceAll(text, " ", ",")) != *c {
			t.Errorf("%q is printed as %q", text, c)
		}
	}
}

func TestReadClients(t *testing.T) {
	got, err := predict.ReadClients("list", strings.NewReader("# who\n198.51.100.7 # one\n\n 198.51.100.8:4000\n[2001:db8::1]\n2001:db8::2\n198.51.100.16/31\n"))
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, c := range got {
		words = append(words, c.String())
	}
	want := []string{"198.51.100.7:0", "198.51.100.8:4000", "[2001:db8::1]:0", "[2001:db8::2]:0", "198.51.100.16:0", "198.51.100.17:0"}
	if diff := cmp.Diff(want, words); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
	for text, want := range map[string]string{
		"":                              "list: no clients",
		"# nobody":                      "list: no clients",
		"1.2.3.4\nfe80::1%eth0":         "list:2: client",
		"10.0.0.0/8":                    "list:1: prefix 10.0.0.0/8 has more than",
		"10.0.0.0/12\n192.0.2.1":        "list:2: more than",
		"1.2.3.4 5":                     "list:1: client",
		strings.Repeat("1", 1<<17) + "": "list:1: ",
	} {
		if _, err := predict.ReadClients("list", strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.30q: got %v, want %q", text, err, want)
		}
	}
}

func TestGeneratedClientsAreDifferent(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		seen := map[netip.AddrPort]bool{}
		for _, c := range predict.Generate(30_000, is6) {
			seen[c] = true
		}
		if len(seen) != 30_000 {
			t.Errorf("IPv6 %v: %d different clients of 30000", is6, len(seen))
		}
	}
	if n := len(predict.Generate(1<<30, false)); n != predict.MaxClients {
		t.Errorf("%d clients, want the bound", n)
	}
	ports := predict.Ports([]netip.AddrPort{netip.MustParseAddrPort("198.51.100.7:0"), netip.MustParseAddrPort("198.51.100.8:9")}, 16)
	seen := map[netip.AddrPort]bool{}
	for _, p := range ports {
		seen[p] = true
	}
	if len(ports) != 17 || len(seen) != 17 || !seen[netip.MustParseAddrPort("198.51.100.8:9")] {
		t.Errorf("%v: want 16 ports of one and the other as it is", ports)
	}
}

func FuzzReadClients(f *testing.F) {
	for _, seed := range []string{"198.51.100.7\n", "[2001:db8::1]:80 # x", "10.0.0.0/24", "::/128\n\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clients, err := predict.ReadClients("list", strings.NewReader(text))
		if (err == nil) == (len(clients) == 0) || len(clients) > predict.MaxClients {
			t.Fatalf("%d clients and %v", len(clients), err)
		}
		for _, c := range clients[:min(len(clients), 100)] {
			if !c.IsValid() || c.Addr().Zone() != "" {
				t.Fatalf("client %v", c)
			}
		}
	})
}

func FuzzParseChange(f *testing.F) {
	for _, seed := range []string{"drain A", "weight A 3", "add [2001:db8::1]:80,4", "remove \xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := predict.ParseChange(text)
		if err != nil {
			return
		}
		again, err := predict.ParseChange(c.String())
		if c.Op == predict.Add {
			again.Server = c.Server // the same address may be written in many ways
		}
		if err != nil || again != c {
			t.Fatalf("%q is %+v, printed as %q it is %+v, %v", text, c, c, again, err)
		}
	})
}
