package lvscf

import (
	"slices"
	"strings"
)

// The canonical layout: that of new files and of [File.Format], and where
// [File.Apply] puts what it adds. Piranha's web tool indented by five blanks
// and nine; what it wrote is read all the same.
const indentUnit = "    "

// directiveOrder lists the directives of each place in the order of Piranha's
// web tool, with what it does not know after what is near it in meaning.
var directiveOrder = map[blockMask][]string{
	inGlobal: {
		"serial_no", "include",
		"primary", "primary_private", "primary_shared", "service", "rsh_command",
		"backup_active", "backup", "backup_private", "backup_shared",
		"failover_mode", "heartbeat", "heartbeat_port", "heartbeat_path", "heartbeat_key_file", "keepalive", "deadtime", "witness", "fence_cmd",
		"network", "nat_router", "nat_nmask", "floating_address", "static_address", "route",
		"garp_count", "garp_interval", "garp_refresh", "reservation_conflict_action", "debug_level",
		"active_cmd", "inactive_cmd", "notify_cmd", "notify_fifo", "monitor_links",
		"syncdaemon", "syncd_iface", "syncd_id", "syncd_group", "syncd_port", "syncd_ttl", "syncd_maxlen",
		"tcp_timeout", "tcpfin_timeout", "udp_timeout", "drain_time", "control_target", "mass_failure", "hard_shutdown", "ipvsadm", "sync",
	},
	inVirtual: {
		"active", "address", "vrrp", "sorry_server", "vip_nmask", "fwmark", "port", "persistent", "pmask", "persistence_engine",
		"send", "expect", "use_regex", "send_program", "check", "load_monitor",
		"scheduler", "scheduler_flags", "one_packet", "forward", "tunnel_type", "tunnel_port", "tunnel_checksum",
		"protocol", "timeout", "interval", "fast_interval", "down_interval", "connect_timeout", "tls_timeout", "read_timeout",
		"reentry", "rise", "fall", "start_state", "slow_start", "quiesce_server",
		"quorum", "quorum_hysteresis", "quorum_up_cmd", "quorum_down_cmd", "down_on_stop",
		"client_monitor", "master", "dirs", "start_cmd", "stop_cmd",
	},
	inServer: {
		"address", "active", "port", "weight", "sorry", "maintenance", "forward", "tunnel_type", "tunnel_port", "tunnel_checksum",
		"upper_threshold", "lower_threshold", "quiesce_server", "slow_start", "check", "up_cmd", "down_cmd",
	},
	inCheck: {
		"kind", "weight", "address", "port", "source", "interface", "mark", "through",
		"method", "host", "path", "header", "http_version", "tls", "starttls", "server_name", "verify", "ca_file", "cert_file", "key_file",
		"query", "query_type", "grpc_service", "user", "password_file", "database", "role", "command",
		"send", "expect", "use_regex", "require_reply", "status", "body", "body_regex", "digest", "use_weight",
		"timeout", "interval", "fast_interval", "down_interval", "connect_timeout", "tls_timeout", "read_timeout",
		"rise", "fall", "start_state",
	},
	inVRRP: {
		"interface", "vrid", "priority", "backup_priority", "version", "advert_interval", "down_adverts",
		"preempt", "preempt_delay", "accept", "virtual_mac", "checksum", "unicast_source", "unicast_peer", "auth", "key_file",
		"address", "route", "track_interface", "track_weight", "sync_group", "garp_count", "garp_interval", "garp_refresh",
		"master_cmd", "backup_cmd", "fault_cmd", "notify_cmd",
	},
}

// blockOrder is the order of the blocks within a block.
var blockOrder = []BlockKind{VRRPBlock, FailoverBlock, VirtualBlock, CheckBlock, ServerBlock}

// rankOf returns where a directive stands in the canonical order, one that the
// language has not behind all others.
func rankOf(name string, where blockMask) int {
	if i := slices.Index(directiveOrder[where], name); i >= 0 {
		return i
	}
	return len(directiveOrder[where])
}

// inOrder returns the directives of a place in the canonical order.
func inOrder(where blockMask) []*directive {
	var list []*directive
	for i := range directives {
		if directives[i].where&where != 0 {
			list = append(list, &directives[i])
		}
	}
	slices.SortStableFunc(list, func(a, b *directive) int { return rankOf(a.name, where) - rankOf(b.name, where) })
	return list
}

// quotesWanted reports whether a directive's words are quoted even where they
// need not be, as in the example of its row.
func (d *directive) quotesWanted() bool { return strings.HasPrefix(d.example, `"`) }
