package failover

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover/pulse"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// inMemory starts keepers in this process, each at the other end of a pipe.
type inMemory struct {
	mu      sync.Mutex
	keepers []*keeper
	ends    []chan struct{}
	conns   []net.Conn // of the keepers
}

func (i *inMemory) spawn(*BeatConfig) (*process, error) {
	ours, theirs := net.Pipe()
	k, end := newKeeper(theirs), make(chan struct{})
	i.mu.Lock()
	i.keepers, i.ends, i.conns = append(i.keepers, k), append(i.ends, end), append(i.conns, theirs)
	i.mu.Unlock()
	go func() {
		defer close(end)
		_ = k.run(processReport{Priority: "in memory"})
		// A process would end here, with what it has left alone.
		k.mu.Lock()
		for _, w := range k.wards {
			w.stop()
		}
		k.mu.Unlock()
		k.work.Wait()
	}()
	return &process{
		link: linkOver(ours), pid: len(i.keepers), kill: func() { _ = theirs.Close() },
		wait: func() error { <-end; return errors.New("signal: killed") },
	}, nil
}

// newest is the keeper that was started last.
func (i *inMemory) newest() (*keeper, net.Conn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keepers[len(i.keepers)-1], i.conns[len(i.conns)-1]
}

// script is what a hook and OnEvent were told.
type script struct {
	mu    sync.Mutex
	lines []string
}

func (s *script) add(line string) {
	s.mu.Lock()
	s.lines = append(s.lines, line)
	s.mu.Unlock()
}

func (s *script) has(line string) bool { return s.count(line) > 0 }

func (s *script) count(line string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if strings.Contains(l, line) {
			n++
		}
	}
	return n
}

func (s *script) hook(_ context.Context, r Role) error { s.add("hook " + r.String()); return nil }
func (s *script) event(e Event)                        { s.add(e.String()) }

func waitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("%s: not within ten seconds", what)
}

// apart runs a beat with one node alone, whose configuration may be changed.
func apart(t *testing.T, change func(*Config)) (*Node, *Beat, *inMemory, *script, func()) {
	t.Helper()
	return apartWith(t, &BeatConfig{}, change)
}

func apartWith(t *testing.T, b *BeatConfig, change func(*Config)) (*Node, *Beat, *inMemory, *script, func()) {
	t.Helper()
	world, s := new(inMemory), new(script)
	b.OnEvent = s.event
	beat := newBeat(b, world.spawn)
	c := &Config{Beat: beat, OnRole: s.hook, OnEvent: s.event, Interval: 10 * time.Millisecond}
	if change != nil {
		change(c)
	}
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := beat.Run(ctx); err != nil {
			t.Errorf("Beat.Run: %v", err)
		}
	})
	work.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); work.Wait() })
	t.Cleanup(stop)
	return n, beat, world, s, stop
}

func TestNodeInABeatProcess(t *testing.T) {
	n, beat, _, s, stop := apart(t, nil)
	if err := n.Yield(); err == nil {
		t.Error("a node that has not begun hands over")
	}
	n.SetFault("not yet")
	waitFor(t, "the fault", func() bool { return n.Status().Reason == "fault: not yet" })
	n.SetFault("")
	waitFor(t, "active", func() bool { return n.Status().Serving })
	if st := beat.Status(); st.Priority != "in memory" || st.Starts != 1 || st.Error != "" {
		t.Errorf("beat %+v", st)
	}
	if err := n.Yield(); !errors.Is(err, ErrNoPartner) || err.Error() != ErrNoPartner.Error() {
		t.Errorf("Yield: %v", err)
	}
	stop()
	want := []string{"hook active", "hook leaving"}
	var hooks []string
	for _, l := range s.lines {
		if strings.HasPrefix(l, "hook") && l != "hook fault" {
			hooks = append(hooks, l)
		}
	}
	// It may have been active before it was told of the fault.
	if diff := cmp.Diff(want, slices.Compact(hooks)); diff != "" {
		t.Errorf("hooks (-want +got):\n%s\nall: %q", diff, s.lines)
	}
	if st := n.Status(); st.Role != RoleLeaving || st.Reason != "stopping" || st.Serving {
		t.Errorf("status at the end %+v", st)
	}
	if !s.has("role active -> leaving") {
		t.Errorf("events %q", s.lines)
	}
}

