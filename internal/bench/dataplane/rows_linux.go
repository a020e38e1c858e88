package dataplane

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
)

// How many clients there are at once.
const (
	keptClients     = 64
	newClients      = 64
	bulkClients     = 4
	datagramClients = 32
)

// bench is what all measurements share.
type bench struct {
	ns     *lab.Namespace
	length time.Duration // of a measurement
	idle   int           // connections
	rate   float64       // arrivals a second at half load; 0 before it is known
}

// row measures one thing of a contestant and notes the figures.
type row struct {
	name    string
	kind    kind
	measure func(b *bench, r *running, note func(figure, float64)) error
}

func rows() []row {
	return []row{
		{"bulk", source, func(b *bench, r *running, note func(figure, float64)) error {
			return b.timed(r, note, bulkRate, bulkCPU, func(s span) (done, error) { return bulk(r.at, bulkClients, false, s) })
		}},
		{"upload", drain, func(b *bench, r *running, note func(figure, float64)) error {
			return b.timed(r, note, uploadRate, uploadCPU, func(s span) (done, error) { return bulk(r.at, bulkClients, true, s) })
		}},
		{"new", once, func(b *bench, r *running, note func(figure, float64)) error {
			return b.timed(r, note, newRate, newCPU, func(s span) (done, error) {
				d, err := newConnections(r.at, newClients, s)
				note(newFailed, float64(d.failed))
				return d, err
			})
		}},
		{"kept", echo, func(b *bench, r *running, note func(figure, float64)) error {
			return b.timed(r, note, keptRate, keptCPU, func(s span) (done, error) { return keptRequests(r.at, keptClients, s) })
		}},
		{"half", echo, halfLoad},
		{"idle", echo, idleCosts},
		{"calls", once, systemCalls},
		{"udp", datagram, func(b *bench, r *running, note func(figure, float64)) error {
			return b.timed(r, note, udpRate, udpCPU, func(s span) (done, error) {
				d, err := datagrams(r.at, datagramClients, s)
				if all := d.count + d.failed; all > 0 {
					note(udpLost, float64(d.failed)/float64(all)*100)
				}
				return d, err
			})
		}},
	}
}

// clocked returns a span at whose end the processor time is known.
func (b *bench) clocked(r *running) (span, *time.Duration) {
	var before, took time.Duration
	return span{
		warm: max(b.length/5, 100*time.Millisecond), length: b.length,
		begin: func() (err error) { before, err = r.cpu(); return err },
		end: func() error {
			after, err := r.cpu()
			took = after - before
			return err
		},
	}, &took
}

// timed does work in the namespace and notes rate and processor time.
func (b *bench) timed(r *running, note func(figure, float64), rate, cpu figure, work func(span) (done, error)) error {
	s, took := b.clocked(r)
	return b.ns.Do(func() error {
		d, err := work(s)
		if err != nil {
			return err
		}
		if d.count == 0 {
			return fmt.Errorf("nothing was done in %v", d.took)
		}
		note(rate, d.perSecond()/rate.unit)
		if r.cmd != nil {
			note(cpu, took.Seconds()/float64(d.count)*cpu.unit)
		}
		return nil
	})
}

// halfLoad asks half as often as HAProxy can at most.
func halfLoad(b *bench, r *running, note func(figure, float64)) error {
	if !(b.rate > 0) { // nor a number, if nothing was measured
		return fmt.Errorf("how much %s carries is not known: let the row kept run too", nameHA)
	}
	s, took := b.clocked(r)
	return b.ns.Do(func() error {
		times, err := arrivals(r.at, keptClients, b.rate, s)
		if err != nil {
			return err
		}
		if len(times) < 100 {
			return fmt.Errorf("only %d answers in %v", len(times), s.length)
		}
		slices.Sort(times)
		ms := func(part float64) float64 {
			return float64(times[int(part*float64(len(times)-1))]) / float64(time.Millisecond)
		}
		note(half50, ms(0.50))
		note(half99, ms(0.99))
		if r.cmd != nil {
			note(halfCPU, took.Seconds()/float64(len(times))*halfCPU.unit)
		}
		return nil
	})
}

// idleCosts counts what idle connections take.
func idleCosts(b *bench, r *running, note func(figure, float64)) error {
	if r.cmd == nil {
		return nil
	}
	memory, err := r.memory()
	if err != nil {
		return err
	}
	descriptors, err := r.descriptors()
	if err != nil {
		return err
	}
	return b.ns.Do(func() error {
		release, err := idle(r.at, b.idle)
		if err != nil {
			return err
		}
		defer release()
		time.Sleep(b.length / 2) // what is put off is done
		memoryAfter, err := r.memory()
		if err != nil {
			return err
		}
		descriptorsAfter, err := r.descriptors()
		if err != nil {
			return err
		}
		note(idleRSS, float64(memoryAfter-memory)/(1<<20)*10000/float64(b.idle))
		note(idleAll, float64(memoryAfter)/(1<<20))
		note(idleFDs, float64(descriptorsAfter-descriptors)/float64(b.idle))
		return nil
	})
}

// callsCounted is of how many connections the system calls are counted.
const callsCounted = 200

// systemCalls counts those of a new connection, with strace. It stops each
// thread at every call, so it is no time to measure rates.
func systemCalls(b *bench, r *running, note func(figure, float64)) error {
	if r.cmd == nil {
		return nil
	}
	file := filepath.Join(os.TempDir(), fmt.Sprintf("calls-%d", r.cmd.Process.Pid))
	defer os.Remove(file)
	args := []string{"-f", "-c", "-q", "-o", file}
	for _, pid := range r.processes {
		args = append(args, "-p", strconv.Itoa(pid))
	}
	cmd := exec.Command("strace", args...)
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := func() error {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait() // it ends with the signal
		return nil
	}
	if err := traced(r.processes); err != nil {
		_ = stop()
		return err
	}
	var d done
	err := b.ns.Do(func() (err error) {
		nothing := func() error { return nil }
		for d.count < callsCounted && err == nil {
			var part done
			part, err = newConnections(r.at, 1, span{length: 20 * time.Millisecond, begin: nothing, end: nothing})
			d.count += part.count + 1 // the one under way at the end
		}
		return err
	})
	if stop(); err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	calls, err := totalCalls(string(text))
	if err != nil {
		return err
	}
	note(newCalls, float64(calls)/float64(d.count))
	return nil
}

// traced waits until all threads have a tracer.
func traced(list processes) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		all := true
		for _, pid := range list {
			files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
			if err != nil {
				return err
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					continue
				}
				tracer, err := field(string(text), "TracerPid:")
				if err != nil {
					return err
				}
				all = all && tracer != 0
			}
		}
		if all {
			return nil
		}
	}
	return fmt.Errorf("strace did not take hold within %v", patience)
}

// totalCalls reads the sum of what strace -c prints.
func totalCalls(text string) (int64, error) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) >= 5 && words[len(words)-1] == "total" {
			return strconv.ParseInt(words[3], 10, 64)
		}
	}
	return 0, fmt.Errorf("no total in what strace said: %.500q", text)
}
