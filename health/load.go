package health

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Load is how much a server has to do, as a check found it out: its load
// averages, the number of tasks that run or wait for a processor (and on Linux
// for a disk) as means over the last minutes (proc_loadavg(5)).
type Load struct {
	// One is the mean over the last minute, a finite number from 0 on. It is
	// the one that weights follow.
	One float64 `json:"load1"`
	// Five and Fifteen are those over the last five and fifteen minutes; both
	// are 0 where the server tells only one number.
	Five    float64 `json:"load5,omitempty"`
	Fifteen float64 `json:"load15,omitempty"`
	// Cores is how many processors carry the load; 0 means unknown.
	Cores int `json:"cores,omitempty"`
}

// maxLoad is the highest load that is believed: more tasks than a Linux can
// have (PID_MAX_LIMIT, include/linux/threads.h). maxCores is more processors
// than it can have (NR_CPUS, arch/x86/Kconfig).
const (
	maxLoad  = 4 << 20
	maxCores = 8192
)

// String returns the load in words, such as "load 0.52 0.41 0.30 on 4 cores",
// without what is unknown.
func (l Load) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "load %.2f", l.One)
	if l.Five != 0 || l.Fifteen != 0 {
		fmt.Fprintf(&b, " %.2f %.2f", l.Five, l.Fifteen)
	}
	switch {
	case l.Cores == 1:
		b.WriteString(" on 1 core")
	case l.Cores > 1:
		fmt.Fprintf(&b, " on %d cores", l.Cores)
	}
	return b.String()
}

// check tells what of a load cannot be, wherever it came from.
func (l Load) check() error {
	for _, v := range []float64{l.One, l.Five, l.Fifteen} {
		if math.IsNaN(v) || v < 0 || v > maxLoad {
			return unwanted("%v is no load average", v)
		}
	}
	if l.Cores < 0 || l.Cores > maxCores {
		return unwanted("%d is no number of processors", l.Cores)
	}
	return nil
}

// loaded ends the attempt with the load that was found.
func (a *attempt) loaded(phase string, l Load, more string) Result {
	if err := l.check(); err != nil {
		return a.failedOr(phase, err)
	}
	r := a.ok(phase, l.String()+more)
	r.Load = &l
	return r
}

// failedOr ends the attempt because of an error, or of an answer that was not
// as wanted.
func (a *attempt) failedOr(phase string, err error) Result {
	var bad unexpected
	if errors.As(err, &bad) {
		return a.wrong(phase, "%s", string(bad))
	}
	return a.failed(phase, err)
}