// What was set survives the process, and its death is told.
func TestBeatProcessIsReplaced(t *testing.T) {
	n, beat, world, s, _ := apart(t, nil)
	waitFor(t, "active", func() bool { return n.Status().Serving })
	n.SetFault("under repair")
	waitFor(t, "the fault", func() bool { return s.has("-> fault") })
	_, conn := world.newest()
	_ = conn.Close()
	waitFor(t, "another one with the same fault", func() bool {
		return beat.Status().Starts == 2 && n.Status().Reason == "fault: under repair"
	})
	if !s.has("beat-lost: another one is started at once: failover: the beat process 1 is gone: signal: killed") || !s.has("role fault -> init") {
		t.Errorf("events %q", s.lines)
	}
}

func TestBrokenMessagesArePassedOver(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes string
		again bool // the process is replaced
		want  string
	}{
		{"no JSON", "\x00\x00\x00\x03{{{", false, "broken message"},
		{"JSON of something else", "\x00\x00\x00\x02[]", false, "broken message"},
		{"an event without sense", "\x00\x00\x00\x25" + `{"kind":"event","member":1,"body":[]}`, false, ""},
		{"a length out of bounds", "\xff\xff\xff\xff", true, "is gone"},
		{"half a message", "\x00\x00\x00\x09{", true, "is gone"},
	} {
		t.Run("to the daemon: "+tt.name, func(t *testing.T) {
			n, beat, world, s, _ := apart(t, nil)
			waitFor(t, "active", func() bool { return n.Status().Serving })
			_, conn := world.newest()
			_, _ = conn.Write([]byte(tt.bytes))
			if strings.HasPrefix(tt.name, "half") {
				_ = conn.Close()
			}
			if tt.want != "" {
				waitFor(t, "the event", func() bool { return s.has(tt.want) })
			}
			waitFor(t, "active", func() bool { return n.Status().Serving })
			if again := beat.Status().Starts > 1; again != tt.again {
				t.Errorf("replaced: %v, want %v", again, tt.again)
			}
		})
	}
}

// The process goes on after a message that it cannot read, and leaves as if the
// daemon were gone when it cannot find the next one.
func TestBrokenMessagesToTheProcess(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes string
		again bool // the process is replaced
		want  string
	}{
		{"no JSON", "\x00\x00\x00\x03{{{", false, "broken message"},
		{"an unknown kind", "\x00\x00\x00\x0f" + `{"kind":"sing"}`, false, `\"sing\" is not known`},
		{"a run of nothing", "\x00\x00\x00\x23" + `{"kind":"run","member":9,"body":[]}`, false, "broken message"},
		{"an order without sense", "\x00\x00\x00\x34" + `{"kind":"ask","member":1,"verb":"fault","body":[1] }`, false, "broken message"},
		{"a length out of bounds", "\xff\xff\xff\xff", true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var text lockedText
			n, beat, _, _, _ := apartWith(t, &BeatConfig{Logger: slog.New(slog.NewTextHandler(&text, nil))}, func(c *Config) {
				c.Logger = slog.New(slog.NewTextHandler(&text, nil))
			})
			waitFor(t, "active", func() bool { return n.Status().Serving })
			l, _, _ := beat.present()
			_, _ = l.conn.Write([]byte(tt.bytes))
			if tt.again {
				waitFor(t, "another one", func() bool { return beat.Status().Starts == 2 })
			}
			if tt.want != "" {
				waitFor(t, "the log", func() bool { return strings.Contains(text.String(), tt.want) })
			}
			waitFor(t, "active", func() bool { return n.Status().Serving })
			if again := beat.Status().Starts > 1; again != tt.again {
				t.Errorf("replaced: %v, want %v", again, tt.again)
			}
		})
	}
}

