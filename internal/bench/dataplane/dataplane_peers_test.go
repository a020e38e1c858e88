//go:build linux && peers

package dataplane

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	spanFlag = flag.Duration("span", 200*time.Millisecond, "time of each measurement")
	idleFlag = flag.Int("idle", 1000, "number of idle connections")
	onlyFlag = flag.String("only", "", "regular expression of the rows that are measured")
	whoFlag  = flag.String("who", "", "regular expression of the contestants that take part")
	oursFlag = flag.String("balancer", "", "program measured as ours, instead of the command balancer built here")
	alsoFlag = flag.String("also", "", "NAME=PROGRAM,... that take part too, with the arguments of the command balancer")
)

// BenchmarkPeersDataplane prints the table of doc.go; each iteration is a
// round.
func BenchmarkPeersDataplane(b *testing.B) {
	only, err := regexp.Compile(*onlyFlag)
	if err != nil {
		b.Fatal(err)
	}
	raiseDescriptors(b)
	ns := network(b)
	list := lineup(b)
	names := make([]string, 0, len(list))
	for _, c := range list {
		names = append(names, c.name)
	}
	bn := &bench{ns: ns, length: *spanFlag, idle: *idleFlag}
	res := results{}
	// A port of its own for each, so that nobody meets the remains of another.
	port := uint16(1024)
	round := 0
	for b.Loop() {
		for _, row := range rows() {
			if !only.MatchString(row.name) && !(row.name == "kept" && only.MatchString("half")) {
				continue
			}
			for i := range list {
				c := list[(i+round)%len(list)]
				port++
				j := job{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), row.kind}
				r, err := c.start(ns, j, b.TempDir())
				if errors.Is(err, errUnable) {
					continue
				}
				if err != nil {
					b.Fatal(err)
				}
				err = row.measure(bn, r, func(f figure, v float64) { res.note(f, c.name, v) })
				if err := errors.Join(err, r.stop()); err != nil {
					b.Errorf("round %d, %s, %s: %v; it said: %.1000q", round, row.name, c.name, err, r.said)
				}
			}
			if row.name == "kept" {
				bn.rate = res.best(keptRate, nameHA, nameSplice) * keptRate.unit / 2
			}
		}
		round++
	}
	b.ReportMetric(0, "ns/op") // of all contestants together: means nothing
	for _, f := range figures() {
		if ratio, ok := res.ratio(f, nameOurs, nameHA, nameSplice); ok && f.goal > 0 {
			b.ReportMetric(ratio, strings.Map(word, f.name)+"/HAProxy")
		}
	}
	show(fmt.Sprintf("%d rounds of %v, ratio of %s to the better HAProxy\n%s", round, *spanFlag, nameOurs,
		res.write(names, []string{nameHA, nameSplice}, nameNginx)))
	for _, v := range res[newFailed][nameOurs] {
		if v != 0 {
			b.Errorf("%v new connections through %s failed", v, nameOurs)
		}
	}
}

// Clients that go straight to a server get what they ask for, and those that
// meet nobody say so.
func TestPeersClients(t *testing.T) {
	ns := network(t)
	inside := 0
	s := span{
		warm: 10 * time.Millisecond, length: 50 * time.Millisecond,
		begin: func() error { inside++; return nil }, end: func() error { inside--; return nil },
	}
	nobody := netip.MustParseAddrPort("127.0.0.1:1")
	works := map[string]func(to netip.AddrPort) (done, error){
		"kept":   func(to netip.AddrPort) (done, error) { return keptRequests(to, 4, s) },
		"new":    func(to netip.AddrPort) (done, error) { return newConnections(to, 4, s) },
		"bulk":   func(to netip.AddrPort) (done, error) { return bulk(to, 2, false, s) },
		"upload": func(to netip.AddrPort) (done, error) { return bulk(to, 2, true, s) },
		"udp":    func(to netip.AddrPort) (done, error) { return datagrams(to, 4, s) },
		"arrivals": func(to netip.AddrPort) (done, error) {
			times, err := arrivals(to, 4, 2000, s)
			return done{count: int64(len(times)), took: s.length}, err
		},
		"idle": func(to netip.AddrPort) (done, error) {
			release, err := idle(to, 100)
			if err != nil {
				return done{}, err
			}
			release()
			return done{count: 100, took: s.length}, nil
		},
	}
	kindOf := map[string]kind{"kept": echo, "new": once, "bulk": source, "upload": drain, "udp": datagram, "arrivals": echo, "idle": echo}
	for name, work := range works {
		t.Run(name, func(t *testing.T) {
			var got done
			err := ns.Do(func() (err error) {
				got, err = work(serverAddr(1, kindOf[name]))
				return err
			})
			if err != nil || got.count == 0 || got.failed != 0 || got.took < s.length || inside != 0 {
				t.Errorf("got %+v, error %v, %d spans open; want something done", got, err, inside)
			}
			err = ns.Do(func() (err error) {
				got, err = work(nobody)
				return err
			})
			inside = 0
			if err == nil && (got.count != 0 || name == "new" && got.failed == 0) {
				t.Errorf("where nobody listens: got %+v and no error", got)
			}
		})
	}
}

// word makes a unit of what may have blanks.
func word(r rune) rune {
	if r == ' ' || r == ',' {
		return '_'
	}
	return r
}

// lineup returns the contestants, ours first.
func lineup(b *testing.B) []contestant {
	b.Helper()
	program := *oursFlag
	if program == "" {
		program = filepath.Join(b.TempDir(), "balancer")
		build := exec.Command("go", "build", "-o", program, "./balancer")
		if out, err := build.CombinedOutput(); err != nil {
			b.Fatalf("%v: %v: %s", build, err, out)
		}
	}
	list := []contestant{balancer(nameOurs, program), haproxy(false), haproxy(true), nginx()}
	if *alsoFlag != "" {
		for also := range strings.SplitSeq(*alsoFlag, ",") {
			name, file, ok := strings.Cut(also, "=")
			if !ok {
				b.Fatalf("-also %q: want NAME=PROGRAM", also)
			}
			list = append(list, balancer(name, file))
		}
	}
	list = append(list, contestant{name: nameDirect})
	who, err := regexp.Compile(*whoFlag)
	if err != nil {
		b.Fatal(err)
	}
	return slices.DeleteFunc(list, func(c contestant) bool { return !who.MatchString(c.name) })
}

// raiseDescriptors allows as many as may be, here and in the contestants, and
// sees that they are enough for the idle connections: two of each, there as
// in this process, which is client and server.
func raiseDescriptors(b *testing.B) {
	b.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	// Set, although the runtime of Go has done it: a program that it starts
	// gets the limit from before, unless it was set by hand.
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	if need := uint64(2**idleFlag + 500); limit.Max < need {
		b.Fatalf("-idle %d takes %d descriptors a process, and the hard limit (ulimit -Hn) is %d", *idleFlag, need, limit.Max)
	}
}
