package lvscf

import (
	"fmt"
	"path"
)

// Dialect is how strictly a file is read.
type Dialect uint8

// The dialects. The zero value, Lenient, reads what people write: it accepts
// with a warning what has one clear meaning although Piranha refuses it, reads
// numbers with leading zeros as decimal, and has the extensions of lvskit.
// Strict is Piranha's own grammar: what its daemons refuse is an error.
//
// What Strict accepts, Lenient accepts too, and with the same meaning, but for
// numbers with leading zeros.
const (
	Lenient Dialect = iota
	Strict
)

var dialectWords = []string{Lenient: "lenient", Strict: "strict"}

// String returns "lenient" or "strict", or the number of an unknown value.
func (d Dialect) String() string { return wordOf(dialectWords, int(d)) }

// MarshalText writes the same text as String.
func (d Dialect) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Dialect) UnmarshalText(text []byte) error {
	for n, w := range dialectWords {
		if w == string(text) {
			*d = Dialect(n)
			return nil
		}
	}
	return fmt.Errorf("dialect %q: want lenient or strict", text)
}

// Options say how to read a file. The zero value is what [Parse] and [Load]
// use.
type Options struct {
	// Dialect is Lenient or Strict.
	Dialect Dialect
	// Include reads the files that include directives name, for Load; nil
	// reads none and warns. Their names are joined to the folder of the file
	// that includes them. It need not read more than [MaxSize] bytes.
	Include func(path string) ([]byte, error)
}

// Parse is [Parse] with options.
func (o Options) Parse(name string, src []byte) (*File, Diagnostics) {
	c := &collector{file: name, dialect: o.Dialect}
	f := parse(c, name, src)
	return f, c.finish()
}

// Load is [Load] with options.
func (o Options) Load(name string, src []byte) (*Config, Diagnostics) {
	c := &collector{file: name, dialect: o.Dialect}
	var inc *includer
	if o.Include != nil {
		inc = &includer{read: o.Include, open: []string{path.Clean(name)}}
	}
	cfg := parse(c, name, src).configWith(c, inc)
	ds := c.finish()
	if ds.HasErrors() {
		return nil, ds
	}
	return cfg, ds
}