// A log that nobody reads holds up nothing else: the process would seem to be
// silent, and be killed.
func TestBlockedLogIsNoSilence(t *testing.T) {
	log := &blockedLog{Handler: slog.DiscardHandler, began: make(chan struct{}), release: make(chan struct{})}
	world := new(inMemory)
	beat := newBeat(&BeatConfig{Logger: slog.New(log)}, world.spawn)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = beat.Run(ctx) })
	defer work.Wait()
	defer cancel()
	defer close(log.release)
	waitFor(t, "a process", func() bool { return beat.Status().Priority == "in memory" })
	k, _ := world.newest()
	k.complain(errBroken)
	<-log.began
	k.report(noteReport, processReport{Priority: "another"})
	waitFor(t, "the report", func() bool { return beat.Status().Priority == "another" })
}

// blockedLog writes nothing before it is released.
type blockedLog struct {
	slog.Handler
	began, release chan struct{}
}

func (b *blockedLog) Enabled(context.Context, slog.Level) bool { return true }

func (b *blockedLog) Handle(context.Context, slog.Record) error {
	close(b.began)
	<-b.release
	return nil
}

// lockedText is written while it is read.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Where there is no such process everything runs in this one, and what that
// costs is told.
func TestBeatOfASystemWithoutProcesses(t *testing.T) {
	s := new(script)
	beat := newBeat(&BeatConfig{OnEvent: s.event}, nil)
	beat.status.Limits = []string{"no beat process on plan10"}
	n, err := New(&Config{Beat: beat})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = beat.Run(ctx) })
	work.Go(func() { _ = n.Run(ctx) })
	waitFor(t, "it serves", func() bool { return n.Status().Serving && s.has("beat-limited: no beat process on plan10") })
	cancel()
	work.Wait()
	if n.remote != nil || beat.Status().Pid != 0 {
		t.Errorf("status %+v", beat.Status())
	}
}

// A process that does not speak any more is replaced.
func TestSilentBeatProcessIsReplaced(t *testing.T) {
	world, s := new(inMemory), new(script)
	first := true
	beat := newBeat(&BeatConfig{OnEvent: s.event}, func(c *BeatConfig) (*process, error) {
		if first {
			first = false
			ours, theirs := net.Pipe()
			return &process{
				link: linkOver(ours), pid: 7, kill: func() { _ = theirs.Close() },
				wait: func() error { return errors.New("signal: killed") },
			}, nil
		}
		return world.spawn(c)
	})
	beat.limit = 300 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- beat.Run(ctx) }()
	waitFor(t, "another one", func() bool { return beat.Status().Priority == "in memory" })
	if !s.has("gave no sign of life for 300ms") {
		t.Errorf("events %q", s.lines)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A hook that hangs keeps neither the process from releasing nor a new
// process from beginning.
func TestHookThatHangs(t *testing.T) {
	release := make(chan struct{})
	var once sync.Once
	hung := make(chan struct{})
	n, _, _, s, _ := apart(t, func(c *Config) {
		inner := c.OnRole
		c.OnRole = func(ctx context.Context, r Role) error {
			if r == RoleActive {
				once.Do(func() { close(hung); <-release }) // whatever ctx says
			}
			return inner(ctx, r)
		}
	})
	<-hung
	n.SetFault("stop it")
	waitFor(t, "the fault", func() bool { return n.Status().Role == RoleFault })
	time.Sleep(20 * time.Millisecond)
	if s.has("hook") {
		t.Errorf("a call began before another one had ended: %q", s.lines)
	}
	close(release)
	waitFor(t, "what came after", func() bool { return s.has("hook fault") })
}

// A process that ends while it is told of a router is no fault of the router,
// which goes on in the next one.
func TestAProcessThatIsEndingTakesNoRouterAlong(t *testing.T) {
	t.Parallel()
	r, err := NewRouter(&RouterConfig{
		VRID: 1, Device: "eth0", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Beat: newBeat(&BeatConfig{}, new(inMemory).spawn),
	})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	defer theirs.Close()
	l := linkOver(ours)
	l.close()
	r.remote.begin(l)
	select {
	case err := <-r.remote.ended:
		t.Errorf("its run ends with %v", err)
	default:
	}
}

func TestOnlyWhatCanBeDescribedGoesApart(t *testing.T) {
	beat := newBeat(&BeatConfig{}, new(inMemory).spawn)
	type ownTransport struct{ Transport }
	type ownOwner struct{ AddressOwner }
	_, err := New(&Config{Beat: beat, Transport: ownTransport{}, Owner: ownOwner{}})
	for _, want := range []string{"an owner of failover.ownOwner cannot be in a beat process", "a transport of failover.ownTransport cannot be in a beat process"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	type ownAdverts struct{ AdvertTransport }
	_, err = NewRouter(&RouterConfig{VRID: 1, Device: "eth0", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Beat: beat, Transport: ownAdverts{}})
	if err == nil || !strings.Contains(err.Error(), "a transport of failover.ownAdverts cannot be in a beat process: use RawIP") {
		t.Errorf("error %v", err)
	}
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	for _, err := range []error{fs.ErrPermission, fs.ErrNotExist, errors.ErrUnsupported, ErrNotActive, ErrNoPartner, ErrActive, ErrFault} {
		b, bad := json.Marshal(distant(errors.Join(errors.New("text"), err)))
		if bad != nil {
			t.Fatal(bad)
		}
		var d *distantError
		if bad := json.Unmarshal(b, &d); bad != nil {
			t.Fatal(bad)
		}
		if !errors.Is(d.err(), err) || errors.Is(d.err(), fs.ErrExist) || !strings.HasPrefix(d.Error(), "text\n") {
			t.Errorf("%v became %v", err, d)
		}
	}
	if distant(nil).err() != nil {
		t.Error("no error became one")
	}
}

// What comes over the socket is read without trust: no panic, no memory
// beyond the bound.
func FuzzNote(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x0e" + `{"kind":"run"}`))
	f.Add([]byte("\x00\x00\x00\x34" + `{"kind":"ask","member":1,"verb":"fault","body":"x"} ` + "\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x1b" + `{"kind":"answer","serial":1}`))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := linkOver(&oneWay{b: b})
		daemon := &remote{beat: newBeat(&BeatConfig{}, nil), events: newEventQueue(discard(), nil), hooks: newHooks(), ended: make(chan error, 1)}
		beat := daemon.beat
		beat.members[1] = daemon
		k := newKeeper(&oneWay{})
		for {
			n, err := l.read()
			if errors.Is(err, errBroken) {
				continue
			}
			if err != nil {
				break
			}
			if len(l.buf) > maxNote {
				t.Fatalf("%d bytes", len(l.buf))
			}
			if n == nil {
				continue
			}
			beat.take(&process{link: l}, n)
			if n.Kind != noteRun { // what it describes would be run
				_ = k.take(n)
				w := &ward{id: 1, keeper: k, node: &Node{}}
				if n.Verb == "" || n.Verb == verbRole {
					w.ask(n)
				}
			} else {
				var s memberSpec
				_ = unpack(n, &s)
			}
		}
	})
}

