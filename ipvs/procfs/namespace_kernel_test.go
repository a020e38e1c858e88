//go:build linux && kernel

package procfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

// onThread runs f on a thread of its own, which ends with it.
func onThread(f func()) {
	_ = onOwnThread(func() error { f(); return nil })
}

func TestKernelTotals(t *testing.T) {
	d := newDirector(t, lab.New(t), "director")
	d.listen(t, "127.0.0.1:8080")
	d.add(t, ipvs.Service{Key: ipvs.TCPService(ap("127.0.0.2:80"))}, "127.0.0.1:8080", ipvs.Masquerade)
	d.add(t, ipvs.Service{Key: ipvs.UDPService(ap("127.0.0.2:53"))}, "127.0.0.1:53", ipvs.Masquerade)
	const n = 4
	for i := range n {
		d.connect(t, "127.0.0.2:80")
		d.send(t, fmt.Sprintf("127.0.0.1:%d", 4000+i), "127.0.0.2:53", "0123456789", 0)
	}
	var total, services ipvs.Stats
	// The kernel totals its counters every two seconds, those of each service
	// and the whole at moments of their own.
	counters := func(s ipvs.Stats) ipvs.Stats {
		s.CPS, s.InPPS, s.OutPPS, s.InBPS, s.OutBPS = 0, 0, 0, 0, 0
		return s
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		snap, err := d.client.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		services = ipvs.Stats{}
		for _, e := range snap {
			s := e.Service.Stats
			services.Connections += s.Connections
			services.InPackets += s.InPackets
			services.OutPackets += s.OutPackets
			services.InBytes += s.InBytes
			services.OutBytes += s.OutBytes
		}
		if total, err = d.files.Stats(); err != nil {
			t.Fatal(err)
		}
		if total.Connections == 2*n && counters(total) == services && total.CPS > 0 && total.InPackets >= 3*n {
			break
		}
	}
	if total.Connections != 2*n || total.CPS == 0 || total.InPackets < 3*n || total.InBytes <= total.InPackets {
		t.Errorf("total of %d connections: %+v", 2*n, total)
	}
	if diff := cmp.Diff(services, counters(total)); diff != "" {
		t.Errorf("(-services +total):\n%s", diff)
	}

	perCPU, err := d.files.StatsPerCPU()
	if err != nil {
		t.Fatal(err)
	}
	var sum ipvs.Stats
	for i, c := range perCPU.CPUs {
		if c.CPU != i {
			t.Errorf("processor %d is called %d", i, c.CPU)
		}
		sum.Connections += c.Stats.Connections
		sum.InBytes += c.Stats.InBytes
	}
	if len(perCPU.CPUs) < runtime.NumCPU() || sum.Connections != 2*n || counters(perCPU.Total) != counters(total) || sum.InBytes != total.InBytes {
		t.Errorf("per CPU: %+v, total %+v", perCPU, total)
	}

	// Zeroing moves the total and leaves the processors' counters.
	if err := d.client.ZeroAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if perCPU, err = d.files.StatsPerCPU(); err != nil {
		t.Fatal(err)
	}
	kept := uint64(0) // on whichever processor the connections came
	for _, c := range perCPU.CPUs {
		kept += c.Stats.Connections
	}
	if perCPU.Total.Connections != 0 || kept != 2*n {
		t.Errorf("zeroed: %+v", perCPU)
	}
}

func TestKernelApps(t *testing.T) {
	apps, err := newDirector(t, lab.New(t), "director").files.Apps()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range apps { // built in, or a module that is not loaded
		if a != (App{Protocol: ipvs.TCP, Port: 21, Name: "ftp"}) {
			t.Errorf("%+v", a)
		}
	}
}

func TestKernelStatusIsNewer(t *testing.T) {
	s, err := newDirector(t, lab.New(t), "director").files.Status()
	if err == nil {
		if _, ok := s.Get("Conns"); !ok {
			t.Errorf("%+v", s)
		}
		return
	}
	if !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, ipvs.ErrNoIPVS) || !strings.Contains(err.Error(), "7.1") {
		t.Error(err)
	}
}

