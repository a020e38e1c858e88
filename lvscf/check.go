package lvscf

import (
	"fmt"
	"strings"
	"time"
)

// Check judges the configuration as a whole: what each value alone cannot
// show. It is part of [Load] and [File.Config]; a program that builds a
// Config itself calls it. Errors name what cannot be run.
func (c *Config) Check() Diagnostics {
	col := &collector{file: c.Path}
	c.check(col, false)
	return col.finish()
}

// check adds to what a file's lines showed. A directive that was refused there
// is not judged again; faulty tells that anything was.
func (c *Config) check(col *collector, faulty bool) {
	k := &checker{c: c, col: col, faulty: faulty}
	k.heartbeat()
	blocks := c.Virtuals
	if c.Service == FOS {
		blocks = c.Failovers
	}
	active := 0
	for i := range blocks {
		v := &blocks[i]
		if !v.Active {
			continue
		}
		active++
		k.virtual(v)
		if c.Service == FOS {
			k.failover(v)
		} else {
			k.servers(v)
		}
	}
	k.duplicates(blocks)
	if active == 0 && !faulty {
		what, word := "no active virtual service: there is nothing to run", "virtual"
		if c.Service == FOS {
			what, word = "no active failover service: there is nothing to run", "failover"
		}
		k.add(Warning, Pos{}, what, fmt.Sprintf(`write "active = 1" in at least one %s block`, word))
	}
	if c.Service == LVS && c.Network == NAT && active > 0 && c.NATRouter.Address.IsZero() &&
		!c.Origins.refused("nat_router") && !c.Origins.refused("network") {
		what := "network = nat without a nat_router"
		if !c.Origins.Has("network") {
			what = "network is nat by default, and there is no nat_router"
		}
		k.add(Warning, c.Origins.Pos("network"), what,
			`write "nat_router = ADDRESS DEVICE", which the real servers use as gateway, or another network`)
	}
}

type checker struct {
	c      *Config
	col    *collector
	faulty bool
}

// add reports at a position, or at the start of the file if there is none.
func (k *checker) add(sev Severity, pos Pos, message, cure string) {
	if !pos.IsValid() {
		pos = Pos{1, 1}
	}
	k.col.add(sev, pos, "", message, cure)
}

func firstPos(ps ...Pos) Pos {
	for _, p := range ps {
		if p.IsValid() {
			return p
		}
	}
	return Pos{}
}

func (k *checker) heartbeat() {
	c := k.c
	sev := Warning
	if c.BackupActive {
		sev = Error
	}
	positive := true
	for _, e := range []struct {
		name string
		d    time.Duration
	}{{"keepalive", c.Keepalive}, {"deadtime", c.Deadtime}} {
		if c.Origins.refused(e.name) {
			positive = false
		} else if e.d <= 0 {
			k.add(sev, c.Origins.Pos(e.name), fmt.Sprintf("invalid argument: %s = %d is no time to wait", e.name, e.d/time.Second),
				e.name+" must be 1 or more")
			positive = false
		}
	}
	if positive && c.Deadtime <= c.Keepalive {
		k.add(Warning, firstPos(c.Origins.Pos("deadtime"), c.Origins.Pos("keepalive")),
			fmt.Sprintf("deadtime (%v) is not longer than keepalive (%v): a partner that is well looks dead", c.Deadtime, c.Keepalive),
			fmt.Sprintf("write a deadtime of about three times keepalive, %d", 3*c.Keepalive/time.Second))
	}
	if c.BackupActive && c.Primary.IsZero() && !c.Origins.refused("primary") {
		k.add(Warning, c.Origins.Pos("backup_active"), "a backup router without a primary: no router knows that it is the primary one",
			`write "primary = ADDRESS", the address of this or the other router`)
	}
	if c.PrimaryPrivate.IsZero() && !c.BackupPrivate.IsZero() && !c.Origins.refused("primary_private") {
		k.add(Warning, c.Origins.Pos("backup_private"), "backup_private has no effect without primary_private",
			`write "primary_private = ADDRESS" too`)
	}
}

