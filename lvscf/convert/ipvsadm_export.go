package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvsadm"
	"github.com/lvskit/lvskit/lvscf"
)

// ErrFailover tells that a configuration runs failover services, which rule
// text has no words for at all.
var ErrFailover = errors.New("service = fos runs failover services, not virtual ones")

// ToIPVSAdm writes a configuration as rule text that `ipvsadm -R` reads: the
// table of [Table], then the timeouts. Rules are that table and no more, so
// that all else is listed as lost, but for what no daemon reads (serial_no,
// heartbeat, debug_level and the like). Names must be resolved.
//
// Loaded by the real ipvsadm the table is the same but for ports of servers of
// -g and -i, which it replaces by that of the service; [Services] gives no
// others.
func ToIPVSAdm(c *lvscf.Config) ([]byte, Losses, error) {
	if c.Service == lvscf.FOS {
		return nil, nil, fmt.Errorf("%w: set service = lvs", ErrFailover)
	}
	x := &ruleExport{c: c}
	x.globals()
	services := tableServices(c, &x.ledger)
	for _, s := range services {
		x.rules(s)
	}
	if t := (ipvs.Timeouts{TCP: c.TCPTimeout, TCPFin: c.TCPFinTimeout, UDP: c.UDPTimeout}); t != (ipvs.Timeouts{}) {
		text, err := ipvsadm.AppendTimeouts(x.text, t)
		if err != nil {
			x.ledger.lose(Where{File: c.Path}, "the timeouts", err.Error(), "set them with lvsctl timeouts")
		}
		x.text = text
	}
	for i := range c.Virtuals {
		x.virtual(&c.Virtuals[i])
	}
	x.names()
	x.ledger.sort()
	return x.text, x.ledger.losses(), nil
}

type ruleExport struct {
	ledger ledger
	c      *lvscf.Config
	text   []byte
}

// rules writes one service with its servers. As a kernel lists the newest
// first, they are written last one first.
func (x *ruleExport) rules(s Service) {
	add := func(c ipvs.Change, pos lvscf.Pos) bool {
		text, err := ipvsadm.AppendChange(x.text, c)
		if err != nil {
			x.ledger.lose(x.at(pos, s.Virtual), c.String(), err.Error(), "left out: set it with lvsctl apply")
			return false
		}
		x.text = text
		return true
	}
	if !add(ipvs.Change{Op: ipvs.OpAddService, Service: s.Service}, s.Virtual.Pos) {
		return
	}
	destinations := tableOf([]Service{s})[0].Destinations
	for i, d := range slices.Backward(destinations) {
		pos := s.Virtual.Pos
		if i < len(s.Servers) {
			pos = s.Servers[i].Server.Pos
		}
		add(ipvs.Change{Op: ipvs.OpAddDestination, Service: ipvs.Service{Key: s.Service.Key}, Destination: d}, pos)
	}
}

func (x *ruleExport) at(pos lvscf.Pos, v *lvscf.Virtual) Where {
	w := Where{File: x.c.Path, Pos: pos}
	if v != nil {
		w.Path = "virtual " + v.Name
	}
	return w
}

// A fate is what becomes of a directive in rule text.
type fate uint8

const (
	// kept stands in the rules, or is judged with them.
	kept fate = iota
	// unread is read by no daemon.
	unread
	lostFailover
	lostAddress
	lostInclude
	lostSync
	lostUnused
	lostCommand
	lostRunning
	lostCheck
	lostSorry
	lostMaintenance
)

// whyLost has a row for each fate that is a loss.
var whyLost = map[fate]struct{ what, why, nearest string }{
	lostFailover:    {"the failover", "rules know nothing of other routers", "lvsctl run, or keepalived's vrrp_instance"},
	lostAddress:     {"the virtual address", "rules bring up no address", "ip address add, before the rules are loaded"},
	lostInclude:     {"the included files", "they were not read, and rules include none", "read the lvs.cf together with them, as lvsctl convert does"},
	lostSync:        {"the connection synchronisation", "the rule for it says which of the two routers this one is", "ipvsadm --start-daemon master on the active router, backup on the other one"},
	lostUnused:      {"the parameters of the connection synchronisation", "with syncdaemon = 0 nothing is synchronised, so that no rule has a place for them", "leave them out, or write syncdaemon = 1"},
	lostCommand:     {"the programs", "rules run none", "lvsctl run"},
	lostRunning:     {"the way of running", "rules are loaded once, and nothing stays running", "lvsctl run"},
	lostCheck:       {"the checks", "rules ask no server whether it is well, so a dead one keeps its share", "lvsctl run, or ldirectord"},
	lostSorry:       {"the sorry server", "rules do not know when the others are down", "lvsctl run; or lvsctl server add when they are"},
	lostMaintenance: {"the weight", "a server in maintenance has the weight 0 in the rules", "lvsctl server edit --weight, when it is back"},
}

