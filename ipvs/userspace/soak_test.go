package userspace_test

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/userspace"
	"github.com/lvskit/lvskit/sched"
)

// The soak. Clients that check every answer stay on the balancer while its
// table changes all the time; LVSKIT_SOAK=2m gives its length,
// LVSKIT_TEST_SEED=N plays one again.
const (
	soakTime    = 3 * time.Second
	soakChange  = 50 * time.Millisecond
	soakServers = 6
	soakClients = 8
	// soakDead is how long a killed server stays in the table, as it would
	// until a check has failed, and then away.
	soakDead = 100 * time.Millisecond
	// soakPatience bounds each exchange; nothing is measured by it.
	soakPatience = 30 * time.Second
	// soakSpare is how many descriptors a balancer may keep in store.
	soakSpare = 128
)

// TestSoak loses no connection but those whose server was killed.
func TestSoak(t *testing.T) {
	length := soakTime
	if text := os.Getenv("LVSKIT_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal("LVSKIT_SOAK:", err)
		}
	}
	soakPort(t, "tcp4") // opens what the runtime keeps open
	before, countable := descriptors()
	s := newSoak(t)
	idle, _ := descriptors()

	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var clients, changes sync.WaitGroup
	for i := range soakClients {
		clients.Go(func() { s.client(ctx, i) })
	}
	changes.Go(func() { s.change(ctx) })
	changes.Go(func() { s.datagrams(ctx) })
	clients.Wait()
	changes.Wait()

	s.settle()
	if now, _ := descriptors(); countable && now > idle+soakSpare {
		t.Errorf("%d descriptors are open without a connection, %d were before the load", now, idle)
	}
	s.close()
	if countable {
		closed(t, before)
	}
	s.report(length)
}

// descriptors counts those of this process, where the system tells.
func descriptors() (n int, ok bool) {
	list, err := os.ReadDir("/proc/self/fd")
	return len(list), err == nil
}