func TestKernelSysctls(t *testing.T) {
	l := lab.New(t)
	d, other := newDirector(t, l, "director"), newDirector(t, l, "other")
	saved, err := d.files.Sysctls()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(saved)) {
		s, known := LookupSysctl(name)
		if !known {
			t.Errorf("%s is not in the table", name)
		}
		if s.Default != "" && saved[name] != s.Default {
			t.Errorf("%s is %q, the table says %q", name, saved[name], s.Default)
		}
		if err := s.Validate(saved[name]); err != nil {
			t.Errorf("%s: the kernel's %q: %v", name, saved[name], err)
		}
	}
	// What is in all kernels is here too.
	for _, s := range KnownSysctls() {
		if _, ok := saved[s.Name]; !ok && s.Since == "" {
			t.Errorf("%s is absent", s.Name)
		}
	}
	before, err := other.files.Sysctls()
	if err != nil {
		t.Fatal(err)
	}

	// Every sysctl takes another value, but what is read-only here.
	want := maps.Clone(saved)
	for name, v := range saved {
		switch s, _ := LookupSysctl(name); {
		case name == DebugLevel:
			continue
		case s.Kind == KindThreshold:
			want[name] = ThresholdValue(5, 100)
		case s.Kind == KindCPUList:
			want[name] = ""
		case s.Kind == KindMode:
			want[name] = "3"
		case s.Kind == KindPowerOfTwo:
			want[name] = "4"
		case v == "0":
			want[name] = "1"
		case v == "1":
			want[name] = "0"
		default:
			want[name] = "77"
		}
	}
	for _, c := range DiffSysctls(saved, want) {
		if err := d.files.SetSysctl(c.Name, c.New); err != nil {
			t.Error(err)
		}
	}
	got, err := d.files.Sysctls()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	if err := d.files.RestoreSysctls(saved); err != nil {
		t.Error(err)
	}
	if got, err = d.files.Sysctls(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(saved, got); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	after, err := other.files.Sysctls()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("another namespace (-before +after):\n%s", diff)
	}
}

func TestKernelSysctlErrors(t *testing.T) {
	d := newDirector(t, lab.New(t), "director")
	refused := func(name Name, v Value, is error, text string) {
		t.Helper()
		err := d.files.SetSysctl(name, v)
		if !errors.Is(err, is) || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %v with %q", err, is, text)
		}
	}
	refused("no_such", "1", errors.ErrUnsupported, "check the name")
	refused(ConnMax, "1", errors.ErrUnsupported, "proposed")
	refused(SyncRetries, "9", ipvs.ErrInvalid, "0 to 3")
	if saved, err := d.files.Sysctls(); err != nil {
		t.Error(err)
	} else if _, ok := saved[DebugLevel]; ok {
		// Root's rights do not help with a file that has none for writing;
		// the kernel would have to let it pass first.
		refused(DebugLevel, "1", fs.ErrPermission, "read-only")
	}
	// What passes our check and not the kernel's.
	s, _ := LookupSysctl(SyncVersion)
	if s.Validate("2") == nil {
		t.Fatal("2 passes")
	}
	err := d.files.RestoreSysctls(Sysctls{SyncVersion: "2", Conntrack: "1"})
	if !errors.Is(err, ipvs.ErrInvalid) || !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "0 to 1") {
		t.Errorf("from the kernel: %v", err)
	}
	if got, err := d.files.Sysctls(); err != nil || got[Conntrack] != "1" {
		t.Errorf("the rest is not restored: %v, %v", got, err)
	}
}

func TestKernelSysctlsNeedRights(t *testing.T) {
	d := newDirector(t, lab.New(t), "director")
	onThread(func() {
		own, err := Open("")
		if err != nil {
			t.Error(err)
			return
		}
		defer own.Close()
		const nobody = 65534
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 { // this thread only
			t.Error(errno)
			return
		}
		if _, err := own.Stats(); err != nil {
			t.Errorf("totals are open to all: %v", err)
		}
		set, err := own.Sysctls()
		if err != nil || set[SyncVersion] == "" {
			t.Errorf("sysctls are open to all: %v, %v", set, err)
		}
		err = own.SetSysctl(Conntrack, "0")
		if !errors.Is(err, ipvs.ErrNotPermitted) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Errorf("set: %v", err)
		}
	})
	// A thread made by such a one has no rights either.
	onThread(func() {
		f, err := os.Open(d.Path())
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		const nobody = 65534
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			t.Error(errno)
			return
		}
		err = setns(f)
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "CAP_SYS_ADMIN") {
			t.Errorf("enter: %v", err)
		}
	})
}

