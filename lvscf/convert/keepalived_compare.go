package convert

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

// compare enters a loss for each thing that a configuration says and the other
// does not. More in the other is no loss.
func compare(l *ledger, from, to *lvscf.Config) {
	d := &differ{ledger: l, cfg: from, seen: map[string]bool{}}
	d.object("", "", tree(canonical(from)), tree(canonical(to)))
}

// tree turns a value into what JSON makes of it, under the names of the
// directives.
func tree(v any) map[string]any {
	text, err := json.Marshal(v)
	if err != nil {
		panic("convert: a configuration is not JSON: " + err.Error()) // all of its types are
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var out map[string]any
	if err := dec.Decode(&out); err != nil {
		panic("convert: " + err.Error())
	}
	return out
}

// differ finds differences.
type differ struct {
	ledger *ledger
	cfg    *lvscf.Config
	seen   map[string]bool
	// virtual is the block that the servers compared are in.
	virtual *lvscf.Virtual
}

// inherits reports whether a server has a thing from its virtual block, which
// is then where a loss is reported, and once.
func (d *differ) inherits(name, key string) bool {
	if d.virtual == nil {
		return false
	}
	for _, s := range d.virtual.Servers {
		if s.Name == name {
			switch key {
			case "checks":
				return s.Check == lvscf.CheckPiranha && len(s.Checks) == 0
			case "slow_start":
				return s.SlowStart == 0
			case "forward":
				return s.Forward == nil
			}
		}
	}
	return false
}

// blocksOf are the lists that hold blocks, with the word of each.
var blocksOf = map[string]string{"virtuals": "virtual", "failovers": "failover", "servers": "server", "vrrps": "vrrp", "checks": "check"}

// addressLists are the directives with an address or route that a router carries.
var addressLists = []string{"static_address", "floating_address", "address", "route"}

// object compares two blocks of a kind.
func (d *differ) object(path, kind string, from, to map[string]any) {
	keys := slices.Collect(maps.Keys(from))
	for k := range to {
		if _, ok := from[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	for _, k := range keys {
		word, isBlocks := blocksOf[k]
		list, _ := from[k].([]any)
		path := path
		if name, _ := from["name"].(string); kind == "server" && d.inherits(name, k) {
			path = path[:strings.LastIndex(path, " / server ")]
		}
		switch {
		case isBlocks:
			other, _ := to[k].([]any)
			d.blocks(path, word, list, other)
		case slices.Contains(addressLists, k):
			// That there are more is what became of another directive.
			other, _ := to[k].([]any)
			for _, e := range list {
				if !slices.ContainsFunc(other, func(o any) bool { return same(e, o) }) {
					d.lose(path, kind, k, e)
				}
			}
			if _, isList := from[k].([]any); from[k] != nil && !isList && !same(from[k], to[k]) {
				d.lose(path, kind, k, from[k])
			}
		case !same(from[k], to[k]):
			d.lose(path, kind, k, from[k])
		}
	}
}

// rank puts the blocks behind the directives.
func rank(key string) int {
	if blocksOf[key] != "" {
		return 1
	}
	return 0
}

func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

// blocks compares two lists of blocks, matched by their names; checks have
// none, and sorry servers may have lost theirs.
func (d *differ) blocks(path, word string, from, to []any) {
	taken := make([]bool, len(to))
	first := 0 // before it all are taken; mostly the one there is it
	for i, f := range from {
		block, _ := f.(map[string]any)
		name, _ := block["name"].(string)
		at := word + " " + strconv.Quote(name)
		if word == "check" {
			kind, _ := block["kind"].(string)
			at = word + " " + strconv.Quote(cmp.Or(kind, strconv.Itoa(i+1)))
		}
		if path != "" {
			at = path + " / " + at
		}
		for first < len(to) && taken[first] {
			first++
		}
		j := first
		for ; j < len(to); j++ {
			other, _ := to[j].(map[string]any)
			fits := other["name"] == name || block["sorry"] == true && other["sorry"] == true
			if word == "check" {
				fits = same(block["kind"], other["kind"])
			}
			if fits && !taken[j] {
				break
			}
		}
		if j == len(to) {
			d.loseBlock(at, word, block)
			continue
		}
		if word == "virtual" {
			d.virtual = &d.cfg.Virtuals[i]
		}
		d.object(at, word, block, to[j].(map[string]any))
		taken[j] = true
	}
}

func (d *differ) enter(path, what, why, nearest string) {
	path = cmp.Or(path, "global section")
	key := path + "\x00" + what
	if !d.seen[key] {
		d.seen[key] = true
		d.ledger.lose(Where{Path: path}, what, why, nearest)
	}
}

// lose enters a directive.
func (d *differ) lose(path, kind, key string, value any) {
	if value == nil && key == "failover_mode" {
		return // what it is for is told: heartbeats became VRRP
	}
	if list, ok := value.([]any); ok && key == "header" {
		value = headerNames(list)
	}
	what := key + " = " + written(value)
	switch {
	case value == nil:
		what = "no " + key
		if text := defaultOf(kind, key); text != "" {
			what = key + " = " + text + ", the default"
		}
	case kind == "check" && key == "rise" && d.reenters():
		what = fmt.Sprintf("reentry = %d", int64(d.virtual.Reentry/time.Second))
	}
	if kind == "check" && strings.HasPrefix(path, "vrrp ") {
		kind = "track"
	}
	why, nearest := exportReason(kind, key)
	if strings.HasPrefix(key, "syncd_") && !d.cfg.SyncDaemon {
		why, nearest = "with syncdaemon = 0 nothing is synchronised, and keepalived has no line for that", "leave it out, or write syncdaemon = 1"
	}
	d.enter(path, what, why, nearest)
}

// reenters reports whether the times that a check must succeed are those that
// reentry asks for.
func (d *differ) reenters() bool {
	if d.virtual == nil || d.virtual.Rise != 0 {
		return false
	}
	rises := func(cs []lvscf.Check) bool {
		return slices.ContainsFunc(cs, func(c lvscf.Check) bool { return c.Rise != 0 })
	}
	return !rises(d.virtual.Checks) && !slices.ContainsFunc(d.virtual.Servers, func(s lvscf.Server) bool { return rises(s.Checks) })
}

// defaultOf returns what a directive is when a file does not say.
func defaultOf(kind, key string) string {
	if kind == "" {
		kind = "global"
	}
	for _, d := range lvscf.Directives() {
		if d.Block == kind && d.Name == key {
			return d.Default
		}
	}
	return ""
}

// written returns a value about as a file has it.
func written(value any) string {
	switch v := value.(type) {
	case bool:
		return map[bool]string{false: "0", true: "1"}[v]
	case string:
		if v == "" || strings.ContainsAny(v, " \t") {
			return strconv.Quote(v)
		}
		return v
	case []any:
		var words []string
		for _, e := range v {
			words = append(words, written(e))
		}
		return strings.Join(words, ", ")
	case map[string]any:
		var words []string
		for _, key := range []string{"name", "addr", "address", "primary", "backup", "device"} {
			if v[key] != nil {
				words = append(words, written(v[key]))
			}
		}
		return strings.Join(words, " ")
	}
	return fmt.Sprint(value)
}

// headerNames leaves out the values of headers, which may be secrets.
func headerNames(lines []any) []any {
	var names []any
	for _, l := range lines {
		name, _, _ := strings.Cut(fmt.Sprint(l), ":")
		names = append(names, name+": ...")
	}
	return names
}

// asked returns the texts of a check.
func asked(check map[string]any) string {
	var parts []string
	for _, key := range []string{"send", "expect", "command"} {
		if text, _ := check[key].(string); text != "" {
			parts = append(parts, key+` = "`+clip(text)+`"`)
		}
	}
	return strings.Join(parts, ", ")
}

// loseBlock enters a whole block.
func (d *differ) loseBlock(path, word string, block map[string]any) {
	why, nearest := "keepalived has no such block", "nothing was written"
	addr, _ := block["address"].(map[string]any)
	switch {
	case word == "vrrp" && d.cfg.FailoverMode == lvscf.VRRPMode:
		why, nearest = "keepalived takes an instance without addresses for an error", "give it one"
	case word == "vrrp":
		why, nearest = "with failover_mode = pulse a vrrp block has no effect", "failover_mode = vrrp"
	case word == "failover" || d.cfg.Service == lvscf.FOS:
		why, nearest = "keepalived runs no failover services", "notify_master and notify_backup of a vrrp_instance, with programs that start and stop it"
	case word == "check" && strings.HasPrefix(path, "vrrp "):
		why, nearest = "a router of keepalived watches devices, and programs without quotes, and files whose number has a weight", "vrrp_script with a program that asks"
	case word == "check":
		why, nearest = "keepalived has no check of this kind, or reads its command otherwise", "TCP_CHECK was written, PING_CHECK over UDP, or HTTP_GET for a GET by hand; MISC_CHECK with a program asks more"
	case block["active"] == false:
		why, nearest = "it is not active, and keepalived has no switch for that", "leave it out, or make it active"
	case block["sorry"] == true:
		why, nearest = "keepalived has one sorry server for each virtual server", "the first one was written"
	case addr == nil && block["fwmark"] == nil:
		why, nearest = "it has no address", "write one"
	case addr != nil && addr["addr"] == nil && block["fwmark"] == nil:
		why, nearest = "keepalived looks no names up", "resolve the names first, or write the address"
	case word == "virtual":
		why, nearest = "keepalived ignores a virtual server without real servers", "give it an active server with an address; names must be resolved first"
	case word == "server":
		why, nearest = "its address and port stand twice, or it is of another family than the service", "one server for each address and port, of the family of the service"
	}
	what := "the " + word + " block"
	if asks := asked(block); word == "check" && asks != "" {
		what = asks + " of " + what
	}
	d.enter(path, what, why, nearest)
}