// ruleFates tells what becomes of each directive, by block. A directive that
// stands in several blocks may have one for all.
var ruleFates = map[string]map[string]fate{
	"global": {
		"network": kept, "tcp_timeout": kept, "tcpfin_timeout": kept, "udp_timeout": kept, "service": kept,
		"serial_no": unread, "heartbeat": unread, "debug_level": unread, "sync": unread, "ipvsadm": unread, "include": lostInclude,
		"primary_shared": unread, "backup_shared": unread, "reservation_conflict_action": unread,
		"primary": lostFailover, "primary_private": lostFailover, "backup": lostFailover, "backup_private": lostFailover,
		"backup_active": lostFailover, "heartbeat_port": lostFailover, "keepalive": lostFailover, "deadtime": lostFailover,
		"monitor_links": lostFailover, "failover_mode": lostFailover, "heartbeat_path": lostFailover, "heartbeat_key_file": lostFailover, "witness": lostFailover, "fence_cmd": lostFailover, "route": lostFailover,
		"garp_count": lostFailover, "garp_interval": lostFailover, "garp_refresh": lostFailover,
		"nat_router": lostAddress, "nat_nmask": lostAddress, "floating_address": lostAddress, "static_address": lostAddress,
		"syncdaemon": lostSync, "syncd_iface": lostSync, "syncd_id": lostSync, "syncd_group": lostSync, "syncd_port": lostSync,
		"syncd_ttl": lostSync, "syncd_maxlen": lostSync,
		"active_cmd": lostCommand, "inactive_cmd": lostCommand, "notify_cmd": lostCommand, "notify_fifo": lostCommand,
		"hard_shutdown": lostRunning, "drain_time": lostRunning, "rsh_command": lostCheck,
		"control_target": lostCheck, "mass_failure": lostCheck,
	},
	"virtual": {
		"active": kept, "fwmark": kept, "port": kept, "protocol": kept, "scheduler": kept, "persistent": kept,
		"pmask": kept, "forward": kept, "tunnel_type": kept, "tunnel_port": kept, "tunnel_checksum": kept,
		"scheduler_flags": kept, "one_packet": kept, "persistence_engine": kept,
		"master": unread, "dirs": unread, "start_cmd": unread, "stop_cmd": unread,
		"address": kept, "vip_nmask": lostAddress, "device": lostAddress, "vrrp": lostFailover,
		"sorry_server": lostSorry, "quiesce_server": lostCheck, "load_monitor": lostCheck, "client_monitor": lostCheck,
		"send": lostCheck, "expect": lostCheck, "use_regex": lostCheck, "send_program": lostCheck, "timeout": lostCheck,
		"reentry": lostCheck, "check": lostCheck, "interval": lostCheck, "fast_interval": lostCheck, "down_interval": lostCheck,
		"connect_timeout": lostCheck, "tls_timeout": lostCheck, "read_timeout": lostCheck, "rise": lostCheck, "fall": lostCheck,
		"start_state": lostCheck, "slow_start": lostCheck, "quorum": lostCheck, "quorum_hysteresis": lostCheck,
		"quorum_up_cmd": lostCommand, "quorum_down_cmd": lostCommand, "down_on_stop": lostCommand,
	},
	"server": {
		"active": kept, "address": kept, "port": kept, "weight": kept, "forward": kept, "tunnel_type": kept,
		"tunnel_port": kept, "tunnel_checksum": kept, "upper_threshold": kept, "lower_threshold": kept,
		"sorry": lostSorry, "maintenance": lostMaintenance, "quiesce_server": lostCheck, "slow_start": lostCheck, "check": lostCheck,
		"up_cmd": lostCommand, "down_cmd": lostCommand,
	},
}

