//go:build linux && peers

package failover

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
)

var (
	busyFlag = flag.Duration("busy", 200*time.Millisecond, "how long each pair beats beside busy loops")
	onlyFlag = flag.String("only", "", "regular expression of the moves that are measured")
	whoFlag  = flag.String("who", "", "regular expression of the contestants that take part")
)

// TestMain is also the main of the clients, the nodes, their beat processes and
// the busy loops.
func TestMain(m *testing.M) {
	failover.BeatMain()
	var err error
	switch client, node := os.Getenv(clientVariable), os.Getenv(oursVariable); {
	case client != "":
		err = runClient(client)
	case node != "":
		err = runOurs(node)
	case os.Getenv(busyVariable) != "":
		beBusy()
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// stage is what is measured with one tempo.
type stage struct {
	tempo
	moves []*move
	share int // of the rounds: one in so many
}

var stages = []stage{
	{tempo{10 * time.Millisecond, 3}, []*move{&dies, &yields, &stops, &killed, &silenced, &stopped}, 1},
	{tempo{10 * time.Millisecond, 2}, []*move{&dies}, 1},
	{tempo{100 * time.Millisecond, 3}, []*move{&dies, &yields, &killed, &silenced}, 1},
	{tempo{time.Second, 3}, []*move{&dies}, 4},
}

// goals are what ours is to reach.
func goals() []goal {
	three, two, slow := stages[0].tempo, stages[1].tempo, stages[2].tempo
	return []goal{
		{row: dies.gap(three), limit: 36},
		{row: dies.gap(two), limit: 26},
		{row: dies.gap(slow), versus: nameKeepalived},
		{row: dies.silent(slow), versus: nameKeepalived},
		{row: yields.gap(three), limit: 3},
		{row: yields.gap(slow), limit: 3},
		{row: killed.alone(three), limit: 50},
		{row: silenced.alone(three), limit: 50},
		{row: busyMoves},
		{row: busyShare, limit: 99.5, least: true},
	}
}

// BenchmarkPeersFailover prints the table of doc.go; each iteration is a round.
func BenchmarkPeersFailover(b *testing.B) {
	if _, err := exec.LookPath("keepalived"); err != nil {
		b.Fatalf("%v: run internal/tools/deps.sh peers", err)
	}
	only, err := regexp.Compile(*onlyFlag)
	if err != nil {
		b.Fatal(err)
	}
	who, err := regexp.Compile(*whoFlag)
	if err != nil {
		b.Fatal(err)
	}
	rounds := 0
	for b.Loop() {
		if rounds++; rounds > 1000 {
			b.Fatal("-benchtime counts rounds here: use 20x")
		}
	}
	b.ReportMetric(0, "ns/op") // means nothing
	before := load()
	w := &window{res: results{}}
	var rows, names []string
	for _, c := range contestants() {
		if who.MatchString(c.name) {
			names = append(names, c.name)
		}
	}
	for _, s := range stages {
		var moves []*move
		for _, m := range s.moves {
			if only.MatchString(m.gap(s.tempo)) {
				moves = append(moves, m)
				rows = append(rows, m.gap(s.tempo), m.lost(s.tempo), m.silent(s.tempo), m.effect(s.tempo), m.alone(s.tempo), m.both(s.tempo))
			}
		}
		if n := rounds / s.share; n > 0 && len(moves) > 0 {
			w.stage(b, s.tempo, moves, n, who)
		}
	}
	if only.MatchString("busy") {
		for _, c := range contestants() {
			if who.MatchString(c.name) {
				if err := w.busy(b, c, *busyFlag); err != nil {
					b.Errorf("%s, beside busy loops: %v", c.name, err)
				}
			}
		}
		rows = append(rows, busyMoves, busyShare, busyStill)
	}
	fmt.Printf("\n%d rounds (adverts each second: one in 4), load average %s before, %s after;\nof %d windows the client itself paused for more than %v in %d, which were played again, and the first host served on in %d\n%s\n%s",
		rounds, before, load(), w.windows, askedLate, w.pauses, w.kept, w.res.write(rows, names), w.res.judge(goals(), names))
}

// stage plays the moves of all pairs. The windows take turns; what is mended
// and waited for goes on meanwhile.
func (w *window) stage(b *testing.B, t tempo, moves []*move, rounds int, who *regexp.Regexp) {
	var all sync.WaitGroup
	for _, c := range contestants() {
		if !c.count(t.count) || !who.MatchString(c.name) {
			continue
		}
		p, err := newPair(b, c, t)
		if err != nil {
			b.Fatalf("%s: %v", c.name, err)
		}
		all.Go(func() {
			for round := range rounds {
				for _, m := range moves {
					if err := w.play(c.name, p, m, (float64(round)+0.5)/float64(rounds)); err != nil {
						b.Errorf("%s, %v, round %d, %s: %v\n%s\n%s", c.name, t, round, m.name, err, p.nodes[0].said(), p.nodes[1].said())
						return
					}
				}
			}
			_, err := p.settle()
			if err := errors.Join(err, p.stop()); err != nil {
				b.Errorf("%s, %v: %v\n%s\n%s", c.name, t, err, p.nodes[0].said(), p.nodes[1].said())
			}
		})
	}
	all.Wait()
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