func (k *checker) virtual(v *Virtual) {
	if v.Address.IsZero() && !v.Origins.refused("address") {
		// A marked service can do without: packets are chosen by their mark.
		sev, pos := Error, firstPos(v.Origins.Pos("address"), v.Pos)
		if v.FWMark != 0 || v.Origins.refused("fwmark") {
			sev = Warning
		}
		k.add(sev, pos, fmt.Sprintf("active service %s has no address", quote(v.Name)),
			`write "address = ADDRESS DEVICE", as in "address = 192.0.2.10 eth0:1", or "active = 0"`)
	}
	if v.Protocol == UDP && v.Send == "" && v.SendProgram == "" &&
		!v.Origins.refused("send") && !v.Origins.refused("send_program") {
		k.add(Warning, firstPos(v.Origins.Pos("protocol"), v.Pos),
			fmt.Sprintf("the checks of UDP service %s send nothing, so no answer can come", quote(v.Name)),
			`write "send" or "send_program"`)
	}
}

func (k *checker) failover(v *Virtual) {
	var missing []string
	for _, e := range []struct{ name, value string }{{"start_cmd", v.StartCmd}, {"stop_cmd", v.StopCmd}} {
		if e.value == "" && !v.Origins.refused(e.name) {
			missing = append(missing, e.name)
		}
	}
	if len(missing) > 0 {
		k.add(Warning, v.Pos, fmt.Sprintf("failover service %s has no %s", quote(v.Name), strings.Join(missing, " and no ")),
			"write both start_cmd and stop_cmd")
	}
}

func (k *checker) servers(v *Virtual) {
	active, broken := 0, false
	for i := range v.Servers {
		s := &v.Servers[i]
		broken = broken || s.Origins.refused("active")
		if !s.Active {
			continue
		}
		active++
		if s.Address.IsZero() && !s.Origins.refused("address") {
			k.add(Error, firstPos(s.Origins.Pos("address"), s.Pos), fmt.Sprintf("active server %s has no address", quote(s.Name)),
				`write "address = ADDRESS", or "active = 0"`)
		}
		refused := s.Origins.refused("port") || v.Origins.refused("port") || k.c.Origins.refused("network")
		if k.c.Network != NAT && v.FWMark == 0 && s.Port != v.Port && !refused {
			k.add(Warning, firstPos(s.Origins.Pos("port"), s.Pos),
				fmt.Sprintf("real port %d differs from virtual port %d, and network = %v cannot change ports", s.Port, v.Port, k.c.Network),
				fmt.Sprintf("write port = %d, or network = nat", v.Port))
		}
	}
	if active == 0 && !broken && !k.faulty {
		k.add(Warning, v.Pos, fmt.Sprintf("active service %s has no active server", quote(v.Name)),
			`write "active = 1" in at least one of its server blocks`)
	}
}

// duplicates reports active services that would be one in the kernel's table.
func (k *checker) duplicates(blocks []Virtual) {
	if k.c.Service == FOS {
		return
	}
	type key struct {
		mark     uint32
		host     string
		port     uint16
		protocol Protocol
	}
	seen := map[key]*Virtual{}
	for i := range blocks {
		v := &blocks[i]
		o := v.Origins
		if !v.Active || o.refused("fwmark") {
			continue
		}
		id := key{mark: v.FWMark}
		what := fmt.Sprintf("firewall mark %d", v.FWMark)
		pos := o.Pos("fwmark")
		if v.FWMark == 0 {
			if v.Address.IsZero() || o.refused("address") || o.refused("port") || o.refused("protocol") {
				continue
			}
			host := v.Address.Name
			if v.Address.Addr.IsValid() {
				host = v.Address.Addr.String()
			}
			id = key{host: host, port: v.Port, protocol: v.Protocol}
			what = fmt.Sprintf("address %s, port %d and protocol %v", host, v.Port, v.Protocol)
			pos = firstPos(o.Pos("port"), o.Pos("address"))
		}
		if other := seen[id]; other != nil {
			k.add(Error, firstPos(pos, v.Pos), fmt.Sprintf("%s of service %s belong to service %s of line %d already", what, quote(v.Name), quote(other.Name), other.Pos.Line),
				"give one of the two another port, address or mark, or make it inactive")
			continue
		}
		seen[id] = v
	}
}
