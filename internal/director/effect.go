package director

import (
	"slices"
	"strings"

	"github.com/lvskit/lvskit/lvscf"
)

// effective are the extensions that do what they say here, by the block that
// they stand in.
var effective = map[string][]string{
	"global": {
		"include", "failover_mode", "heartbeat_path", "heartbeat_key_file", "witness", "fence_cmd", "floating_address", "static_address", "route", "drain_time",
		"control_target", "mass_failure", "syncd_group", "syncd_port", "syncd_ttl", "syncd_maxlen", "notify_cmd", "notify_fifo",
		"garp_count", "garp_interval", "garp_refresh",
	},
	"vrrp": {
		"interface", "vrid", "priority", "backup_priority", "version", "advert_interval", "down_adverts", "preempt", "preempt_delay",
		"checksum", "unicast_peer", "unicast_source", "auth", "key_file", "address", "route", "master_cmd", "backup_cmd", "fault_cmd", "notify_cmd",
		"garp_count", "garp_interval", "garp_refresh", "sync_group", "track_interface", "track_weight", "virtual_mac", "accept",
	},
	"virtual": {
		"vrrp",
		"forward", "tunnel_type", "tunnel_port", "tunnel_checksum", "scheduler_flags", "one_packet", "persistence_engine",
		"check", "interval", "fast_interval", "down_interval",
		"connect_timeout", "tls_timeout", "read_timeout", "rise", "fall", "start_state",
		"slow_start", "quorum", "quorum_hysteresis", "quorum_up_cmd", "quorum_down_cmd", "down_on_stop",
	},
	"server": {
		"forward", "tunnel_type", "tunnel_port", "tunnel_checksum", "sorry", "maintenance", "upper_threshold", "lower_threshold",
		"quiesce_server", "check", "slow_start", "up_cmd", "down_cmd",
	},
	"check": {
		"kind", "address", "port", "source", "interface", "mark", "through", "timeout", "interval", "fast_interval", "down_interval",
		"connect_timeout", "tls_timeout", "read_timeout", "rise", "fall", "start_state",
		"send", "expect", "use_regex", "require_reply", "method", "path", "host", "header", "http_version", "status", "body", "body_regex", "digest",
		"tls", "starttls", "server_name", "verify", "ca_file", "cert_file", "key_file", "query", "query_type", "grpc_service",
		"user", "password_file", "database", "role", "command", "use_weight",
	},
}

// idleInVRRP are options that a check of a vrrp block has no use for: it asks
// about no server of a service.
var idleInVRRP = []string{"through", "start_state", "use_weight", "fast_interval", "down_interval"}

// noteIdle notes each extension that the configuration uses and that has no
// effect: whatever differs from a file that says nothing, as far as it runs.
func (s *Setup) noteIdle(c *lvscf.Config) {
	extension := make(map[string]bool)
	for _, d := range lvscf.Directives() {
		extension[d.Block+" "+d.Name] = d.Since != ""
	}
	have := running(c)
	for _, d := range lvscf.Diff(blank(have), have) {
		block := "global"
		if d.Block != "" {
			last := d.Block[strings.LastIndex(d.Block, ": ")+1:]
			block, _, _ = strings.Cut(strings.TrimSpace(last), " ")
		}
		works := slices.Contains(effective[block], d.Directive)
		if block == "check" && strings.HasPrefix(d.Block, "vrrp ") {
			works = d.Directive == "weight" || works && !slices.Contains(idleInVRRP, d.Directive)
		}
		if !extension[block+" "+d.Directive] || works {
			continue
		}
		if where := d.Block; where == "" {
			s.note("%s = %s has no effect yet", d.Directive, d.New)
		} else {
			s.note("%s: %s = %s has no effect yet", where, d.Directive, d.New)
		}
	}
	for _, name := range c.Includes {
		s.note("include = %s was not read: it has no effect", name)
	}
	if c.FailoverMode == lvscf.PulseMode && len(c.VRRPs) > 0 {
		s.note("vrrp blocks have no effect without failover_mode = vrrp")
	}
}

// running is a configuration without what is not active.
func running(c *lvscf.Config) *lvscf.Config {
	out := *c
	out.Failovers = nil
	out.Virtuals = nil
	for _, v := range c.Virtuals {
		if !v.Active {
			continue
		}
		servers := v.Servers
		v.Servers = nil
		for _, r := range servers {
			if r.Active {
				v.Servers = append(v.Servers, r)
			}
		}
		out.Virtuals = append(out.Virtuals, v)
	}
	return &out
}

// blank has the same blocks with nothing in them.
func blank(c *lvscf.Config) *lvscf.Config {
	out := lvscf.NewConfig()
	checks := func(list []lvscf.Check) (out []lvscf.Check) {
		for _, k := range list {
			out = append(out, lvscf.NewCheck(k.Name))
		}
		return out
	}
	for _, v := range c.Virtuals {
		plain := lvscf.NewVirtual(v.Name)
		plain.Checks = checks(v.Checks)
		for _, r := range v.Servers {
			server := lvscf.NewServer(r.Name, v.Port)
			server.Checks = checks(r.Checks)
			plain.Servers = append(plain.Servers, server)
		}
		out.Virtuals = append(out.Virtuals, plain)
	}
	for _, r := range c.VRRPs {
		plain := lvscf.NewVRRP(r.Name)
		plain.Checks = checks(r.Checks)
		out.VRRPs = append(out.VRRPs, plain)
	}
	return out
}
