package ipvs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Ownership remembers in a small file which services are ours, so that a
// program that is started again knows what it may take out of the table
// although its configuration no longer names it. A [Reconciler] keeps it.
//
// The file is written before a service is added and after one is removed, so
// a crash between the two leaves a name too many and never one too few. It is
// replaced in one step. It should live where it dies with the table that it
// describes: below /run. An Ownership is safe for concurrent use.
type Ownership struct {
	path string

	// writing is held while the file is written, mu never: whoever asks what
	// is ours does not wait for a disk. It guards failed, why the last write
	// failed, and retryAt.
	writing sync.Mutex
	failed  error
	retryAt time.Time

	mu   sync.Mutex
	keys map[ServiceKey]struct{}
	// unsaved tells that the file does not have the keys.
	unsaved bool
}

// ownershipFile is the form of the file.
type ownershipFile struct {
	Schema   string       `json:"schema"`
	Services []ServiceKey `json:"services"`
}

const (
	ownershipSchema = "lvskit.state/v1"
	// maxOwnershipFile bounds what is read: some 140,000 services at the least.
	maxOwnershipFile = 8 << 20
)

// OpenOwnership reads the file at path; an absent file is an empty set, and
// an empty path keeps the set in memory only.
//
// It returns a usable set even with an error, an empty one: not to know what
// is ours means to touch less. The next write replaces the bad file; a caller
// who does not want that stops at the error, which names the file and the
// cure.
func OpenOwnership(path string) (*Ownership, error) {
	o := &Ownership{path: path, keys: make(map[ServiceKey]struct{})}
	if path == "" {
		return o, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return o, fmt.Errorf("state file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxOwnershipFile+1))
	if err != nil {
		return o, fmt.Errorf("state file: %w", err)
	}
	if len(data) > maxOwnershipFile {
		return o, fmt.Errorf("state file %s: more than the %d bytes that it can hold; remove it", path, maxOwnershipFile)
	}
	keys, err := parseOwnership(data)
	if err != nil {
		return o, fmt.Errorf("state file %s: %w; remove it, services that left the configuration then stay in the table", path, err)
	}
	for _, k := range keys {
		o.keys[k] = struct{}{}
	}
	return o, nil
}

func parseOwnership(data []byte) ([]ServiceKey, error) {
	var file ownershipFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	if file.Schema != ownershipSchema {
		return nil, fmt.Errorf("schema %q is not %q, another version wrote it", file.Schema, ownershipSchema)
	}
	return file.Services, nil
}

func formatOwnership(keys []ServiceKey) ([]byte, error) {
	data, err := json.MarshalIndent(ownershipFile{Schema: ownershipSchema, Services: keys}, "", "  ")
	return append(data, '\n'), err
}

// Has reports whether the service is ours.
func (o *Ownership) Has(k ServiceKey) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.keys[k]
	return ok
}

// Services returns the services that are ours, ordered by key.
func (o *Ownership) Services() []ServiceKey {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sorted()
}

func (o *Ownership) sorted() []ServiceKey {
	list := make([]ServiceKey, 0, len(o.keys))
	for k := range o.keys {
		list = append(list, k)
	}
	slices.SortFunc(list, ServiceKey.Compare)
	return list
}

// claim makes services ours and writes the file if it does not have them.
func (o *Ownership) claim(keys []ServiceKey) error {
	news := false
	o.mu.Lock()
	for _, k := range keys {
		if _, ok := o.keys[k]; !ok {
			o.keys[k] = struct{}{}
			o.unsaved, news = true, true
		}
	}
	o.mu.Unlock()
	return o.save(news)
}

// forget gives services up and writes the file if it has them.
func (o *Ownership) forget(keys []ServiceKey) error {
	news := false
	o.mu.Lock()
	for _, k := range keys {
		if _, ok := o.keys[k]; ok {
			delete(o.keys, k)
			o.unsaved, news = true, true
		}
	}
	o.mu.Unlock()
	return o.save(news)
}

// unless lists the services that are ours and that keep does not want.
func (o *Ownership) unless(keep func(ServiceKey) bool) []ServiceKey {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []ServiceKey
	for k := range o.keys {
		if !keep(k) {
			list = append(list, k)
		}
	}
	return list
}

// ownershipRetry is how long a write that failed waits for the next attempt
// when there is nothing new to write: it costs what the whole table costs.
const ownershipRetry = time.Second

// save writes what the file does not have yet; news tells that the caller
// added to that. What failed is tried again the next time.
func (o *Ownership) save(news bool) error {
	if o.path == "" {
		return nil
	}
	o.writing.Lock()
	defer o.writing.Unlock()
	o.mu.Lock()
	if !o.unsaved {
		o.mu.Unlock()
		return nil
	}
	if !news && time.Now().Before(o.retryAt) {
		o.mu.Unlock()
		return o.failed
	}
	keys := o.sorted()
	o.unsaved = false
	o.mu.Unlock()
	err := o.write(keys)
	if err != nil {
		o.failed, o.retryAt = err, time.Now().Add(ownershipRetry)
		o.mu.Lock()
		o.unsaved = true
		o.mu.Unlock()
	}
	return err
}

func (o *Ownership) write(keys []ServiceKey) error {
	data, err := formatOwnership(keys)
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	if len(data) > maxOwnershipFile {
		return fmt.Errorf("state file %s: %d services are more than it can hold", o.path, len(keys))
	}
	if err := replaceFile(o.path, data); err != nil {
		return fmt.Errorf("state file %s: %w", o.path, err)
	}
	return nil
}

// replaceFile writes a file in one step: a reader, or the next start, sees
// the old content or the new one and never a part.
func replaceFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return reasonOf(err)
	}
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return reasonOf(err)
	}
	_, err = tmp.Write(data)
	if err == nil {
		// The folder is not synced: a machine that stops loses the table, too.
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return reasonOf(err)
	}
	return nil
}

// reasonOf is an error with a file without the file's name: that of a
// temporary file is another one each time and nobody's.
func reasonOf(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}
