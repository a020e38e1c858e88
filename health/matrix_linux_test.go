package health_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// cell is one check before one server.
type cell struct {
	name    string
	check   health.Checker
	target  health.Target
	timeout time.Duration
	// wants are the verdicts of the rounds in turn.
	wants []health.Verdict
	// reason must be in every reason, which begins with a phase anyway.
	reason string
	// share is how many of the matrix's rounds this cell gets: one in share.
	share int
	// inOrder has the rounds one after the other.
	inOrder bool
}

const (
	// little is the time-out of checks that are meant to run into it.
	little = 50 * time.Millisecond
	// beyond is by how much a check may end after its time-out, the time
	// when this machine had no processor to spare apart.
	beyond = 50 * time.Millisecond
	// matrixRounds is how often each cell is played, those that cost much
	// less often: more than 10,000 checks in all.
	matrixRounds = 8
)

// Every kind of check meets every way to go wrong: the right verdict and a
// reason that names the phase, in time, and nothing is left of 10,000 rounds.
// LVSKIT_SOAK=2m plays on for so long.
func TestMatrix(t *testing.T) {
	soak := time.Duration(0)
	if text := os.Getenv("LVSKIT_SOAK"); text != "" {
		var err error
		if soak, err = time.ParseDuration(text); err != nil {
			t.Fatal("LVSKIT_SOAK:", err)
		}
	}
	t.Setenv("LVSKIT_TEST_FAMILY", fmt.Sprintf("matrix-%d-%d", os.Getpid(), time.Now().UnixNano()))
	before := belongings(t)
	t.Run("play", func(t *testing.T) {
		cells := matrixCells(t)
		awake := newWitness(t)
		played := 0
		for start := time.Now(); played == 0 || time.Since(start) < soak; {
			played += playAll(t, cells, awake)
		}
		if played < 10_000 {
			t.Errorf("only %d rounds", played)
		}
		t.Logf("%d rounds of %d cells", played, len(cells))
	})
	after := belongings(t)
	for wait := 0; after.more(before) && wait < 100; wait++ {
		time.Sleep(50 * time.Millisecond)
		after = belongings(t)
	}
	if after.more(before) {
		t.Errorf("before %+v, and after %+v", before, after)
	}
}

// playAll plays every cell, and returns how many checks that were.
func playAll(t *testing.T, cells []cell, awake *witness) int {
	t.Helper()
	late := make([][]time.Duration, len(cells))
	var mu sync.Mutex
	jobs := make(chan func())
	var workers sync.WaitGroup
	for range 48 {
		workers.Go(func() {
			for job := range jobs {
				job()
			}
		})
	}
	played := 0
	for round := range matrixRounds {
		for i := range cells {
			c := &cells[i]
			if round%max(c.share, 1) != 0 || c.inOrder && round > 0 {
				continue
			}
			rounds := 1
			if c.inOrder {
				rounds = matrixRounds
			}
			played += rounds
			jobs <- func() {
				for n := round; n < round+rounds; n++ {
					over := c.play(t, n, awake)
					mu.Lock()
					late[i] = append(late[i], over)
					mu.Unlock()
				}
			}
		}
	}
	close(jobs)
	workers.Wait()
	var worst time.Duration
	tardy := 0
	for i, over := range late {
		// What a check does wrong it does every time; a late round among good
		// ones is this machine's, beyond what the witness has seen.
		least := slices.Min(over)
		if least > beyond {
			t.Errorf("%s ends %v after its time-out of %v", cells[i].name, least, cells[i].timeout)
		}
		worst = max(worst, least)
		for _, d := range over {
			if d > beyond {
				tardy++
			}
		}
	}
	t.Logf("the latest kind of check ends %v after its time-out; %d of %d rounds end later than %v", worst, tardy, played, beyond)
	return played
}

