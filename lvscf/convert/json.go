package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lvskit/lvskit/lvscf"
)

// MaxJSONSize is the most bytes of a configuration in JSON.
const MaxJSONSize = 64 << 20

// FromJSON reads a configuration from the JSON form that lvscf describes by a
// schema. What is missing has the daemons' defaults, in blocks too. What is no
// such form, or has a field that is unknown there, gives a
// [*lvscf.InvalidFileError]; the name is for messages. Everything else is
// carried.
func FromJSON(name string, text []byte) (*lvscf.Config, error) {
	d := &jsonReader{name: name, text: text, known: jsonFields()}
	c := d.config()
	if err := d.faults.err(); err != nil {
		return nil, err
	}
	c.Path = name
	return c, nil
}

// ToJSON writes a configuration in its JSON form, which carries all of it.
func ToJSON(c *lvscf.Config) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(c); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

type jsonReader struct {
	name   string
	text   []byte
	known  map[string]map[string]bool
	faults faults
}

// jsonFields are the fields of each kind of block: its directives, its name,
// and the blocks within it.
func jsonFields() map[string]map[string]bool {
	known := map[string]map[string]bool{}
	for block, more := range map[string]string{
		"global": "$schema virtuals failovers vrrps", "virtual": "name device servers checks", "server": "name checks",
		"check": "name", "vrrp": "name checks",
	} {
		known[block] = map[string]bool{}
		for word := range strings.FieldsSeq(more) {
			known[block][word] = true
		}
	}
	for _, d := range lvscf.Directives() {
		if known[d.Block] == nil {
			known[d.Block] = map[string]bool{}
		}
		known[d.Block][d.Name] = true
	}
	return known
}

func (d *jsonReader) fail(path, message, cure string) {
	d.failAt(lvscf.Pos{Line: 1, Column: 1}, path, message, cure)
}

func (d *jsonReader) failAt(pos lvscf.Pos, path, message, cure string) {
	if path != "" {
		message = path + ": " + message
	}
	d.faults.add(Where{File: d.name, Pos: pos}, "", message, cure)
}

// read fills a value, and says where a text is no JSON at all.
func (d *jsonReader) read(text []byte, path string, to any) bool {
	err := json.Unmarshal(text, to)
	if err == nil {
		return true
	}
	if e := (*json.SyntaxError)(nil); errors.As(err, &e) && path == "" {
		before := d.text[:max(0, min(int(e.Offset)-1, len(d.text)))]
		line := bytes.Count(before, []byte("\n")) + 1
		column := len(before) - bytes.LastIndexByte(before, '\n')
		d.failAt(lvscf.Pos{Line: line, Column: column}, "", "no JSON: "+err.Error(), "mend the text, or say --from if it is no JSON")
		return false
	}
	d.fail(path, err.Error(), "see the JSON schema of lvs.cf")
	return false
}

// object reads a block as its fields and judges their names.
func (d *jsonReader) object(text []byte, block, path string) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if !d.read(text, path, &fields) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !d.known[block][name] {
			d.fail(path, fmt.Sprintf("unknown field %q", clip(name)), "remove it; the fields are named like the directives of a "+block+" block")
		}
	}
	return fields
}

func (d *jsonReader) list(text json.RawMessage, path string) []json.RawMessage {
	var list []json.RawMessage
	if len(text) > 0 {
		d.read(text, path, &list)
	}
	return list
}

func (d *jsonReader) config() *lvscf.Config {
	c := lvscf.NewConfig()
	if len(d.text) > MaxJSONSize {
		d.fail("", fmt.Sprintf("more than %d bytes", MaxJSONSize), "split the configuration")
		return c
	}
	fields := d.object(d.text, "global", "")
	if fields == nil {
		if d.faults.list == nil {
			d.fail("", "no object of JSON", "write a configuration in braces")
		}
		return c
	}
	virtuals, failovers := fields["virtuals"], fields["failovers"]
	for _, r := range d.list(fields["vrrps"], "vrrps") {
		if fields := d.object(r, "vrrp", "vrrp"); fields != nil {
			for _, k := range d.list(fields["checks"], "checks") {
				d.object(k, "check", "check")
			}
		}
	}
	for _, gone := range []string{"$schema", "virtuals", "failovers"} {
		delete(fields, gone)
	}
	rest, err := json.Marshal(fields)
	if err != nil {
		d.fail("", err.Error(), "see the JSON schema of lvs.cf")
		return c
	}
	d.read(rest, "the global section", c)
	c.Virtuals = d.virtuals(virtuals, "virtual")
	c.Failovers = d.virtuals(failovers, "failover")
	return c
}

func (d *jsonReader) virtuals(text json.RawMessage, word string) []lvscf.Virtual {
	var out []lvscf.Virtual
	for i, one := range d.list(text, word+"s") {
		path := fmt.Sprintf("%s %d", word, i+1)
		fields := d.object(one, "virtual", path)
		servers := fields["servers"]
		d.checks(fields["checks"], path)
		delete(fields, "servers")
		v := lvscf.NewVirtual("")
		if rest, err := json.Marshal(fields); err != nil || !d.read(rest, path, &v) {
			continue
		}
		for j, s := range d.list(servers, path+": servers") {
			path := fmt.Sprintf("%s, server %d", path, j+1)
			fields := d.object(s, "server", path)
			d.checks(fields["checks"], path)
			r := lvscf.NewServer("", v.Port)
			if fields != nil && d.read(s, path, &r) {
				v.Servers = append(v.Servers, r)
			}
		}
		out = append(out, v)
	}
	return out
}

func (d *jsonReader) checks(text json.RawMessage, path string) {
	for i, one := range d.list(text, path+": checks") {
		d.object(one, "check", fmt.Sprintf("%s, check %d", path, i+1))
	}
}
