package lvscf

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// digestForm is hashed first; it changes when the same configuration gives
// another digest than before.
const digestForm = "lvs.cf meaning 1\n"

// Digest returns a SHA-256 of what the configuration means, by which two
// routers tell whether they run the same. Equal digests mean that both would
// do the same.
//
// All values count, also defaults that are not written and what stands in
// inactive blocks, for those are a line away from being used. These do not
// count: comments, blanks, the order of directives and of blocks of different
// names, whether a default is written, whether a value stands in a virtual
// block or in each of its servers, or a check as a directive or as a block, the
// names of checks, serial_no, and Path. A host that was
// written as a name counts as the name, looked up or not. Files that are still
// to be included count by their names.
func (c *Config) Digest() [sha256.Size]byte {
	// A detour over a map sorts the keys, so that the order of the fields in
	// this package does not count either.
	text, err := json.Marshal(c.meaning())
	if err != nil {
		panic("lvscf: a configuration does not marshal: " + err.Error())
	}
	var tree map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		panic("lvscf: a configuration does not unmarshal: " + err.Error())
	}
	delete(tree, "serial_no")
	if text, err = json.Marshal(tree); err != nil {
		panic("lvscf: a configuration does not marshal: " + err.Error())
	}
	return sha256.Sum256(append([]byte(digestForm), text...))
}

// meaning returns a copy in which equal meanings have equal values.
func (c *Config) meaning() *Config {
	m := *c
	m.nameHosts()
	m.HeartbeatPaths = slices.Clone(c.HeartbeatPaths)
	for i := range m.HeartbeatPaths {
		m.HeartbeatPaths[i].Primary.byName()
		m.HeartbeatPaths[i].Backup.byName()
	}
	m.FloatingAddresses = sorted(c.FloatingAddresses, DeviceAddress.String)
	m.StaticAddresses = sorted(c.StaticAddresses, DeviceAddress.String)
	m.Routes = sorted(c.Routes, Route.String)
	m.VRRPs = sorted(c.VRRPs, func(r VRRP) string { return r.Name })
	for i := range m.VRRPs {
		r := &m.VRRPs[i]
		r.BackupPriority = cmp.Or(r.BackupPriority, r.Priority)
		r.UnicastPeers = sorted(r.UnicastPeers, Host.String)
		for j := range r.UnicastPeers {
			r.UnicastPeers[j].byName()
		}
		r.UnicastSource.byName()
		r.Addresses = sorted(r.Addresses, DeviceAddress.String)
		r.Routes = sorted(r.Routes, Route.String)
		r.TrackInterfaces = sorted(r.TrackInterfaces, strings.Clone)
		r.TrackWeights = sorted(r.TrackWeights, DeviceWeight.String)
		r.Checks = sorted(r.Checks, func(k Check) string { return k.Name })
		for j := range r.Checks {
			r.Checks[j].Address.byName()
			r.Checks[j].Source.byName()
		}
	}
	m.Virtuals = c.meaningOf(c.Virtuals)
	m.Failovers = c.meaningOf(c.Failovers)
	return &m
}

func (c *Config) meaningOf(blocks []Virtual) []Virtual {
	out := sorted(blocks, func(v Virtual) string { return v.Name })
	for i := range out {
		v := &out[i]
		v.Address.byName()
		v.Master.byName()
		v.Quorum = max(1, v.Quorum)
		v.Servers = sorted(v.Servers, func(s Server) string { return s.Name })
		forward := c.ForwardOf(v, nil)
		for j := range v.Servers {
			s := &v.Servers[j]
			s.Address.byName()
			s.Checks = v.ChecksOf(s)
			s.Check = CheckPiranha
			for k := range s.Checks {
				s.Checks[k].Name = "" // a label
				s.Checks[k].Address.byName()
				s.Checks[k].Source.byName()
			}
			s.Checks = sorted(s.Checks, func(k Check) string { return blockText(reflect.ValueOf(k)) })
			s.Forward = new(c.ForwardOf(v, s))
			s.QuiesceServer = new(v.QuiescesServer(s))
			s.Tunneling = v.TunnelOf(s)
			s.SlowStart = cmp.Or(s.SlowStart, v.SlowStart)
		}
		// What the servers have now is theirs alone. The sorry_server takes
		// forward and tunnel from the block.
		v.Forward = &forward
		v.Check, v.Checks, v.Timing, v.StartState, v.SlowStart, v.QuiesceServer = "", nil, Timing{}, StartUnknown, 0, false
	}
	return out
}

// nameHosts keeps the names of the global hosts alone.
func (c *Config) nameHosts() {
	for _, h := range []*Host{&c.Primary, &c.PrimaryPrivate, &c.Backup, &c.BackupPrivate, &c.NATRouter.Address, &c.ControlTarget, &c.Witness} {
		h.byName()
	}
}

// byName forgets the address of a host that has a name.
func (h *Host) byName() {
	if h.Name != "" {
		*h = Host{Name: h.Name}
	}
}

func sorted[T any](list []T, key func(T) string) []T {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	return out
}
