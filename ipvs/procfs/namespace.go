package procfs

import (
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/lvskit/lvskit/ipvs"
)

// Namespace gives what IPVS tells of one network namespace. [Open] makes it.
// It is safe for concurrent use. After Close, all its methods fail with
// [fs.ErrClosed]; a file that a range over connections has open stays open
// until the range ends.
//
// Errors are [*Error]; what is wrong inside a file is a [*LineError].
type Namespace struct {
	path string // as given, for errors
	// enter runs a function on a thread that is in the namespace.
	enter          func(func() error) error
	close          func() error
	netDir, sysDir string
}

// The folders as the kernel shows them to a thread. /proc/net would be that
// of the thread that the process began with.
const (
	procNet = "/proc/thread-self/net"
	procSys = "/proc/sys/net/ipv4/vs"
)

// The files, in procNet.
const (
	fileConnections = "ip_vs_conn"
	fileSync        = "ip_vs_conn_sync"
	fileStats       = "ip_vs_stats"
	filePerCPU      = "ip_vs_stats_percpu"
	fileStatus      = "ip_vs_status"
	fileApps        = "ip_vs_app"
)

// Close gives the namespace up.
func (n *Namespace) Close() error { return n.close() }

// Connections reads the connection table, opened anew for each range. See
// [ParseConnections] for what it yields and when it goes on after an error.
//
// The table may change meanwhile. The kernel gives a page of rows at a time
// and finds the place to go on by counting rows from the beginning, so rows
// that come and go make it repeat some and miss others: for a count that is
// harmless, for more compare two readings. Finding the place also makes the
// cost of a whole reading grow with the square of the table, whoever reads:
// in a guest with Linux 6.12, 10,000 rows took 27 ms and 40,000 took 2.6 s.
func (n *Namespace) Connections() iter.Seq2[Connection, error] { return n.connections(fileConnections) }

// SyncConnections reads the same table with the origin of each row and
// without the data of persistence engines.
func (n *Namespace) SyncConnections() iter.Seq2[Connection, error] { return n.connections(fileSync) }

func (n *Namespace) connections(name string) iter.Seq2[Connection, error] {
	return func(yield func(Connection, error) bool) {
		f, err := n.open(name)
		if err != nil {
			yield(Connection{}, err)
			return
		}
		defer f.Close()
		for c, err := range ParseConnections(f) {
			if err != nil && !isLineError(err) {
				err = n.readError(name, err)
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// Stats reads the totals; see [ParseStats].
func (n *Namespace) Stats() (ipvs.Stats, error) { return whole(n, fileStats, ParseStats) }

// StatsPerCPU reads the totals by processor.
func (n *Namespace) StatsPerCPU() (StatsPerCPU, error) { return whole(n, filePerCPU, ParseStatsPerCPU) }

// Status reads the state of the hash tables and estimators. Kernels before
// 7.1 do not have it: the error is [errors.ErrUnsupported]. It is for root
// only on some of those that do.
func (n *Namespace) Status() (Status, error) { return whole(n, fileStatus, ParseStatus) }

// Apps reads the application helpers and the ports they are registered on.
func (n *Namespace) Apps() ([]App, error) { return whole(n, fileApps, ParseApps) }

// whole reads a file that is not large.
func whole[T any](n *Namespace, name string, parse func(io.Reader) (T, error)) (T, error) {
	f, err := n.open(name)
	if err != nil {
		var none T
		return none, err
	}
	defer f.Close()
	v, err := parse(f)
	if err != nil {
		return v, n.readError(name, err)
	}
	return v, nil
}

// open opens a file of procNet. The file keeps the namespace it was opened
// in, whoever reads it.
func (n *Namespace) open(name string) (f *os.File, err error) {
	err = n.enter(func() (err error) {
		f, err = os.Open(filepath.Join(n.netDir, name))
		if err == nil {
			return nil
		}
		absent := "this kernel's IPVS does not have it"
		if name == fileStatus {
			absent = "Linux has it from 7.1 on"
		}
		return explain(&Error{Op: opOpen, Name: name, NetNS: n.path, Err: err}, n.loaded, absent)
	})
	if e := (*Error)(nil); err != nil && !errors.As(err, &e) {
		err = explain(&Error{Op: opOpen, Name: name, NetNS: n.path, Err: err}, func() bool { return true }, "")
	}
	return f, err
}

// loaded reports whether IPVS is in this kernel. It is for threads that are
// in the namespace.
func (n *Namespace) loaded() bool {
	_, err := os.Stat(filepath.Join(n.netDir, fileStats))
	return !errors.Is(err, fs.ErrNotExist)
}

func (n *Namespace) readError(name string, err error) error {
	return explain(&Error{Op: opRead, Name: name, NetNS: n.path, Err: err}, func() bool { return true }, "")
}

// sysctlName returns the name as sysctl(8) writes it; the folder's if empty.
func sysctlName(name Name) string {
	return strings.TrimSuffix("net.ipv4.vs."+string(name), ".")
}

// validName reports whether a name is a plain file name of a sysctl.
func validName(name Name) bool {
	const longest = 64
	return name != "" && len(name) <= longest && strings.Trim(string(name), "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
