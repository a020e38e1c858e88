package lvscf

import (
	"fmt"
	"iter"
	"net/netip"
)

// Resolve looks up the host names of the file and fills in their addresses,
// which Piranha does while it parses. The lookup function does the work and
// brings its own limits of time; each name is asked for once. A name that is
// not found, or not as an IPv4 address, is reported and stays without address.
// Resolve then repeats the search for services that turn out to be the same.
func (c *Config) Resolve(lookup func(name string) (netip.Addr, error)) Diagnostics {
	col := &collector{file: c.Path}
	type answer struct {
		addr netip.Addr
		err  error
	}
	known := map[string]answer{}
	named := false
	for h, pos := range c.hosts() {
		if h.Name == "" || h.Addr.IsValid() {
			continue
		}
		named = true
		a, ok := known[h.Name]
		if !ok {
			a.addr, a.err = lookup(h.Name)
			a.addr = a.addr.Unmap()
			if a.err == nil && !a.addr.Is4() {
				a.err = fmt.Errorf("%v is no IPv4 address", a.addr)
			}
			known[h.Name] = a
		}
		if a.err != nil {
			if !pos.IsValid() {
				pos = Pos{1, 1}
			}
			col.add(codeLookup, pos, "", fmt.Sprintf("invalid argument: looking up host %s: %v", quote(h.Name), a.err),
				"write the address, or mend the name service")
			continue
		}
		h.Addr = a.addr
	}
	if named && c.Service == LVS {
		(&checker{c: c, col: col}).duplicates(c.Virtuals)
	}
	return col.finish()
}

// hosts passes every host of the configuration with its place in the file.
func (c *Config) hosts() iter.Seq2[*Host, Pos] {
	return func(yield func(*Host, Pos) bool) {
		o := c.Origins
		ok := yield(&c.Primary, o.Pos("primary")) &&
			yield(&c.PrimaryPrivate, o.Pos("primary_private")) &&
			yield(&c.Backup, o.Pos("backup")) &&
			yield(&c.BackupPrivate, o.Pos("backup_private")) &&
			yield(&c.NATRouter.Address, o.Pos("nat_router")) &&
			yield(&c.ControlTarget, o.Pos("control_target")) &&
			yield(&c.Witness, o.Pos("witness"))
		for i := range c.HeartbeatPaths {
			h := &c.HeartbeatPaths[i]
			ok = ok && yield(&h.Primary, o.Pos("heartbeat_path")) && yield(&h.Backup, o.Pos("heartbeat_path"))
		}
		checks := func(list []Check) {
			for i := range list {
				k := &list[i]
				ok = ok && yield(&k.Address, k.Origins.Pos("address")) && yield(&k.Source, k.Origins.Pos("source"))
			}
		}
		for i := range c.VRRPs {
			r := &c.VRRPs[i]
			for j := range r.UnicastPeers {
				ok = ok && yield(&r.UnicastPeers[j], r.Origins.Pos("unicast_peer"))
			}
			ok = ok && yield(&r.UnicastSource, r.Origins.Pos("unicast_source"))
			checks(r.Checks)
		}
		for _, blocks := range [][]Virtual{c.Virtuals, c.Failovers} {
			for i := range blocks {
				v := &blocks[i]
				ok = ok && yield(&v.Address, firstPos(v.Origins.Pos("address"), v.Pos)) &&
					yield(&v.Master, v.Origins.Pos("master"))
				checks(v.Checks)
				for j := range v.Servers {
					s := &v.Servers[j]
					checks(s.Checks)
					ok = ok && yield(&s.Address, firstPos(s.Origins.Pos("address"), s.Pos))
				}
			}
		}
	}
}