// A status that has to wait, as for thousands of addresses, is no silence.
func TestStatusThatWaits(t *testing.T) {
	k := newKeeper(&oneWay{})
	w := &ward{id: 1, keeper: k, node: &Node{cfg: &Config{}, events: newEventQueue(discard(), nil), effects: newEffects(NoAddresses{}, nil, nil)}}
	k.wards[1] = w
	w.node.mu.Lock()
	const tooMany = 3
	for i := range uint64(maxQuestions + tooMany) {
		if err := k.take(&note{Kind: noteAsk, Member: 1, Serial: i + 1, Verb: verbStatus}); err != nil {
			t.Fatal(err)
		}
	}
	answers := func(with string) (n int) {
		k.link.mu.Lock()
		defer k.link.mu.Unlock()
		for _, frame := range k.link.queue {
			if strings.Contains(string(frame), with) {
				n++
			}
		}
		return n
	}
	if n := answers("too many questions"); n != tooMany || n != answers("answer") {
		t.Errorf("%d questions of %d too many are refused, %d are answered", n, tooMany, answers("answer"))
	}
	w.node.mu.Unlock()
	waitFor(t, "the answers", func() bool { return answers(`"role"`) == maxQuestions })
}

// The largest configuration that somebody has, and its status, are messages.
func TestLargestMessagesFit(t *testing.T) {
	l := linkOver(&oneWay{})
	put := func(what string, v any) {
		t.Helper()
		body, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.put(&note{Kind: noteRun, Body: body}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	list := make([]AddressStatus, 4096)
	for i := range list {
		list[i] = AddressStatus{
			VirtualAddress: VirtualAddress{Prefix: netip.MustParsePrefix("2001:db8:1234:5678:9abc:def0:1234:5678/128"), Device: "enp129s0f0.1234"},
			Held:           true, Belief: BeliefDoubted, Neighbour: netip.MustParseAddr("2001:db8:1234:5678:9abc:def0:1234:1"),
			Checked: time.Now(), Reason: strings.Repeat("a sentence of some words ", 4), ClaimedBy: "52:54:00:12:34:56", ClaimedAt: time.Now(),
		}
	}
	put("status", wireStatus{Status: Status{Addresses: list}})
	node := &memberSpec{Node: &Config{}, Addresses: &AddressesConfig{}}
	for i := range list {
		node.Addresses.Addresses = append(node.Addresses.Addresses, list[i].VirtualAddress)
	}
	document, err := json.Marshal(wireDocument{Document: make([]byte, pulse.MaxDocument)})
	if err != nil {
		t.Fatal(err)
	}
	node.Kept = []*note{{Kind: noteAsk, Verb: verbDocument, Body: document}}
	put("node", node)
	group := groupSpec{Members: make(map[uint64]*memberSpec)}
	for id := range uint64(64) {
		s := &memberSpec{Router: &RouterConfig{}, Addresses: &AddressesConfig{}}
		for _, a := range list[:vrrp.MaxAddrs] {
			s.Router.Addresses = append(s.Router.Addresses, a.Prefix.Addr())
			s.Addresses.Addresses = append(s.Addresses.Addresses, a.VirtualAddress)
		}
		group.Members[id] = s
	}
	put("group", group)
}

// oneWay is a stream of which only the beginning comes.
type oneWay struct{ b []byte }

func (o *oneWay) Read(p []byte) (int, error) {
	n := copy(p, o.b)
	if o.b = o.b[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
func (o *oneWay) Write(p []byte) (int, error) { return len(p), nil }
func (o *oneWay) Close() error                { return nil }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Two nodes in two processes tell each other everything that nodes tell.
func TestPairInBeatProcesses(t *testing.T) {
	at := freePorts(t)
	digests := [2][32]byte{{1}, {2}}
	var nodes [2]*Node
	var worlds [2]*inMemory
	for i := range nodes {
		nodes[i], _, worlds[i], _, _ = apart(t, func(c *Config) {
			c.Primary, c.Key, c.Digest = i == 0, []byte("fedcba9876543210"), digests[i]
			c.Channels = []Channel{{Name: "only", Local: at[i], Peer: at[1-i]}}
			c.DeadAfter = 10 * time.Second // a busy machine is no silence
		})
		if err := nodes[i].SetDocument(digests[i], []byte{'a' + byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "a pair", func() bool { return nodes[0].Status().Serving && nodes[1].Status().Partner.Role == RoleActive })
	waitFor(t, "the documents", func() bool {
		return string(nodes[0].PartnerDocument()) == "b" && string(nodes[1].PartnerDocument()) == "a"
	})
	if d := nodes[0].Status().Partner.Digest; d != digests[1] {
		t.Errorf("digest %x", d)
	}
	nodes[1].SetDigest(digests[0])
	waitFor(t, "the digests agree", func() bool { return !nodes[0].Status().DigestMismatch && !nodes[1].Status().DigestMismatch })
	verdict := pulse.Verdict{ID: 7, State: 2, Age: -1, Lasts: -1}
	if err := nodes[0].SetVerdicts([]pulse.Verdict{verdict}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the verdicts", func() bool {
		list, _, ok := nodes[1].PartnerVerdicts()
		return ok && len(list) == 1 && list[0] == verdict
	})
	old, renewed := pulse.Key{Secret: []byte("fedcba9876543210")}, pulse.Key{ID: 1, Secret: []byte("0123456789abcdef")}
	for _, keys := range [][]pulse.Key{{old, renewed}, {renewed, old}, {renewed}} {
		for _, n := range nodes {
			if err := n.SetKeys(keys); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Who holds the addresses of a node that is gone knows whether to keep them.
	relieved := func(want bool) func() bool {
		return func() bool {
			m := nodes[0].remote
			k, _ := worlds[0].newest()
			k.mu.Lock()
			needed := k.wards[m.id].needed()
			k.mu.Unlock()
			m.mu.Lock()
			defer m.mu.Unlock()
			return needed == !want && m.keeps() == !want
		}
	}
	waitFor(t, "relief", relieved(true))
	nodes[1].SetFault("a cable")
	waitFor(t, "no relief", relieved(false))
	nodes[1].SetFault("")
	waitFor(t, "relief again", relieved(true))
	if err := nodes[0].Take(); !errors.Is(err, ErrActive) {
		t.Errorf("Take of the active node: %v", err)
	}
	if err := nodes[1].Take(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the other one serves, and knows its partner for a backup", func() bool {
		st := nodes[1].Status()
		return st.Serving && st.Partner.Role == RoleBackup
	})
	if err := nodes[1].Yield(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the first one serves", func() bool { return nodes[0].Status().Serving && nodes[1].Status().Role == RoleBackup })
}

// freePorts returns two addresses that nobody uses.
func freePorts(t *testing.T) (at [2]netip.AddrPort) {
	t.Helper()
	for i := range at {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		at[i] = c.LocalAddr().(*net.UDPAddr).AddrPort()
	}
	return at
}

// Witness and fence are asked in the daemon.
func TestClearanceInABeatProcess(t *testing.T) {
	at := freePorts(t)
	var fenced, asked atomic.Int32
	n, _, _, s, _ := apart(t, func(c *Config) {
		c.Key = []byte("fedcba9876543210")
		c.Channels = []Channel{{Name: "only", Local: at[0], Peer: at[1]}}          // nobody is there
		c.DeadAfter, c.WitnessTimeout = 500*time.Millisecond, 500*time.Millisecond // a busy machine is no silence
		c.Witness = func(context.Context) (bool, string) { return asked.Add(1) > 2, "the gateway is silent" }
		c.Fence = func(_ context.Context, reason string) error {
			if fenced.Add(1) == 1 {
				return errors.New("no power switch")
			}
			if reason == "" {
				return errors.New("no reason")
			}
			return nil
		}
	})
	waitFor(t, "it serves", func() bool { return n.Status().Serving })
	if fenced.Load() != 2 || !s.has("the gateway is silent") || !s.has("no power switch") {
		t.Errorf("fenced %d times, events %q", fenced.Load(), s.lines)
	}
}

// A process that ends while it is told to begin is no trouble of the node's: the
// next one is told.
func TestBeginAtTheEndOfAProcess(t *testing.T) {
	l := linkOver(&oneWay{})
	l.close()
	beat := newBeat(&BeatConfig{}, new(inMemory).spawn)
	n, err := New(&Config{Beat: beat})
	if err != nil {
		t.Fatal(err)
	}
	n.remote.begin(l)
	select {
	case err := <-n.remote.ended:
		t.Errorf("it ended: %v", err)
	default:
	}
	n.remote.spec.Node.Keys = []pulse.Key{{Secret: make([]byte, maxNote)}} // too long for any process
	n.remote.begin(linkOver(&oneWay{}))
	select {
	case err := <-n.remote.ended:
		if !strings.Contains(err.Error(), "hand the node to the beat process: ") {
			t.Errorf("error %v", err)
		}
	default:
		t.Error("nobody is told that it cannot begin")
	}
}

func TestOwnerThatWasApart(t *testing.T) {
	o, err := newAddresses(&AddressesConfig{}, &fakeKeeper{}, &fakeKeeper{})
	if err != nil {
		t.Fatal(err)
	}
	for _, beat := range []*Beat{newBeat(&BeatConfig{}, new(inMemory).spawn), nil} {
		if _, err := New(&Config{Beat: beat, Owner: o}); err != nil {
			t.Fatal(err)
		}
		if (o.distant != nil) != beat.apart() {
			t.Errorf("with the beat process %v the owner asks %v", beat.apart(), o.distant)
		}
	}
}

func TestRunWithABeatThatIsOver(t *testing.T) {
	beat := newBeat(&BeatConfig{}, new(inMemory).spawn)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := beat.Run(ctx); err != nil {
		t.Fatal(err)
	}
	n, err := New(&Config{Beat: beat})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := n.Run(ctx); err == nil || !strings.Contains(err.Error(), "the run of its Beat is over") {
		t.Errorf("got %v", err)
	}
}
