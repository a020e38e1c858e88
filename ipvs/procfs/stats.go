package procfs

import (
	"errors"
	"fmt"
	"io"

	"github.com/lvskit/lvskit/ipvs"
)

// maxFile bounds the files that are read as a whole. The largest has a line
// of 64 bytes for each of at most 8192 processors.
const maxFile = 1 << 20

// StatsPerCPU are the counters of a namespace by processor.
//
// Total is as in [ParseStats]. The counters of the processors run from when
// the namespace was made and are read at once, while the total is up to two
// seconds old and starts anew when it is set to zero; so they add up to the
// total only in a quiet namespace whose counters nobody has zeroed.
type StatsPerCPU struct {
	CPUs  []CPUStats `json:"cpus"`
	Total ipvs.Stats `json:"total"`
}

// CPUStats are the counters of one processor.
type CPUStats struct {
	CPU int `json:"cpu"`
	// Stats has no rates: the kernel estimates them for the total only.
	Stats ipvs.Stats `json:"stats"`
}

var errShortStats = errors.New("ends before its counters and rates")

// ParseStats reads the totals of a namespace in the form of
// /proc/net/ip_vs_stats: counters and rates of all its services together. The
// kernel totals them every two seconds, and leaves them as they are while
// run_estimation is off. A line at fault is a [*LineError].
func ParseStats(r io.Reader) (ipvs.Stats, error) {
	l, err := openFile(r, "Total")
	if err != nil {
		return ipvs.Stats{}, err
	}
	var s ipvs.Stats
	blocks := 0
	err = eachNumbers(l, func(first, rest []byte) error {
		block := counters(&s)
		if blocks == 1 {
			block = rates(&s)
		}
		if blocks++; blocks > 2 {
			return errors.New("a third line of numbers")
		}
		return parseNumbers(first, rest, block)
	})
	if err == nil && blocks < 2 {
		err = fmt.Errorf("%w: %w", ErrFormat, errShortStats)
	}
	if err != nil {
		return ipvs.Stats{}, err
	}
	return s, nil
}

// ParseStatsPerCPU reads the form of /proc/net/ip_vs_stats_percpu. A line at
// fault is a [*LineError].
func ParseStatsPerCPU(r io.Reader) (StatsPerCPU, error) {
	l, err := openFile(r, "Total")
	if err != nil {
		return StatsPerCPU{}, err
	}
	var s StatsPerCPU
	total, rated := false, false
	err = eachNumbers(l, func(first, rest []byte) error {
		if total {
			if rated {
				return errors.New("a second line of rates")
			}
			rated = true
			return parseNumbers(first, rest, rates(&s.Total))
		}
		if string(first) == "~" {
			total = true
			first, rest = cutField(rest)
			return parseNumbers(first, rest, counters(&s.Total))
		}
		cpu, ok := parseHex(first)
		if !ok || cpu > 1<<20 {
			return fmt.Errorf("processor %q: want a hexadecimal number", first)
		}
		c := CPUStats{CPU: int(cpu)}
		first, rest = cutField(rest)
		if err := parseNumbers(first, rest, counters(&c.Stats)); err != nil {
			return err
		}
		s.CPUs = append(s.CPUs, c)
		return nil
	})
	if err == nil && !rated {
		err = fmt.Errorf("%w: %w", ErrFormat, errShortStats)
	}
	if err != nil {
		return StatsPerCPU{}, err
	}
	return s, nil
}

// counters and rates are the columns of a block of numbers.
func counters(s *ipvs.Stats) [5]*uint64 {
	return [...]*uint64{&s.Connections, &s.InPackets, &s.OutPackets, &s.InBytes, &s.OutBytes}
}

func rates(s *ipvs.Stats) [5]*uint64 {
	return [...]*uint64{&s.CPS, &s.InPPS, &s.OutPPS, &s.InBPS, &s.OutBPS}
}

var errTooLarge = errors.New("the file is longer than any that the kernel writes")

// bounded fails behind the bytes that are left, where an io.LimitedReader
// would pretend that the file ends.
type bounded struct {
	r    io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// openFile reads the heading of a file and checks its first word.
func openFile(r io.Reader, heading string) (*lines, error) {
	l := newLines(&bounded{r, maxFile})
	line, err := l.next()
	if err == io.EOF {
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	} else if err != nil {
		return nil, err
	}
	if first, _ := cutField(line); string(first) != heading {
		return nil, fmt.Errorf("%w: want a heading that begins with %q, got %q", ErrFormat, heading, quotable(line))
	}
	return l, nil
}

// each calls f for the lines of a file up to the first error. A line at fault
// ends a file that is read as a whole.
func each(l *lines, f func(line []byte) error) error {
	for {
		line, err := l.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(line); err != nil {
			return l.fault(line, err)
		}
	}
}

// eachNumbers calls f for the lines of numbers, which the headings between
// them are not.
func eachNumbers(l *lines, f func(first, rest []byte) error) error {
	return each(l, func(line []byte) error {
		switch first, rest := cutField(line); string(first) {
		case "", "CPU", "Conns", "Conns/s":
			return nil
		default:
			return f(first, rest)
		}
	})
}

// parseNumbers reads a block's line: hexadecimal, without a mark of it.
func parseNumbers(first, rest []byte, into [5]*uint64) error {
	for i, p := range into {
		if i > 0 {
			first, rest = cutField(rest)
		}
		v, ok := parseHex(first)
		if !ok {
			return fmt.Errorf("column %d is %q: want a hexadecimal number", i+1, first)
		}
		*p = v
	}
	if first, _ = cutField(rest); len(first) > 0 {
		return fmt.Errorf("%q behind the last column", first)
	}
	return nil
}
