package procfs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
)

func TestKnownSysctlsAreInOrder(t *testing.T) {
	known := KnownSysctls()
	for i, s := range known {
		if s.Kind == KindText || s.Meaning == "" || !validName(s.Name) {
			t.Errorf("%+v is not complete", s)
		}
		if i > 0 && known[i-1].Name >= s.Name {
			t.Errorf("%s stands behind %s", s.Name, known[i-1].Name)
		}
		if s.Default != "" {
			if err := s.Validate(s.Default); err != nil {
				t.Errorf("%s does not take its default: %v", s.Name, err)
			}
		}
		if got, ok := LookupSysctl(s.Name); !ok || got != s {
			t.Errorf("LookupSysctl(%s) is %+v, %v", s.Name, got, ok)
		}
	}
	known[0].Name = "changed"
	if KnownSysctls()[0].Name == "changed" {
		t.Error("a caller can change the table")
	}
	if s, ok := LookupSysctl("new_one"); ok || s != (Sysctl{Name: "new_one"}) {
		t.Errorf("unknown: %+v, %v", s, ok)
	}
}

func TestSysctlValidate(t *testing.T) {
	tests := []struct {
		name    Name
		good    []Value
		bad     []Value
		message string
	}{
		{Conntrack, []Value{"0", "1"}, []Value{"", "2", "-1", "on", "1 1"}, "want 0 (off) or 1 (on)"},
		{DropPacket, []Value{"0", "3"}, []Value{"4", "-1"}, "want 0 (off), 1 or 2 (automatic) or 3 (always)"},
		{SyncRetries, []Value{"0", "3"}, []Value{"4", "-1", "x"}, "want a number from 0 to 3"},
		{EstimatorNice, []Value{"-20", "19"}, []Value{"-21", "20"}, "want a number from -20 to 19"},
		{SyncPorts, []Value{"1", "2", "64"}, []Value{"0", "3", "-2"}, "want a power of two from 1 to 1073741824"},
		{LBLCExpiration, []Value{"0", "86400"}, []Value{"-1", "21474837"}, "want seconds from 0 to 21474836"},
		{SyncThreshold, []Value{"3 50", "0 0", "50 0", "0 1"}, []Value{"", "3", "3 3", "4 3", "-1 3", "1 -3", "1 2 3", "a b", "1 2147483648"}, "want PACKETS PERIOD, two numbers, the first one less unless the second is 0"},
		{EstimatorCPUs, []Value{"", "0", "0-3", "0,2-5", "all", "0-31:1/2", "0,1-N:1/2", "all:1/2", "N"}, []Value{"a", "1-0", "1,", "0-", "-1", "0-3:2/1", "0:1/2", "0-3:", "0 1", "N-1", "0-3:0/0"}, "want processors like 0,2-5 or 0-31:1/2, all, or nothing"},
		{"new_one", []Value{"", "whatever 1"}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(string(tt.name), func(t *testing.T) {
			s, _ := LookupSysctl(tt.name)
			for _, v := range tt.good {
				if err := s.Validate(v); err != nil {
					t.Errorf("%q: %v", v, err)
				}
			}
			for _, v := range tt.bad {
				if err := s.Validate(v); err == nil || err.Error() != tt.message {
					t.Errorf("%q: error %v, want %q", v, err, tt.message)
				}
			}
		})
	}
}

func TestValues(t *testing.T) {
	for v, want := range map[Value]Value{
		BoolValue(true): "1", BoolValue(false): "0", IntValue(-20): "-20",
		SecondsValue(90 * time.Second): "90", SecondsValue(1500 * time.Millisecond): "2", SecondsValue(0): "0", ThresholdValue(3, 50): "3 50",
	} {
		if v != want {
			t.Errorf("value %q, want %q", v, want)
		}
	}
	if n, err := Value("-7").Int(); n != -7 || err != nil {
		t.Error(n, err)
	}
	if on, err := Value("2").Bool(); !on || err != nil {
		t.Error(on, err)
	}
	if d, err := Value("86400").Seconds(); d != 24*time.Hour || err != nil {
		t.Error(d, err)
	}
	if p, q, err := Value("3 50").Threshold(); p != 3 || q != 50 || err != nil {
		t.Error(p, q, err)
	}
	// What is absent reads as an error and not as zero.
	absent := Sysctls{}[Conntrack]
	_, err1 := absent.Bool()
	_, err2 := absent.Int()
	_, err3 := absent.Seconds()
	_, _, err4 := absent.Threshold()
	_, err5 := Value("9223372036854775807").Seconds()
	for i, err := range []error{err1, err2, err3, err4, err5} {
		if err == nil {
			t.Errorf("error %d is nil", i+1)
		}
	}
}

func TestDiffSysctls(t *testing.T) {
	have := Sysctls{Conntrack: "0", SyncThreshold: "3 50", DropPacket: "2", DropEntry: "3", EstimatorCPUs: "0-3", "other": "x", "own": "1"}
	want := Sysctls{Conntrack: "1", SyncThreshold: "3\t50", DropPacket: "1", DropEntry: "1", EstimatorCPUs: "", LBLCExpiration: "60", "other": "a b"}
	var got []string
	for _, c := range DiffSysctls(have, want) {
		got = append(got, c.String())
	}
	if diff := cmp.Diff([]string{
		`set net.ipv4.vs.conntrack to 1 (is 0)`,
		`set net.ipv4.vs.drop_entry to 1 (is 3)`,
		`set net.ipv4.vs.est_cpulist to "" (is 0-3)`,
		`set net.ipv4.vs.lblc_expiration to 60 (is absent)`,
		`set net.ipv4.vs.other to "a b" (is x)`,
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c := DiffSysctls(have, have); c != nil {
		t.Errorf("a set differs from itself: %v", c)
	}
	text, err := json.Marshal(DiffSysctls(have, want)[3:4])
	if err != nil || string(text) != `[{"name":"lblc_expiration","old":"","absent":true,"new":"60"}]` {
		t.Errorf("%s, %v", text, err)
	}
}

func TestSysctlsJSON(t *testing.T) {
	want := Sysctls{Conntrack: "1", SyncThreshold: "3 50", EstimatorCPUs: "", "new_one": "a b"}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); got != `{"conntrack":"1","est_cpulist":"","new_one":"a b","sync_threshold":"3 50"}` {
		t.Error(got)
	}
	var got Sysctls
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKindTexts(t *testing.T) {
	for k := KindText; k <= KindCPUList+1; k++ {
		text, err := k.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got Kind
		if err := got.UnmarshalText(text); err != nil || got != k {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	if err := new(Kind).UnmarshalText([]byte("float")); err == nil {
		t.Error("float is a kind")
	}
}

// folder returns a namespace whose files are those given, by the names in
// procNet and, with sys/ before them, in procSys.
func folder(t *testing.T, files map[string]string) *Namespace {
	t.Helper()
	dir := t.TempDir()
	n := &Namespace{
		enter:  func(f func() error) error { return f() },
		close:  func() error { return nil },
		netDir: dir,
		sysDir: filepath.Join(dir, "sys"),
	}
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestNamespaceReads(t *testing.T) {
	n := folder(t, map[string]string{
		fileConnections: connHeading + benchmarkRows["IPv4"][0] + "bad\n",
		fileSync:        syncHeading + strings.Replace(benchmarkRows["IPv4"][0], "ESTABLISHED", "ESTABLISHED SYNC", 1),
		fileStats:       statsFile,
		filePerCPU:      perCPUFile,
		fileApps:        "prot port    usecnt name\n",
		fileStatus:      "Conns:\t2\n",
	})
	rows, errs := connections(n.Connections())
	if len(rows) != 1 || len(errs) != 1 || !isLineError(errs[0]) {
		t.Errorf("connections: %v, %v", rows, errs)
	}
	rows, errs = connections(n.SyncConnections())
	if len(rows) != 1 || errs != nil || rows[0].Origin != OriginSync {
		t.Errorf("sync connections: %v, %v", rows, errs)
	}
	if s, err := n.Stats(); err != nil || s.Connections != 7 {
		t.Errorf("stats: %+v, %v", s, err)
	}
	if s, err := n.StatsPerCPU(); err != nil || len(s.CPUs) != 2 {
		t.Errorf("stats per CPU: %+v, %v", s, err)
	}
	if a, err := n.Apps(); err != nil || len(a) != 0 {
		t.Errorf("apps: %+v, %v", a, err)
	}
	if s, err := n.Status(); err != nil || len(s) != 1 {
		t.Errorf("status: %+v, %v", s, err)
	}
}

func TestNamespaceErrors(t *testing.T) {
	stats := func(n *Namespace) error { _, err := n.Stats(); return err }
	status := func(n *Namespace) error { _, err := n.Status(); return err }
	sysctls := func(n *Namespace) error { _, err := n.Sysctls(); return err }
	set := func(name Name, v Value) func(*Namespace) error {
		return func(n *Namespace) error { return n.SetSysctl(name, v) }
	}
	conns := func(n *Namespace) error {
		_, errs := connections(n.Connections())
		return errors.Join(errs...)
	}
	tests := map[string]struct {
		files map[string]string
		do    func(*Namespace) error
		is    []error
		want  string
	}{
		"IPVS is not loaded": {
			nil, stats,
			[]error{ipvs.ErrNoIPVS, errors.ErrUnsupported, fs.ErrNotExist},
			"procfs: open ip_vs_stats in network namespace /x: no such file or directory: IPVS is not loaded (modprobe ip_vs)",
		},
		"connections without IPVS": {
			nil, conns,
			[]error{ipvs.ErrNoIPVS, fs.ErrNotExist},
			"procfs: open ip_vs_conn in network namespace /x: no such file or directory: IPVS is not loaded (modprobe ip_vs)",
		},
		"sysctls without IPVS": {
			nil, sysctls,
			[]error{ipvs.ErrNoIPVS, fs.ErrNotExist},
			"procfs: read net.ipv4.vs in network namespace /x: no such file or directory: IPVS is not loaded (modprobe ip_vs)",
		},
		"an older kernel": {
			map[string]string{fileStats: statsFile},
			status,
			[]error{errors.ErrUnsupported, fs.ErrNotExist},
			"procfs: open ip_vs_status in network namespace /x: no such file or directory: Linux has it from 7.1 on",
		},
		"a broken file": {
			map[string]string{fileStats: statsHeading + "x\n"},
			stats,
			nil,
			`procfs: read ip_vs_stats in network namespace /x: line 3: column 1 is "x": want a hexadecimal number: "x"`,
		},
		"another file": {
			map[string]string{fileConnections: "what\n"},
			conns,
			[]error{ErrFormat},
			`procfs: read ip_vs_conn in network namespace /x: not a file of IPVS of this kind: want the heading of the connection table, which begins with "Pro", got "what"`,
		},
		"a value out of range": {
			map[string]string{fileStats: statsFile, "sys/sync_retries": "0\n"},
			set(SyncRetries, "4"),
			[]error{ipvs.ErrInvalid, fs.ErrInvalid},
			"procfs: set net.ipv4.vs.sync_retries to 4 in network namespace /x: want a number from 0 to 3",
		},
		"a module is missing": {
			map[string]string{fileStats: statsFile, "sys/sync_retries": "0\n"},
			set(LBLCExpiration, "60"),
			[]error{errors.ErrUnsupported, fs.ErrNotExist},
			"procfs: set net.ipv4.vs.lblc_expiration to 60 in network namespace /x: no such file or directory: this kernel's IPVS does not have it here (it is there: while the module ip_vs_lblc is loaded)",
		},
		"an unknown sysctl": {
			map[string]string{fileStats: statsFile, "sys/sync_retries": "0\n"},
			set("new_one", "a  b"),
			[]error{errors.ErrUnsupported, fs.ErrNotExist},
			`procfs: set net.ipv4.vs.new_one to "a b" in network namespace /x: no such file or directory: this kernel does not know it, check the name`,
		},
		"no name at all": {
			map[string]string{fileStats: statsFile},
			set("../x", "1"),
			[]error{ipvs.ErrInvalid},
			"procfs: set net.ipv4.vs.../x to 1 in network namespace /x: no name of a sysctl: want letters, digits and _",
		},
		"sysctls are not read beyond all measure": {
			map[string]string{fileStats: statsFile, "sys/new_one": strings.Repeat("x", maxSysctl+1)},
			sysctls,
			[]error{errTooLarge},
			"procfs: read net.ipv4.vs.new_one in network namespace /x: the file is longer than any that the kernel writes",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n := folder(t, tt.files)
			n.path = "/x"
			err := tt.do(n)
			if err == nil {
				t.Fatal("no error")
			}
			// Windows has its own words for a missing file.
			text := strings.NewReplacer("The system cannot find the path specified.", "no such file or directory",
				"The system cannot find the file specified.", "no such file or directory").Replace(err.Error())
			if diff := cmp.Diff(tt.want, text); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, is := range tt.is {
				if !errors.Is(err, is) {
					t.Errorf("it is not %v", is)
				}
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%#v is no *Error", err)
			}
			if e.Hint() != "" && !strings.HasSuffix(text, e.Hint()) {
				t.Errorf("hint %q", e.Hint())
			}
		})
	}
}

func TestRestoreSysctls(t *testing.T) {
	n := folder(t, map[string]string{
		fileStats: statsFile, "sys/conntrack": "0\n", "sys/sync_threshold": "3\t50\n", "sys/new_one": "x\n", "sys/pmtu_disc": "1\n",
	})
	saved, err := n.Sysctls()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Sysctls{Conntrack: "0", SyncThreshold: "3 50", "new_one": "x", PMTUDiscovery: "1"}, saved); diff != "" {
		t.Fatalf("read (-want +got):\n%s", diff)
	}
	for name, v := range map[Name]Value{Conntrack: "1", SyncThreshold: "5 100", "new_one": "y"} {
		if err := n.SetSysctl(name, v); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(n.sysDir, string(SyncThreshold))); err != nil || string(text) != "5 100\n" {
		t.Errorf("written: %q, %v", text, err)
	}
	// What is absent does not keep the rest from coming back.
	saved[LBLCExpiration], saved[EstimatorNice] = "60", "1"
	err = n.RestoreSysctls(saved)
	got, err2 := n.Sysctls()
	if err2 != nil {
		t.Fatal(err2)
	}
	delete(saved, LBLCExpiration)
	delete(saved, EstimatorNice)
	if diff := cmp.Diff(saved, got); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if err == nil || strings.Count(err.Error(), "procfs: set") != 2 || !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("error %v, want two", err)
	}
	if i, j := strings.Index(err.Error(), "est_nice"), strings.Index(err.Error(), "lblc"); i < 0 || j < i {
		t.Errorf("not in the order of names: %v", err)
	}
	if err := n.RestoreSysctls(got); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
}

func ExampleDiffSysctls() {
	have := Sysctls{Conntrack: "0", SyncThreshold: "3 50"}
	for _, c := range DiffSysctls(have, Sysctls{Conntrack: BoolValue(true), SyncThreshold: ThresholdValue(3, 100)}) {
		fmt.Println(c)
	}
	// Output:
	// set net.ipv4.vs.conntrack to 1 (is 0)
	// set net.ipv4.vs.sync_threshold to "3 100" (is "3 50")
}

func FuzzCPUList(f *testing.F) {
	for _, s := range []string{"", "0", "0-3,8", "0-31:1/2", "all", "N", "a"} {
		f.Add(s)
	}
	s, _ := LookupSysctl(EstimatorCPUs)
	f.Fuzz(func(t *testing.T, text string) {
		v := normalValue(text)
		if s.Validate(v) == nil && strings.Trim(string(v), "0123456789,-:/Nal") != "" {
			t.Errorf("%q passes", v)
		}
		if w := normalValue(string(v)); w != v || !slices.Equal(strings.Fields(text), strings.Fields(string(v))) {
			t.Errorf("%q becomes %q and %q", text, v, w)
		}
	})
}
