package predict

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/lvskit/lvskit/sched"
)

// Candidate is a scheduler with its flags.
type Candidate struct {
	Scheduler string
	Flags     sched.Flags
}

// String returns "sh", or "sh (fallback)".
func (c Candidate) String() string {
	if c.Flags == 0 {
		return c.Scheduler
	}
	return fmt.Sprintf("%s (%v)", c.Scheduler, c.Flags)
}

// Report compares what candidates make of a change.
type Report struct {
	// Servers are the names of all, in the order of the list; one that is
	// added stands at the end.
	Servers []string
	// Clients is their number.
	Clients int
	Rows    []Row
}

// Row is what one candidate makes of it.
type Row struct {
	Candidate
	// Certain tells whether the answer holds for each client, see
	// [Certain]; the numbers are shares otherwise.
	Certain bool
	// Before and After count the clients of each server of the report, and
	// Refused before and after those of none.
	Before, After               []int
	RefusedBefore, RefusedAfter int
	// Moved are the clients that get another server than before, and
	// Needless those of them whose server would still take them. Both are
	// for Certain rows only, and zero in others.
	Moved, Needless int
}

// Compare asks each candidate where the clients go, before the change and
// after it. Without a change (nil) both are the same. No candidates means the
// service as it is.
func Compare(s Service, change *Change, candidates []Candidate, clients []netip.AddrPort) (*Report, error) {
	if len(clients) > MaxClients {
		return nil, fmt.Errorf("%d clients: want at most %d", len(clients), MaxClients)
	}
	if len(candidates) == 0 {
		candidates = []Candidate{{s.Scheduler, s.Flags}}
	}
	rep := &Report{Clients: len(clients)}
	for _, r := range s.Servers {
		rep.Servers = append(rep.Servers, r.Name)
	}
	if change != nil && change.Op == Add {
		rep.Servers = append(rep.Servers, change.Server)
	}
	for _, c := range candidates {
		s.Scheduler, s.Flags = c.Scheduler, c.Flags
		row, err := s.row(c, change, rep.Servers, clients)
		if err != nil {
			return nil, err
		}
		rep.Rows = append(rep.Rows, row)
	}
	return rep, nil
}

func (s Service) row(c Candidate, change *Change, servers []string, clients []netip.AddrPort) (Row, error) {
	row := Row{Candidate: c, Certain: s.Certain()}
	t, err := s.build()
	if err != nil {
		return row, err
	}
	before := t.ask(clients, !row.Certain)
	after := before
	if change != nil {
		if !row.Certain {
			// A table without connections, so that the shares are those
			// that the change leads to, and not the way there.
			if t, err = s.build(); err != nil {
				return row, err
			}
		}
		if err := t.apply(*change); err != nil {
			return row, err
		}
		after = t.ask(clients, !row.Certain)
	}
	row.Before, row.RefusedBefore = count(before, servers)
	row.After, row.RefusedAfter = count(after, servers)
	if !row.Certain {
		return row, nil
	}
	for i, was := range before {
		if was == after[i] {
			continue
		}
		row.Moved++
		if gone := change.Server == was && (change.Op == Remove || change.Weight == 0); was != "" && !gone {
			row.Needless++
		}
	}
	return row, nil
}

func count(placed, servers []string) (counts []int, refused int) {
	at := map[string]int{}
	for i, name := range servers {
		at[name] = i
	}
	counts = make([]int, len(servers))
	for _, name := range placed {
		if name == "" {
			refused++
			continue
		}
		counts[at[name]]++
	}
	return counts, refused
}

// Candidates returns what is worth comparing with a service: itself first,
// then the hashing schedulers without and with fallback, then the others.
func Candidates(s Service) []Candidate {
	out := []Candidate{{s.Scheduler, s.Flags}}
	add := func(c Candidate) {
		if !slices.Contains(out, c) && slices.Contains(sched.Names(), c.Scheduler) {
			out = append(out, c)
		}
	}
	for _, name := range []string{"sh", "mh"} {
		add(Candidate{name, 0})
		add(Candidate{name, sched.FlagFallback})
	}
	for _, name := range []string{"wlc", "lc", "sed", "nq", "wrr", "rr", "twos"} {
		add(Candidate{Scheduler: name})
	}
	return out
}
