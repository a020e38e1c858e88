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

// effectiveChecks returns what a server is asked, in one form for all that
// means the same: nothing is left to inherit, limits that cannot be reached
// are gone, and a connect is one whatever it is called.
func effectiveChecks(v *lvscf.Virtual, s *lvscf.Server) []lvscf.Check {
	out := v.ChecksOf(s)
	for i := range out {
		c := &out[i]
		if c.Kind == lvscf.CheckNone {
			*c = lvscf.Check{Kind: lvscf.CheckNone}
		}
		c.Name, c.Origins, c.Pos = "", nil, lvscf.Pos{}
		if c.Kind == lvscf.CheckPiranha {
			piranhaCheck(v, s, c)
		}
		if portKinds(c.Kind) {
			c.Port = cmp.Or(c.Port, s.Port)
		} else {
			c.Port = 0
		}
		c.FastInterval = cmp.Or(c.FastInterval, c.Interval)
		c.DownInterval = cmp.Or(c.DownInterval, c.Interval)
		if c.Fall <= 1 && c.Rise <= 1 || c.FastInterval == c.Interval {
			c.FastInterval = 0 // never used, or no other
		}
		effectiveLimits(c)
		switch c.Kind {
		case lvscf.CheckHTTP, lvscf.CheckHTTPS:
			if c.Path == "/" {
				c.Path = ""
			}
			if c.Method == "GET" {
				c.Method = ""
			}
			if c.Status.String() == "200-299" {
				c.Status = nil
			}
			if c.Kind == lvscf.CheckHTTP && !c.TLS {
				c.Verify = true // of nothing
			}
			if c.ServerName == c.Host {
				c.ServerName = ""
			}
		case lvscf.CheckDNS:
			c.Query = cmp.Or(c.Query, ".")
			if c.QueryType == "" {
				c.QueryType = "A"
				if c.Query == "." {
					c.QueryType = "SOA"
				}
			}
		case lvscf.CheckUDP:
			c.RequireReply = c.RequireReply || c.Expect != ""
		case lvscf.CheckScript:
			c.Command = withTarget(c.Command, s)
		}
		if !c.UsesTLS() {
			c.Verify = true
		}
	}
	return out
}

// portKinds reports whether a kind of check asks at a port.
func portKinds(k lvscf.CheckKind) bool {
	return k != lvscf.CheckNone && k != lvscf.CheckPing && k != lvscf.CheckFile && k != lvscf.CheckScript
}

// piranhaCheck names the kind of what send, expect and send_program ask for.
func piranhaCheck(v *lvscf.Virtual, s *lvscf.Server, c *lvscf.Check) {
	switch {
	case c.Command != "":
		c.Kind = lvscf.CheckScript
	case c.Send == "" && c.Expect == "" && v.Port == 80 && v.Protocol == lvscf.TCP:
		// Piranha's own question for this port.
		c.Kind, c.Send, c.Expect = lvscf.CheckText, `GET / HTTP/1.0\r\n\r\n`, "HTTP"
	case c.Send == "" && c.Expect == "" && v.Protocol == lvscf.TCP:
		c.Kind = lvscf.CheckTCP
	case v.Protocol == lvscf.UDP:
		c.Kind = lvscf.CheckUDP
	default:
		c.Kind = lvscf.CheckText
	}
}

// effectiveLimits keeps the limits that a kind of check can reach.
func effectiveLimits(c *lvscf.Check) {
	within := func(d, limit time.Duration) time.Duration {
		if d == 0 || limit > 0 && d > limit {
			return limit
		}
		return d
	}
	switch c.Kind {
	case lvscf.CheckHTTP, lvscf.CheckHTTPS, lvscf.CheckSMTP:
		c.ConnectTimeout = within(c.ConnectTimeout, c.Timeout)
		c.ReadTimeout = within(c.ReadTimeout, c.Timeout)
		c.TLSTimeout = within(c.TLSTimeout, c.Timeout)
		if c.Kind != lvscf.CheckHTTPS && !c.TLS {
			c.TLSTimeout = 0
		}
		return
	case lvscf.CheckTCP:
		c.Timeout = within(c.ConnectTimeout, c.Timeout)
	case lvscf.CheckUDP, lvscf.CheckDNS, lvscf.CheckPing:
		c.Timeout = within(c.ReadTimeout, c.Timeout)
	}
	c.ConnectTimeout, c.ReadTimeout, c.TLSTimeout = 0, 0, 0
}