// changed returns the names of the values in which a block differs from one
// with defaults, in order. Blocks within it are not looked at.
func changed(block, plain any) []string {
	have, want := fields(block), fields(plain)
	var names []string
	for name, value := range have {
		if inner := slices.Contains([]string{"name", "virtuals", "failovers", "vrrps", "servers", "checks"}, name); !inner && !bytes.Equal(value, want[name]) {
			names = append(names, name)
		}
	}
	for name := range want {
		if _, ok := have[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func fields(block any) map[string]json.RawMessage {
	text, err := json.Marshal(block)
	if err == nil {
		m := map[string]json.RawMessage{}
		if err = json.Unmarshal(text, &m); err == nil {
			return m
		}
	}
	panic("lvscf: a config does not marshal: " + err.Error())
}

// lost enters a loss for each fate that values of a block have in common. What
// tells the block apart stands before the names.
func (x *ruleExport) lost(block, path, subject string, pos lvscf.Pos, origins lvscf.Origins, names []string) {
	byFate := map[fate][]string{}
	for _, n := range names {
		f, known := ruleFates[block][n]
		if !known {
			f = lostRunning
		}
		if f == lostSync && !x.c.SyncDaemon {
			f = lostUnused
		}
		byFate[f] = append(byFate[f], n)
	}
	for _, f := range slices.Sorted(maps.Keys(byFate)) {
		row, isLoss := whyLost[f]
		if !isLoss {
			continue
		}
		where := Where{File: x.c.Path, Pos: pos, Path: path}
		if p := origins.Pos(byFate[f][0]); p.IsValid() {
			where.Pos = p
		}
		what := row.what
		if subject != "" {
			what += " of " + subject
		}
		x.ledger.lose(where, what+" ("+strings.Join(byFate[f], ", ")+")", row.why, row.nearest)
	}
}

// globals judges what stands outside of the blocks, and blocks that rules have
// nothing of.
func (x *ruleExport) globals() {
	names := changed(x.c, lvscf.NewConfig())
	x.lost("global", "", "", lvscf.Pos{}, x.c.Origins, names)
	for i := range x.c.VRRPs {
		r := &x.c.VRRPs[i]
		x.ledger.lose(Where{File: x.c.Path, Pos: r.Pos, Path: "vrrp " + r.Name}, "the block", whyLost[lostFailover].why, whyLost[lostFailover].nearest)
	}
	for i := range x.c.Failovers {
		v := &x.c.Failovers[i]
		x.ledger.lose(Where{File: x.c.Path, Pos: v.Pos, Path: "failover " + v.Name}, "the block", "rules have virtual services only", "left out: with service = lvs it has no effect either")
	}
}

// virtual judges what the rules do not have of a block.
func (x *ruleExport) virtual(v *lvscf.Virtual) {
	path := "virtual " + v.Name
	if !v.Active {
		x.ledger.lose(x.at(v.Pos, v), "the block", "rules have no services that are switched off", "left out: add it with lvsctl service add when it is wanted")
		return
	}
	names := changed(v, lvscf.NewVirtual(v.Name))
	switch i := slices.Index(names, "device"); {
	case i >= 0 && v.Address.IsZero():
		names = slices.Delete(names, i, i+1)
	case i < 0 && !v.Address.IsZero() && v.FWMark != 0:
		names = append(names, "device") // the mark alone is in the rules
	}
	checked := false
	for i := range v.Servers {
		s := &v.Servers[i]
		if !s.Active {
			x.ledger.lose(Where{File: x.c.Path, Pos: s.Pos, Path: path}, "server "+s.Name, "rules have no servers that are switched off", "left out: add it with lvsctl server add when it is wanted")
			continue
		}
		for _, c := range v.ChecksOf(s) {
			checked = checked || c.Kind != lvscf.CheckNone && !s.Sorry
		}
		x.server(v, s, path)
	}
	if !checked {
		names = slices.DeleteFunc(names, func(n string) bool { return ruleFates["virtual"][n] == lostCheck })
	} else if !slices.Contains(names, "check") {
		names = append(names, "check")
	}
	x.lost("virtual", path, "", v.Pos, v.Origins, names)
}

func (x *ruleExport) server(v *lvscf.Virtual, s *lvscf.Server, path string) {
	names := changed(s, lvscf.NewServer(s.Name, v.Port))
	if s.Sorry {
		names = []string{"sorry"}
	}
	if s.Check == lvscf.CheckNone && len(s.Checks) == 0 {
		names = slices.DeleteFunc(names, func(n string) bool { return ruleFates["server"][n] == lostCheck })
	}
	x.lost("server", path, "server "+s.Name, s.Pos, s.Origins, names)
}

// names judges the names of blocks, which an import makes up again.
func (x *ruleExport) names() {
	used := labels{}
	var gone []string
	for i := range x.c.Virtuals {
		v := &x.c.Virtuals[i]
		if !v.Active {
			continue
		}
		if used.virtual(nameOf(v)) != v.Name {
			gone = append(gone, v.Name)
		}
		for j := range v.Servers {
			if s := &v.Servers[j]; s.Active && !s.Sorry && used.server(v.Name, nameOfServer(s)) != s.Name {
				gone = append(gone, v.Name+"/"+s.Name)
			}
		}
	}
	if len(gone) == 0 {
		return
	}
	x.ledger.lose(Where{File: x.c.Path}, "the names of blocks: "+strings.Join(gone, ", "), "rules have addresses only", "an import names blocks after their addresses, such as tcp_192.0.2.1_80")
}
