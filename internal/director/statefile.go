package director

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/lvskit/lvskit/ipvs"
)

// ownership remembers which services of the table are ours: those that we
// may take out again although the configuration no longer names them. It is
// written before a service is added, so a crash between the two leaves a
// name too many, which is harmless, and never one too few.
type ownership struct {
	path string
	keys map[ipvs.ServiceKey]bool
	// unsaved tells that the file does not have the keys: a write failed.
	unsaved bool
}

type ownershipFile struct {
	Schema   string            `json:"schema"`
	Services []ipvs.ServiceKey `json:"services"`
}

const (
	ownershipSchema = "lvskit.state/v1"
	// maxStateFile bounds what is read: some 100,000 services.
	maxStateFile = 8 << 20
)

// openOwnership reads the file at path; an absent one is an empty set. On an
// error the set is empty and usable all the same: not knowing what is ours
// means to touch less.
func openOwnership(path string) (*ownership, error) {
	o := &ownership{path: path, keys: make(map[ipvs.ServiceKey]bool)}
	if path == "" {
		return o, nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return o, fmt.Errorf("state file: %w", err)
	}
	if info.Size() > maxStateFile {
		return o, fmt.Errorf("state file %s: %d bytes are more than it can hold; remove it", path, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return o, fmt.Errorf("state file: %w", err)
	}
	var f ownershipFile
	if err := json.Unmarshal(data, &f); err != nil {
		return o, fmt.Errorf("state file %s: %w; remove it, services that left the configuration then stay in the table", path, err)
	}
	if f.Schema != ownershipSchema {
		return o, fmt.Errorf("state file %s: schema %q is not %q; remove it", path, f.Schema, ownershipSchema)
	}
	for _, k := range f.Services {
		o.keys[k] = true
	}
	return o, nil
}

func (o *ownership) has(k ipvs.ServiceKey) bool { return o.keys[k] }

// claim makes keys ours and writes the file if it does not have them.
func (o *ownership) claim(keys []ipvs.ServiceKey) error {
	for _, k := range keys {
		if !o.keys[k] {
			o.keys[k] = true
			o.unsaved = true
		}
	}
	return o.save()
}

// keepOnly forgets all keys but those given and writes the file if it has
// others.
func (o *ownership) keepOnly(keep map[ipvs.ServiceKey]bool) error {
	for k := range o.keys {
		if !keep[k] {
			delete(o.keys, k)
			o.unsaved = true
		}
	}
	return o.save()
}

// save writes what the file does not have yet; what failed is tried again the
// next time.
func (o *ownership) save() error {
	if o.path == "" || !o.unsaved {
		return nil
	}
	f := ownershipFile{Schema: ownershipSchema, Services: make([]ipvs.ServiceKey, 0, len(o.keys))}
	for k := range o.keys {
		f.Services = append(f.Services, k)
	}
	slices.SortFunc(f.Services, ipvs.ServiceKey.Compare)
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	dir := filepath.Dir(o.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	// Replace in one step: a reader, or the next start, sees the old set or
	// the new one and never half a file.
	tmp, err := os.CreateTemp(dir, filepath.Base(o.path)+".*")
	if err != nil {
		// The name that was tried is another one each time and nobody's.
		return fmt.Errorf("state file %s: %w", o.path, reasonOf(err))
	}
	_, err = tmp.Write(append(data, '\n'))
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), o.path)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("state file: %w", err)
	}
	o.unsaved = false
	return nil
}