// withTarget puts a server's address and port into a command.
func withTarget(command string, s *lvscf.Server) string {
	words := strings.Split(command, " ")
	for i, w := range words {
		switch w {
		case "%h":
			words[i] = s.Address.String()
		case "%p":
			words[i] = strconv.Itoa(int(s.Port))
		}
	}
	return strings.Join(words, " ")
}

// canonical returns a configuration in one form for all that means the same:
// what a block hands down is said in each of those below.
func canonical(c *lvscf.Config) *lvscf.Config {
	out := *c
	out.Path, out.Origins = "", nil
	out.Network = lvscf.NAT
	out.Virtuals = slices.Clone(c.Virtuals)
	if !c.SyncDaemon {
		out.SyncdIface, out.SyncdID = "", 0 // of nothing
	}
	for i := range out.Virtuals {
		v := &out.Virtuals[i]
		v.Servers = slices.Clone(v.Servers)
		sorry := sorryServers(v)
		v.Servers = slices.DeleteFunc(v.Servers, func(s lvscf.Server) bool { return s.Sorry })
		v.Servers = append(v.Servers, sorry...)
		for j := range v.Servers {
			canonicalServer(c, &c.Virtuals[i], &v.Servers[j])
		}
		v.SorryServer = sorryNone
		plain := lvscf.NewVirtual(v.Name)
		v.Forward, v.Tunneling, v.QuiesceServer, v.SlowStart = nil, lvscf.Tunneling{}, false, 0
		v.Check, v.Checks, v.Timing, v.StartState = "", nil, lvscf.Timing{}, 0
		v.Timeout, v.Reentry = plain.Timeout, plain.Reentry
		v.Send, v.Expect, v.UseRegex, v.SendProgram = "", "", false, ""
		if v.LoadMonitor == "none" {
			v.LoadMonitor = ""
		}
		if v.Quorum == 1 {
			v.Quorum = 0
		}
		if v.Persistent == 0 {
			v.PMask, v.PersistenceEngine = 0, ""
		}
		if len(c.VRRPs) == 1 && v.VRRP == c.VRRPs[0].Name {
			v.VRRP = ""
		}
	}
	return &out
}

var sorryNone = lvscf.Virtual{}.SorryServer

func canonicalServer(c *lvscf.Config, v *lvscf.Virtual, s *lvscf.Server) {
	forward, quiesce := c.ForwardOf(v, s), v.QuiescesServer(s)
	tunnel := v.TunnelOf(s)
	if forward != lvscf.Tunnel {
		tunnel = lvscf.Tunneling{}
	}
	s.Checks = effectiveChecks(v, s)
	s.Check = ""
	s.Forward, s.Tunneling, s.QuiesceServer = &forward, tunnel, &quiesce
	s.SlowStart = cmp.Or(s.SlowStart, v.SlowStart)
	if s.Sorry {
		s.Weight = 1 // keepalived has no other
	}
	s.Origins, s.Pos = nil, lvscf.Pos{}
}

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

// addressLists are the directives with an address that a router carries.
var addressLists = []string{"static_address", "floating_address", "address"}

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
	rest := slices.Clone(to)
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
		j := slices.IndexFunc(rest, func(t any) bool {
			other, _ := t.(map[string]any)
			if word == "check" {
				return same(block["kind"], other["kind"])
			}
			return other["name"] == name || block["sorry"] == true && other["sorry"] == true
		})
		if j < 0 {
			d.loseBlock(at, word, block)
			continue
		}
		if word == "virtual" {
			d.virtual = &d.cfg.Virtuals[i]
		}
		d.object(at, word, block, rest[j].(map[string]any))
		rest = slices.Delete(rest, j, j+1)
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
	what := key + ", which is not set"
	if value != nil {
		what = key + " = " + written(value)
	}
	why, nearest := exportReason(kind, key)
	d.enter(path, what, why, nearest)
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
	case word == "check":
		why, nearest = "keepalived has no check of this kind, or reads its command otherwise", "TCP_CHECK was written, or HTTP_GET for a GET by hand; MISC_CHECK with a program asks more"
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
		why, nearest = "its address is of another family than the service's", "a server of the same family"
	}
	d.enter(path, "the "+word+" block", why, nearest)
}