// A check that we end ourselves, whatever it waits for, has no result and ends
// at once.
func TestMatrixCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	asked := 0
	for _, c := range matrixCells(t) {
		waits := false
		for _, title := range []string{"says nothing", "is a black hole", "drips", "hangs", "is deaf", "stops itself", "is silent", "no session"} {
			waits = waits || strings.HasSuffix(c.name, title)
		}
		if !waits {
			continue
		}
		asked++
		all.Go(func() {
			began := time.Now()
			r := c.check.Check(ctx, c.target)
			if r.Verdict != health.NoResult || !strings.Contains(r.Reason, "cancelled by us") {
				t.Errorf("%s: %v, %q", c.name, r.Verdict, r.Reason)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s: it went on for %v", c.name, took)
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	cancel()
	all.Wait()
	if asked < 50 {
		t.Errorf("only %d checks that wait", asked)
	}
}

// play asks once and returns by how much the check came too late.
func (c *cell) play(t *testing.T, round int, awake *witness) time.Duration {
	start := time.Now()
	ctx, cancel := context.WithDeadline(t.Context(), start.Add(c.timeout))
	defer cancel()
	r := c.check.Check(ctx, c.target)
	end := time.Now()
	last := ""
	if len(r.Phases) > 0 {
		last = r.Phases[len(r.Phases)-1].Name + ": "
	}
	if want := c.wants[round%len(c.wants)]; r.Verdict != want || !strings.Contains(r.Reason, c.reason) {
		t.Errorf("%s: %v, %q; want %v with %q", c.name, r.Verdict, r.Reason, want, c.reason)
	}
	if !strings.Contains(r.Reason, last) || last == "" || len(r.Reason) > health.MaxReason || strings.ContainsAny(r.Reason, "\n\r") || len(r.Seen) > health.MaxSeen {
		t.Errorf("%s: reason %q, last phase %q, seen %d bytes", c.name, r.Reason, last, len(r.Seen))
	}
	deadline := start.Add(c.timeout)
	if !end.After(deadline) {
		return 0
	}
	return end.Sub(deadline) - awake.asleep(deadline, end)
}

// matrixCells are all kinds before all servers.
func matrixCells(t *testing.T) []cell {
	rows := matrixRows(t)
	needed := map[string]bool{}
	for _, k := range health.Kinds() {
		needed[k.Name] = true
		if _, ok := rows[k.Name]; !ok {
			t.Errorf("the kind %s is not in the matrix: give it a row in matrixRows", k.Name)
		}
	}
	hole, refused := healthtest.BlackHole(t), refusedForGood(t)
	var cells []cell
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		row := rows[name]
		kind, _, _ := strings.Cut(name, " ")
		kind = strings.TrimSuffix(strings.TrimSuffix(kind, ","), "'s")
		if !needed[kind] {
			t.Errorf("there is no kind %s any more", kind)
			continue
		}
		switch {
		case row.alone != nil:
			cells = append(cells, row.alone(t, kind)...)
		case row.answer != nil:
			cells = append(cells, udpCells(t, name, kind, row, refused)...)
		default:
			if !row.secret {
				cells = append(cells, tcpCells(t, name, must(kindOf(kind, row.options)), row, func(b healthtest.Behavior) healthtest.Behavior { return b }, hole, refused)...)
			}
			if !row.plain {
				cells = append(cells, tlsCells(t, name, kind, row, hole, refused)...)
			}
		}
	}
	pong := matrixRow{server: healthtest.Answer("pong")}
	for name, c := range composites() {
		pong.many = name != "dialogue"
		cells = append(cells, tcpCells(t, name, c, pong, func(b healthtest.Behavior) healthtest.Behavior { return b }, hole, refused)...)
		// The contrary of a check that goes wrong is OK, and never no result.
		contrary := tcpCells(t, "not "+name, must(health.NewNot(c)), pong, func(b healthtest.Behavior) healthtest.Behavior { return b }, hole, refused)
		for i := range contrary {
			contrary[i].wants = slices.Clone(contrary[i].wants)
			for j, v := range contrary[i].wants {
				contrary[i].wants[j] = health.OK + health.Fail - v
			}
			// And at another port than the target's.
			contrary[i].check = must(health.NewOnPort(contrary[i].check, contrary[i].target.Addr.Port()))
			contrary[i].target.Addr = netip.AddrPortFrom(contrary[i].target.Addr.Addr(), 1)
		}
		cells = append(cells, contrary...)
	}
	return cells
}

func kindOf(name string, options map[string]string) (health.Checker, error) {
	for _, k := range health.Kinds() {
		if k.Name == name {
			return k.New(options)
		}
	}
	return nil, fmt.Errorf("no kind %q", name)
}

var (
	oks   = []health.Verdict{health.OK}
	fails = []health.Verdict{health.Fail}
	nones = []health.Verdict{health.NoResult}
)

// tcpCells are a check before all servers over TCP; wrap makes of a behaviour
// that of the server.
func tcpCells(t *testing.T, name string, c health.Checker, row matrixRow, wrap func(healthtest.Behavior) healthtest.Behavior, hole, refused netip.AddrPort) []cell {
	at := func(title string, addr netip.AddrPort, timeout time.Duration, wants []health.Verdict, reason string) cell {
		return cell{name: name + ", a server that " + title, check: c, target: health.Target{Addr: addr}, timeout: timeout, wants: wants, reason: reason}
	}
	with := func(title string, b healthtest.Behavior, timeout time.Duration, wants []health.Verdict, reason string) cell {
		return at(title, healthtest.NewServer(t, b).Addr(), timeout, wants, reason)
	}
	cells := []cell{
		with("serves", wrap(row.server), short, oks, ""),
		at("is a black hole", hole, little, fails, "connect: no answer within"),
		at("refuses", refused, short, fails, "connect: refused"),
	}
	if row.content {
		return cells
	}
	if !row.many {
		flapping := with("flaps", healthtest.Flapping(wrap(row.server), healthtest.Reset()), short, []health.Verdict{health.OK, health.Fail}, "")
		flapping.inOrder = true
		cells = append(cells, flapping, with("drips the right answer", healthtest.Slowly(time.Second, wrap(row.server)), little, fails, "no answer"))
	}
	cells = append(
		cells,
		with("closes after a byte", healthtest.CutAfter(1, wrap(row.server)), short, fails, ""),
	)
	for title, b := range healthtest.Misbehaviors() {
		cells = append(cells, with(title, wrap(b), little, fails, ""))
	}
	if row.frames {
		for title, b := range healthtest.HTTP2Misbehaviors() {
			cells = append(cells, with(title, wrap(b), little, fails, ""))
		}
	}
	return cells
}

// tlsCells are a check before all servers over TLS, and before those that go
// wrong while they shake hands.
func tlsCells(t *testing.T, name, kind string, row matrixRow, hole, refused netip.AddrPort) []cell {
	const host = "www.example.com"
	right, roots := healthtest.Certificate(t, host)
	wrong, others := healthtest.Certificate(t, "other.example")
	unknown, _ := healthtest.Certificate(t, host)
	file := filepath.Join(t.TempDir(), "roots")
	if err := os.WriteFile(file, append(roots, others...), 0o600); err != nil {
		t.Fatal(err)
	}
	options := map[string]string{"tls-name": host, "tls-roots": file}
	maps.Copy(options, row.options)
	c := must(kindOf(kind, options))
	upgrade := row.upgrade
	if upgrade == nil {
		upgrade = func(b healthtest.Behavior) healthtest.Behavior { return b }
	}
	if row.frames {
		right.NextProtos, wrong.NextProtos, unknown.NextProtos = []string{"h2"}, []string{"h2"}, []string{"h2"}
	}
	over := func(b healthtest.Behavior) healthtest.Behavior { return upgrade(healthtest.OverTLS(right, b)) }
	cells := tcpCells(t, name+" over TLS", c, row, over, hole, refused)
	for title, server := range map[string]struct {
		b       healthtest.Behavior
		timeout time.Duration
		reason  string
	}{
		"has a certificate for another name": {healthtest.OverTLS(wrong, row.server), short, "tls: failed to verify certificate: x509: certificate is valid for other.example, not " + host},
		"has a certificate of a stranger":    {healthtest.OverTLS(unknown, row.server), short, "tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		"drips the handshake":                {healthtest.Slowly(time.Second, healthtest.OverTLS(right, row.server)), little, "no answer within"},
		"closes in the handshake":            {healthtest.CutAfter(100, healthtest.OverTLS(right, row.server)), short, "tls: "},
		"resets before the handshake":        {healthtest.Reset(), short, ""},
	} {
		cells = append(cells, cell{
			name: name + " over TLS, a server that " + title, check: c, timeout: server.timeout, wants: fails, reason: server.reason,
			target: health.Target{Addr: healthtest.NewServer(t, upgrade(server.b)).Addr()},
		})
	}
	for title, b := range healthtest.Misbehaviors() {
		cells = append(cells, cell{
			name: name + " over TLS, instead of a handshake a server " + title, check: c, timeout: little, wants: fails,
			target: health.Target{Addr: healthtest.NewServer(t, upgrade(b)).Addr()},
		})
	}
	return cells
}

// udpCells are a check before all servers over UDP.
func udpCells(t *testing.T, name, kind string, row matrixRow, refused netip.AddrPort) []cell {
	at := func(title string, addr netip.AddrPort, timeout time.Duration, wants []health.Verdict, reason string) cell {
		options := maps.Clone(row.options)
		if row.port != "" {
			options = map[string]string{row.port: fmt.Sprint(addr.Port())}
		}
		return cell{
			name: name + ", a server that " + title, check: must(kindOf(kind, options)), target: health.Target{Addr: addr},
			timeout: timeout, wants: wants, reason: reason,
		}
	}
	cells := []cell{
		at("serves", healthtest.NewUDPServer(t, row.answer).Addr(), short, oks, ""),
		at("refuses", refused, short, fails, ": refused; nothing listens there"),
	}
	for title, b := range healthtest.DatagramMisbehaviors(row.answer) {
		if row.blind && (title == "answers the question before" || title == "answers cut off") {
			continue
		}
		s := healthtest.NewUDPServer(t, row.answer)
		s.Set(b)
		m := at(title, s.Addr(), little, fails, "")
		if title == "floods" {
			m.share = 2 // it goes on for a second after each
		}
		cells = append(cells, m)
	}
	return cells
}

// witness notes when nobody on this machine could run.
type witness struct {
	mu   sync.Mutex
	naps []nap
}

// nap is a wait that was to end at one time and ended at another.
type nap struct{ planned, woke time.Time }

func newWitness(t *testing.T) *witness {
	w := &witness{}
	var running sync.WaitGroup
	stop := make(chan struct{})
	running.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			planned := time.Now().Add(time.Millisecond)
			time.Sleep(time.Millisecond)
			if woke := time.Now(); woke.Sub(planned) > time.Millisecond {
				w.mu.Lock()
				w.naps = append(w.naps, nap{planned, woke})
				w.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() { close(stop); running.Wait() })
	return w
}

// asleep is how much of the time between two moments the witness overslept.
func (w *witness) asleep(from, to time.Time) (all time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.naps) - 1; i >= 0 && w.naps[i].woke.After(from); i-- {
		begin, end := w.naps[i].planned, w.naps[i].woke
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		all += max(end.Sub(begin), 0)
	}
	return all
}

// things are what checks must not leave behind.
type things struct{ goroutines, descriptors, processes int }

func (a things) more(than things) bool {
	return a.goroutines > than.goroutines || a.descriptors > than.descriptors || a.processes > than.processes
}

// belongings counts what this process has, and every process that descends
// from it: those whose environment has the name of the family.
func belongings(t *testing.T) things {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	family := "LVSKIT_TEST_FAMILY=" + os.Getenv("LVSKIT_TEST_FAMILY")
	all := things{goroutines: runtime.NumGoroutine(), descriptors: len(fds)}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		stat, _ := os.ReadFile(dir + "/stat") // gone by now, perhaps
		_, after, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(after)
		environ, _ := os.ReadFile(dir + "/environ")
		// A zombie has no environment, but a parent.
		if len(fields) > 1 && fields[1] == fmt.Sprint(os.Getpid()) || strings.Contains(string(environ), family) {
			all.processes++
		}
	}
	return all
}

// refusedForGood returns an address that refuses TCP and UDP until the test
// ends. Both ports are taken, so that no server of another cell gets them: one is
// not listened on, the other hears but one peer.
func refusedForGood(t *testing.T) netip.AddrPort {
	t.Helper()
	local := unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	take := func(kind int) (fd int, err error) {
		if fd, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd, unix.Bind(fd, &local)
	}
	for range 20 {
		local.Port = 0
		fd, err := take(unix.SOCK_STREAM)
		if err != nil {
			t.Fatal(err)
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		local.Port = name.(*unix.SockaddrInet4).Port
		udp, err := take(unix.SOCK_DGRAM)
		if err != nil {
			continue // somebody else's; the next one may be free
		}
		if err := unix.Connect(udp, &local); err != nil { // to itself alone
			t.Fatal(err)
		}
		return netip.AddrPortFrom(netip.AddrFrom4(local.Addr), uint16(local.Port))
	}
	t.Fatal("no port is free for both")
	return netip.AddrPort{}
}