// closed waits until no more than so many descriptors are open. What the
// standard library has in store, pipes for splice, it closes when the garbage
// collector takes them.
func closed(t *testing.T, want int) {
	t.Helper()
	n, _ := descriptors()
	for end := time.Now().Add(soakPatience); n > want; n, _ = descriptors() {
		if time.Now().After(end) {
			t.Errorf("%d descriptors are open at the end, %d at the start", n, want)
			return
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
}

// soak is a balancer with its servers, clients and what they count.
type soak struct {
	t       *testing.T
	seed    uint64
	b       *userspace.Balancer
	pattern []byte
	lives   lives
	servers []*soakServer
	tcp     ipvs.Service
	udp     ipvs.Service

	// Of change alone.
	chance  *rand.Rand
	weights [soakServers]int // as in the table; 0 drains
	inTable [soakServers]bool

	mu    sync.Mutex
	kills []kill
	wrong int

	changed, killed                atomic.Int64
	whole, lost, caught, exchanges atomic.Int64 // connections, and what was asked on them
	sent, received, sentWhole      atomic.Int64 // bytes of clients
	served, asked, answered        atomic.Int64
}

// kill is the time from which a server was dead until it left the table.
type kill struct{ from, until time.Time }

func newSoak(t *testing.T) *soak {
	s := &soak{t: t, seed: rand.Uint64(), pattern: soakPattern()}
	if text := os.Getenv("LVSKIT_TEST_SEED"); text != "" {
		var err error
		if s.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal("LVSKIT_TEST_SEED:", err)
		}
	}
	t.Logf("LVSKIT_TEST_SEED=%d", s.seed)
	s.chance = rand.New(rand.NewPCG(s.seed, 0))
	var err error
	if s.b, err = userspace.New(nil); err != nil {
		t.Fatal(err)
	}
	s.tcp = ipvs.Service{Key: ipvs.TCPService(soakPort(t, "tcp4")), Scheduler: "rr"}
	s.udp = ipvs.Service{Key: ipvs.UDPService(soakPort(t, "udp4")), Scheduler: "rr"}
	s.apply(ipvs.Change{Op: ipvs.OpAddService, Service: s.tcp})
	s.apply(ipvs.Change{Op: ipvs.OpAddService, Service: s.udp})
	for i := range soakServers {
		srv := &soakServer{s: s}
		srv.start()
		s.servers = append(s.servers, srv)
		s.weights[i] = 100
		s.toTable(i, true)
	}
	return s
}

// soakPort returns an address that was free a moment ago.
func soakPort(t *testing.T, network string) netip.AddrPort {
	t.Helper()
	if network == "udp4" {
		c, err := net.ListenPacket(network, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).AddrPort()
	}
	ln, err := net.Listen(network, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// fail notes what must not happen, and prints the first ones.
func (s *soak) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrong++; s.wrong <= 10 {
		s.t.Errorf(format, args...)
	}
}

func (s *soak) apply(c ipvs.Change) {
	if err := s.b.Apply(context.Background(), []ipvs.Change{c}); err != nil {
		s.fail("change %v: %v", c, err)
	}
	s.changed.Add(1)
}

func (s *soak) destination(i int) ipvs.Destination {
	return ipvs.Destination{Key: s.servers[i].addr, Weight: s.weights[i]}
}

// toTable puts a server into both services or takes it out.
func (s *soak) toTable(i int, in bool) {
	op := ipvs.OpDelDestination
	if in {
		op = ipvs.OpAddDestination
	}
	s.inTable[i] = in
	for _, service := range []ipvs.Service{s.tcp, s.udp} {
		s.apply(ipvs.Change{Op: op, Service: service, Destination: s.destination(i)})
	}
}

// weigh sets the weight of a server that is in the table.
func (s *soak) weigh(i, weight int) {
	s.weights[i] = weight
	for _, service := range []ipvs.Service{s.tcp, s.udp} {
		s.apply(ipvs.Change{Op: ipvs.OpSetDestination, Service: service, Destination: s.destination(i)})
	}
}

// hashes are the schedulers that refuse the clients of a server with weight 0
// or give them away only with a flag; dh cannot even that.
func hashes(name string) bool { return name == "dh" || name == "sh" || name == "mh" }

// change makes a change of the table at each tick, and kills a server now and
// then. The first server is never touched, so that there is always one.
func (s *soak) change(ctx context.Context) {
	names := slices.DeleteFunc(sched.Names(), func(n string) bool { return n == "none" })
	tick := time.NewTicker(soakChange)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		i := 1 + s.chance.IntN(soakServers-1)
		switch what := s.chance.IntN(10); {
		case n%20 == 0:
			s.kill(i)
		case what < 2: // another scheduler, now and then with persistence
			name := names[s.chance.IntN(len(names))]
			if hashes(name) {
				for i := range s.weights {
					if s.inTable[i] && s.weights[i] == 0 {
						s.weigh(i, 100)
					}
				}
			}
			s.tcp.Scheduler, s.udp.Scheduler = name, name
			s.tcp.Persistence = time.Duration(s.chance.IntN(2)) * time.Minute
			s.apply(ipvs.Change{Op: ipvs.OpSetService, Service: s.tcp})
			s.apply(ipvs.Change{Op: ipvs.OpSetService, Service: s.udp})
		case !s.inTable[i]:
			s.weights[i] = 100
			s.toTable(i, true)
		case what < 5:
			s.toTable(i, false)
		case what < 7 && !hashes(s.tcp.Scheduler):
			s.weigh(i, 0)
		default:
			// In hundreds: ovf takes the weight for a number of connections.
			s.weigh(i, 100*(1+s.chance.IntN(5)))
		}
	}
}

// kill kills a server, takes it out of the table some time later, and starts
// it again.
func (s *soak) kill(i int) {
	if !s.inTable[i] {
		s.weights[i] = 100
		s.toTable(i, true)
	}
	from := time.Now()
	s.killed.Add(1)
	s.servers[i].kill()
	time.Sleep(soakDead)
	s.toTable(i, false)
	s.mu.Lock()
	s.kills = append(s.kills, kill{from, time.Now()})
	s.mu.Unlock()
	s.servers[i].start()
}

// excused reports whether some server was dead and in the table at a time
// between two; one that dies now is looked up when the kill is over.
func (s *soak) excused(from, until time.Time) bool {
	time.Sleep(2 * soakDead)
	for end := time.Now().Add(soakPatience); ; time.Sleep(soakDead) {
		s.mu.Lock()
		i := slices.IndexFunc(s.kills, func(k kill) bool { return k.from.Before(until) && from.Before(k.until) })
		pending := s.killed.Load() != int64(len(s.kills))
		s.mu.Unlock()
		if i >= 0 || !pending || time.Now().After(end) {
			return i >= 0
		}
	}
}

// settle waits until the balancer has no connection any more.
func (s *soak) settle() {
	for end := time.Now().Add(soakPatience); ; time.Sleep(10 * time.Millisecond) {
		var active uint32
		for _, d := range s.entry(s.tcp.Key).Destinations {
			active += d.Active
		}
		if active == 0 {
			return
		}
		if time.Now().After(end) {
			s.t.Errorf("%d connections are active, long after the clients have gone", active)
			return
		}
	}
}

func (s *soak) entry(key ipvs.ServiceKey) ipvs.EntryState {
	snap, err := s.b.Snapshot(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range snap {
		if e.Service.Key == key {
			return e
		}
	}
	s.t.Fatalf("no service %v in the table", key)
	return ipvs.EntryState{}
}

// close compares the counters with what clients and servers saw, and ends all.
func (s *soak) close() {
	stats, counters := s.entry(s.tcp.Key).Service.Stats, s.b.Counters()
	if err := s.b.Close(); err != nil {
		s.t.Error(err)
	}
	for _, srv := range s.servers {
		srv.kill()
	}
	// What a lost connection had on its way may be counted or not.
	whole, lost := s.whole.Load(), s.lost.Load()+s.caught.Load()
	between := func(what string, got uint64, low, high int64) {
		if int64(got) < low || int64(got) > high {
			s.t.Errorf("%s: counted %d, want %d to %d; %d connections were lost", what, got, low, high, lost)
		}
	}
	between("connections", stats.Connections, whole, whole+lost)
	between("bytes from clients", stats.InBytes, s.sentWhole.Load(), s.sent.Load())
	between("bytes to clients", stats.OutBytes, s.received.Load(), s.served.Load())
	between("clients without a server", counters.NoServer, 0, s.caught.Load()+s.asked.Load()-s.answered.Load())
	if counters.AcceptErrors+counters.LocalErrors+counters.Saturated+counters.Idle != 0 {
		s.t.Errorf("counters tell of trouble: %+v", counters)
	}
}

func (s *soak) report(length time.Duration) {
	s.t.Logf("%v: %d changes, %d kills; %d connections whole, %d lost with their server, %d caught on the way to a dead one; %d exchanges, %d MiB; %d of %d datagrams answered",
		length, s.changed.Load(), s.killed.Load(), s.whole.Load(), s.lost.Load(), s.caught.Load(), s.exchanges.Load(),
		(s.sent.Load()+s.received.Load())>>20, s.answered.Load(), s.asked.Load())
	if s.wrong > 0 {
		s.t.Errorf("%d things went wrong", s.wrong)
	}
	if s.whole.Load() == 0 || s.exchanges.Load() == 0 || s.answered.Load() == 0 || s.changed.Load() < 20 || s.killed.Load() == 0 {
		s.t.Error("hardly anything happened, so this shows nothing")
	}
}
