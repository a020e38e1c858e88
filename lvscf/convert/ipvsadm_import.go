package convert

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvsadm"
	"github.com/lvskit/lvskit/lvscf"
)

// RuleOptions are what rule text depends on beside its words. The zero value
// reads numeric text.
type RuleOptions struct {
	ImportOptions
	// Resolver looks up names; nil refuses them. See [ipvsadm.Options].
	Resolver ipvsadm.Resolver
}

// FromIPVSAdm reads rule text: what `ipvsadm -S` saves, or the commands of a
// script, as package [ipvsadm] reads them. The name is for messages. The
// commands are played on an empty table, and the table that results is what
// the configuration makes again; rules have neither names nor checks, so that
// blocks are named after their addresses and no server is checked. The context
// is for the resolver.
//
// A line that cannot be read, or whose command a kernel would refuse, is left
// out, and is a loss. A text of which nothing is left, or with more than 500 of
// these, gives a [*lvscf.InvalidFileError].
func FromIPVSAdm(ctx context.Context, name string, text []byte, opt RuleOptions) (*lvscf.Config, Losses, error) {
	var f faults
	commands, table, err := readRules(ctx, name, string(text), opt.Resolver, &f)
	if err != nil {
		return nil, nil, err
	}
	im := &ruleImport{name: name, config: lvscf.NewConfig(), labels: labels{}, places: map[entryKey]lvscf.Pos{}}
	im.config.Path = name
	for i := range commands {
		im.setting(&commands[i])
	}
	table = slices.DeleteFunc(table, func(e ipvs.Entry) bool { return im.unsayable(e, &f) })
	usable := len(table) > 0 || im.settings > 0
	if !usable && len(f.list) == 0 {
		f.add(Where{File: name, Pos: lvscf.Pos{Line: 1, Column: 1}}, "", "no rule in this text", "convert what ipvsadm -S -n prints")
	}
	if err := f.settle(&im.ledger, usable, "left out: "); err != nil {
		return nil, nil, err
	}
	for _, e := range table {
		im.service(e)
	}
	shortenForward(im.config)
	giveDevices(im.config, opt.Device, Where{File: name}, &im.ledger)
	im.compare(table)
	im.ledger.sort()
	return im.config, appendComments(im.ledger.losses(), name, ruleComments(string(text))), nil
}

// entryKey is a service, or with a destination one of its servers.
type entryKey struct {
	service     ipvs.ServiceKey
	destination ipvs.DestinationKey
}

type ruleImport struct {
	ledger   ledger
	name     string
	config   *lvscf.Config
	labels   labels
	places   map[entryKey]lvscf.Pos
	settings int
}

func (im *ruleImport) at(p lvscf.Pos, path string) Where { return Where{im.name, p, path} }

// setting takes over a command that changes no entry of the table, and
// remembers where the others stand.
func (im *ruleImport) setting(c *ipvsadm.Command) {
	pos := lvscf.Pos{Line: c.Pos.Line, Column: c.Pos.Column}
	lose := func(why, nearest string) {
		im.ledger.lose(im.at(pos, ""), "the command --"+c.Verb.String(), why, nearest)
	}
	switch c.Verb {
	case ipvsadm.AddService:
		im.places[entryKey{service: c.Change.Service.Key}] = pos
	case ipvsadm.AddServer:
		im.places[entryKey{c.Change.Service.Key, c.Change.Destination.Key}] = pos
	case ipvsadm.SetTimeouts:
		im.timeouts(*c.Timeouts)
		im.settings++
	case ipvsadm.StartDaemon:
		im.daemon(c, lose)
		im.settings++
	case ipvsadm.StopDaemon:
		im.config.SyncDaemon = false
	case ipvsadm.List, ipvsadm.Save, ipvsadm.Restore, ipvsadm.Zero, ipvsadm.Help, ipvsadm.Version:
		lose("it shows or counts something and configures nothing", "see lvsctl list, lvsctl save and lvsctl zero")
	}
}

// timeouts takes over those that are set: zero leaves a value alone, there and
// here.
func (im *ruleImport) timeouts(t ipvs.Timeouts) {
	if t.TCP > 0 {
		im.config.TCPTimeout = t.TCP
	}
	if t.TCPFin > 0 {
		im.config.TCPFinTimeout = t.TCPFin
	}
	if t.UDP > 0 {
		im.config.UDPTimeout = t.UDP
	}
}

// daemon takes over the synchronisation of connections.
func (im *ruleImport) daemon(c *ipvsadm.Command, lose func(why, nearest string)) {
	d := c.Daemon
	if !deviceName(d.Interface) {
		lose("its interface has no name that lvs.cf can hold", "left out: write the name of an interface")
		return
	}
	if im.config.SyncDaemon && (im.config.SyncdIface != d.Interface || im.config.SyncdID != uint8(d.SyncID)) {
		lose("lvs.cf has one interface and id for both directions", "the last ones were taken")
	} else if !im.config.SyncDaemon {
		lose("with syncdaemon = 1 the active router sends and the other one listens, whichever this one is", "syncdaemon = 1 with the same interface and id")
	}
	im.config.SyncDaemon, im.config.SyncdIface, im.config.SyncdID = true, d.Interface, uint8(d.SyncID)
	im.config.SyncdGroup, im.config.SyncdPort, im.config.SyncdTTL, im.config.SyncdMaxLen = d.Group, d.Port, d.TTL, uint16(min(d.MaxLength, 65507))
}