// TestKernelUserNamespace has a user namespace of its own, in which root is
// nobody outside. The test runs itself there.
func TestKernelUserNamespace(t *testing.T) {
	const child = "LVSKIT_TEST_USERNS"
	if os.Getenv(child) == "" {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("in the user namespace: %v\n%s", err, out)
		}
		return
	}
	n, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	set, err := n.Sysctls()
	if err != nil {
		t.Errorf("sysctls: %v", err)
	}
	if len(set) == 0 { // Linux 6.1
		err := n.SetSysctl(Conntrack, "1")
		if !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, ipvs.ErrNoIPVS) || !strings.Contains(err.Error(), "hides") {
			t.Errorf("what is hidden: %v", err)
		}
	} else {
		if err := n.SetSysctl(Conntrack, "1"); err != nil {
			t.Errorf("what belongs to the namespace: %v", err)
		}
		err = n.SetSysctl(SyncQueueMax, "1")
		if !errors.Is(err, ipvs.ErrNotPermitted) || !strings.Contains(err.Error(), "some are read-only") {
			t.Errorf("what is read-only there: %v", err)
		}
	}
	if _, errs := connections(n.Connections()); errs != nil {
		t.Errorf("connections: %v", errs)
	}
	if _, err := Open("/proc/1/ns/net"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the namespace outside: %v", err)
	}
}

// TestKernelFilesKeepTheirNamespace reads files after the thread that opened
// them is gone.
func TestKernelFilesKeepTheirNamespace(t *testing.T) {
	l := lab.New(t)
	a, b := newDirector(t, l, "a"), newDirector(t, l, "b")
	a.fill(t, 300) // more than one page
	if err := a.files.SetSysctl(SyncThreshold, "7 70"); err != nil {
		t.Fatal(err)
	}
	open := func(d *director) (table, sysctl *os.File) {
		table, err := d.files.open(fileConnections)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { table.Close() })
		err = d.files.enter(func() (err error) {
			if unix.Gettid() == unix.Getpid() {
				return errors.New("the first thread of the process was moved")
			}
			sysctl, err = os.Open(procSys + "/" + string(SyncThreshold))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sysctl.Close() })
		return table, sysctl
	}
	ta, sa := open(a)
	tb, sb := open(b)
	for name, tt := range map[string]struct {
		table, sysctl *os.File
		rows          int
		threshold     Value
	}{"a": {ta, sa, 300, "7 70"}, "b": {tb, sb, 0, "3 50"}} {
		rows, errs := connections(ParseConnections(tt.table))
		if len(rows) != tt.rows || errs != nil {
			t.Errorf("%s: %d rows, %v", name, len(rows), errs)
		}
		text, err := io.ReadAll(tt.sysctl)
		if v := normalValue(string(text)); v != tt.threshold || err != nil {
			t.Errorf("%s: threshold %q, %v", name, v, err)
		}
	}
}

func TestKernelOpen(t *testing.T) {
	d := newDirector(t, lab.New(t), "director")
	if err := d.files.SetSysctl(SyncRetries, "2"); err != nil {
		t.Fatal(err)
	}
	retries := func(n *Namespace, err error) Value {
		t.Helper()
		if err != nil {
			t.Error(err)
			return ""
		}
		defer n.Close()
		set, err := n.Sysctls()
		if err != nil {
			t.Error(err)
		}
		return set[SyncRetries]
	}
	f, err := os.Open(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	n, err := Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	f.Close() // ours is another one
	if v := retries(n, err); v != "2" {
		t.Errorf("by descriptor: retries are %q", v)
	}
	// Without a path it is the thread's, and stays that when used elsewhere.
	err = d.Do(func() (err error) {
		n, err = Open("")
		return err
	})
	if v := retries(n, err); v != "2" {
		t.Errorf("of a thread: retries are %q", v)
	}
	if v := retries(Open("")); v != "0" {
		t.Errorf("of this process: retries are %q", v)
	}
	// The caller's thread and the process stay where they were.
	onThread(func() {
		before, err := os.Readlink(threadNamespace)
		if err != nil {
			t.Error(err)
		}
		for range 50 {
			if _, err := d.files.Stats(); err != nil {
				t.Error(err)
			}
		}
		after, err := os.Readlink(threadNamespace)
		if err != nil || after != before {
			t.Errorf("the thread was in %s and is in %s, %v", before, after, err)
		}
		if self, err := os.Readlink("/proc/self/ns/net"); err != nil || self != before {
			t.Errorf("the process is in %s, %v", self, err)
		}
	})
	if threads, err := os.ReadDir("/proc/self/task"); err != nil || len(threads) > 40 {
		t.Errorf("%d threads are left, %v", len(threads), err)
	}

	for path, is := range map[string]error{"/no/such": fs.ErrNotExist, "/proc/self/status": fs.ErrInvalid} {
		n, err := Open(path)
		if err == nil {
			n.Close()
		}
		if !strings.Contains(fmt.Sprint(err), path) || is == fs.ErrNotExist && !errors.Is(err, is) || is == fs.ErrInvalid && !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v", path, err)
		}
	}
	d.files.Close()
	if _, err := d.files.Stats(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
