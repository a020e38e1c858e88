package lvscf

import (
	"iter"
	"math/bits"
	"slices"
)

// blockMask is a set of places where a directive may stand.
type blockMask uint8

const (
	inGlobal blockMask = 1 << iota
	inVirtual
	inServer
	inCheck
	inVRRP

	// places is their number.
	places    = 5
	allPlaces = inGlobal | inVirtual | inServer | inCheck | inVRRP
)

// each passes the places of a set one by one.
func (m blockMask) each() iter.Seq[blockMask] {
	return func(yield func(blockMask) bool) {
		for place := inGlobal; place <= m; place <<= 1 {
			if m&place != 0 && !yield(place) {
				return
			}
		}
	}
}

// sinceExtensions is the version that brought the first extensions.
const sinceExtensions = "0.2"

// directive is one row of the table: everything there is to know of a
// directive stands in its row.
type directive struct {
	name  string
	where blockMask
	// kind is the type in words, def the daemons' default as text ("" is
	// none), example a value to show.
	kind, def, example string
	// args is the number of values; listArgs is a list in brackets.
	args int
	// words are the only values there are, in the order of the documentation.
	words []string
	// repeats tells that each line adds a value; otherwise the last counts.
	repeats bool
	// since is the version that brought an extension, "" for Piranha's own.
	since string
	// kinds are the kinds of check that read it; none is all.
	kinds []CheckKind
	doc   string
	// set is where the value goes, and how it is written.
	set setting
}

const listArgs = -1

// The readers that the rows share.
var (
	boolean  = (*values).boolean
	text     = (*values).text
	mask     = (*values).mask
	needHost = func(v *values) (Host, bool) { return v.host(true) }
	mayHost  = func(v *values) (Host, bool) { return v.host(false) }
	duration = (*values).duration
	command  = (*values).command
	filePath = (*values).path
	device   = (*values).interfaceName
	aPort    = func(v *values) (uint16, bool) { return v.port(true) }
)

// directives is the language, within each place in the order of the
// documentation.
var directives = slices.Concat(
	globalDirectives, vrrpDirectives, globalExtensions,
	virtualDirectives, checkDirectives, virtualExtensions,
	serverDirectives, serverExtensions,
)

// namesakes are the directives of one name, by the bit of their place.
type namesakes struct {
	where blockMask
	at    [places]*directive
}

// directiveIndex finds directives by their name.
var directiveIndex = func() map[string]*namesakes {
	index := make(map[string]*namesakes, len(directives))
	for i := range directives {
		d := &directives[i]
		n := index[d.name]
		if n == nil {
			n = &namesakes{}
			index[d.name] = n
		}
		for where := range d.where.each() {
			n.where |= where
			n.at[bits.TrailingZeros8(uint8(where))] = d
		}
	}
	return index
}()

// findDirective returns the directive of that name in that place, or nil.
func findDirective(name string, where blockMask) *directive {
	if n := directiveIndex[name]; n != nil && where != 0 {
		return n.at[bits.TrailingZeros8(uint8(where))]
	}
	return nil
}

// blocksOf returns the places where a directive may stand.
func blocksOf(name string) (where blockMask) {
	if n := directiveIndex[name]; n != nil {
		return n.where
	}
	return 0
}

// directiveNames returns the names of the directives of some places.
func directiveNames(where blockMask) []string {
	var names []string
	for i := range directives {
		if d := &directives[i]; d.where&where != 0 {
			names = append(names, d.name)
		}
	}
	return names
}

// Directive describes one directive of the language, in one of its places.
type Directive struct {
	// Name is how the directive is written.
	Name string `json:"name"`
	// Block is where it may stand: "global", "virtual" (failover blocks
	// included), "server", "check" or "vrrp".
	Block string `json:"block"`
	// Type is the kind of its value, in words.
	Type string `json:"type"`
	// Words are the values that it takes, when it takes no others.
	Words []string `json:"words,omitempty"`
	// Default is what the daemons assume without it, "" if nothing.
	Default string `json:"default,omitempty"`
	// Example is a value that it accepts.
	Example string `json:"example"`
	// Repeats tells that each line adds a value; otherwise the last counts.
	Repeats bool `json:"repeats,omitempty"`
	// Since is the version of lvskit that brought an extension, "" for a
	// directive of Piranha's. The strict dialect refuses extensions.
	Since string `json:"since,omitempty"`
	// Kinds are the kinds of check that read it, in a check block; none is
	// all of them.
	Kinds []CheckKind `json:"kinds,omitempty"`
	// Doc says what it does.
	Doc string `json:"doc"`
}

// Directives returns a new list of all directives of the language, place by
// place; one that may stand in several places comes once for each.
func Directives() []Directive {
	var out []Directive
	for place := range allPlaces.each() {
		for _, d := range directives {
			if d.where&place == 0 {
				continue
			}
			out = append(out, Directive{
				Name: d.name, Block: place.String(), Type: d.kind, Words: slices.Clone(d.words), Default: d.def,
				Example: d.example, Repeats: d.repeats, Since: d.since, Kinds: slices.Clone(d.kinds), Doc: d.doc,
			})
		}
	}
	return out
}

func (m blockMask) String() string {
	switch m {
	case inGlobal:
		return "global"
	case inVirtual:
		return "virtual"
	case inServer:
		return "server"
	case inCheck:
		return "check"
	}
	return "vrrp"
}