// unsayable enters a service that lvs.cf has no words for, with its servers, as
// one loss, and reports whether it is one.
func (im *ruleImport) unsayable(e ipvs.Entry, f *faults) bool {
	key := e.Service.Key
	if key.IsMark() || !key.Addr.Addr().IsUnspecified() {
		return false
	}
	what := ipvsadm.Line(ipvs.Change{Op: ipvs.OpAddService, Service: e.Service})
	if n := len(e.Destinations); n > 0 {
		what += ", with its " + counted(n, "server", "servers")
	}
	f.add(im.at(im.places[entryKey{service: key}], "service "+key.String()), what,
		noHost(key.Addr.Addr()), "write the address that clients ask for; for any address mark the packets and write the mark")
	return true
}

// service takes over one entry of the table.
func (im *ruleImport) service(e ipvs.Entry) {
	v := lvscf.NewVirtual("")
	v.Active = true
	v.Check = lvscf.CheckNone
	key := e.Service.Key
	v.FWMark = key.Mark
	if !key.IsMark() {
		v.Protocol = lvscf.Protocol(key.Protocol)
		v.Address = lvscf.Host{Addr: key.Addr.Addr()}
	}
	v.Port = key.Addr.Port()
	v.Name = im.labels.virtual(nameOf(&v))
	if name := lvscf.Scheduler(e.Service.Scheduler); knownScheduler(name) {
		v.Scheduler = name
	}
	v.Persistent = e.Service.Persistence
	v.PMask = lvscf.Netmask(max(e.Service.PersistencePrefix, 0))
	v.PersistenceEngine = e.Service.Engine
	for _, f := range schedulerFlags {
		if e.Service.Flags&f.own != 0 {
			v.SchedulerFlags |= f.lvs
		}
	}
	v.OnePacket = e.Service.Flags&ipvs.OnePacket != 0
	for _, d := range e.Destinations {
		v.Servers = append(v.Servers, im.server(&v, d))
	}
	im.config.Virtuals = append(im.config.Virtuals, v)
}

func (im *ruleImport) server(v *lvscf.Virtual, d ipvs.Destination) lvscf.Server {
	s := lvscf.NewServer("", v.Port)
	s.Active, s.Address, s.Port, s.Weight = true, lvscf.Host{Addr: d.Key.Addr()}, d.Key.Port(), d.Weight
	if s.Port == 0 {
		s.Port = v.Port // where the packets arrive
	}
	s.UpperThreshold, s.LowerThreshold = d.UpperThreshold, d.LowerThreshold
	forward := lvscf.NAT
	switch d.Forward {
	case ipvs.DirectRoute:
		forward = lvscf.Direct
	case ipvs.Tunnel:
		forward = lvscf.Tunnel
		s.TunnelType, s.TunnelPort = lvscf.TunnelType(d.Tunnel.Type), d.Tunnel.Port
		s.TunnelChecksum = lvscf.TunnelChecksum(d.Tunnel.Flags)
	}
	s.Forward = &forward
	s.Name = im.labels.server(v.Name, nameOfServer(&s))
	return s
}

// twins counts the servers of each service by their addresses: those that
// differ in their port alone may become one.
type twins map[twinKey]int

type twinKey struct {
	service ipvs.ServiceKey
	addr    netip.Addr
}

func twinsOf(table ipvs.Table) twins {
	t := twins{}
	for _, e := range table {
		for _, d := range e.Destinations {
			t[twinKey{e.Service.Key, d.Key.Addr()}]++
		}
	}
	return t
}

// told says so of the server of a change, if there are others.
func (t twins) told(c ipvs.Change) string {
	others := t[twinKey{c.Service.Key, c.Destination.Key.Addr()}] - 1
	if others < 1 {
		return ""
	}
	return "; with " + counted(others, "other rule", "other rules") + " for that address it may be one server"
}

// compare finds what the configuration makes otherwise than the rules did, so
// that nothing can be left out in silence.
func (im *ruleImport) compare(table ipvs.Table) {
	services := tableServices(im.config, &ledger{})
	all := func(ipvs.ServiceKey) bool { return true }
	twins := twinsOf(table)
	for _, c := range ipvs.Diff(tableOf(services), table, all) {
		where := im.at(im.places[entryKey{c.Service.Key, c.Destination.Key}], "service "+c.Service.Key.String())
		what := ipvsadm.Line(c)
		why, nearest := "lvs.cf cannot say it all", "what it can say was taken"
		switch {
		case c.Op == ipvs.OpDelService || c.Op == ipvs.OpDelDestination:
			continue // what stands in place of something that is listed
		case c.Op == ipvs.OpSetService && !knownScheduler(lvscf.Scheduler(c.Service.Scheduler)):
			what = "scheduler " + c.Service.Scheduler
			why, nearest = "lvs.cf has the schedulers of the kernel by name, and this is none of them", "wlc, the default, was taken"
		case c.Op == ipvs.OpAddService && c.Service.Key.Mark6:
			why, nearest = "without a server or an address lvs.cf does not tell the family of a mark", "the mark was taken; add a server with an IPv6 address, or an address line"
		case c.Op == ipvs.OpAddDestination && c.Destination.Key.Port() == 0:
			what = "the server " + c.Destination.Key.Addr().String() + " without a port"
			why = "a server of lvs.cf has a port where the service has one"
			nearest = "port " + strconv.Itoa(int(c.Service.Key.Addr.Port())) + " was taken, where its packets arrive in any case" + twins.told(c)
		case c.Op == ipvs.OpAddDestination && c.Destination.Forward != ipvs.Masquerade:
			what = fmt.Sprintf("port %d of the server %v", c.Destination.Key.Port(), c.Destination.Key.Addr())
			why = "only -m changes the port of a packet"
			nearest = "the server was taken, with the port of the client" + twins.told(c)
			if port := c.Service.Key.Addr.Port(); port != 0 {
				nearest = fmt.Sprintf("the server was taken, with port %d in the table", port) + twins.told(c)
			}
		}
		im.ledger.lose(where, what, why, nearest)
	}
}
