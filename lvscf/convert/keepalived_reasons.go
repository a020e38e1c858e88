package convert

import (
	"slices"
	"strings"
)

// exportReasons tell why keepalived.conf cannot say what a directive says. The
// first row that fits counts; a row without a kind fits all.
var exportReasons = []struct {
	kind, words  string
	why, nearest string
}{
	{"", "serial_no heartbeat debug_level sync ipvsadm client_monitor rsh_command hard_shutdown master dirs", "it is about Piranha's own programs", "leave it out"},
	{
		"", "failover_mode primary backup primary_private backup_private backup_active heartbeat_port heartbeat_path keepalive deadtime",
		"keepalived speaks VRRP and no heartbeats", "the vrrp_instance that was written: it carries all addresses together, by multicast on one network",
	},
	{"", "witness fence_cmd", "keepalived takes over from whoever is silent, and asks nobody before", "track_script with a ping of the witness, which keeps a router that is cut off in fault"},
	{"", "heartbeat_key_file", "keepalived 2.2.7 has only passwords in plain text", "keep strangers from the network of the vrrp_instance"},
	{"", "primary_shared backup_shared reservation_conflict_action service", "keepalived runs no failover services", "notify_master and notify_backup with programs of your own"},
	{"", "network", "it is said for each virtual server", "lvs_method"},
	{"", "nat_router nat_nmask", "keepalived has no word for the router of the real servers", "the address is one of the vrrp_instance, or a static one"},
	{"", "monitor_links", "keepalived always watches the device of a vrrp_instance", "track_interface for more of them"},
	{"", "active_cmd inactive_cmd", "they are commands of a vrrp_instance", "notify_master and notify_backup of one, which were written if there is one"},
	{"", "include", "the file stands for itself", "include with a keepalived.conf"},
	{"", "floating_address", "keepalived has one list of what is not advertised, which is what other addresses become", "the line in virtual_ipaddress_excluded that was written"},
	{"", "route", "routes that move are those of a vrrp_instance", "the line in virtual_routes that was written, if there is an instance"},
	{"", "control_target mass_failure", "keepalived believes every failure", "a check of the gateway by your own program beside each check"},
	{"", "drain_time", "keepalived removes a server at once", "set its weight to 0 and wait before it is removed"},
	{"", "notify_cmd notify_fifo", "keepalived calls it with other words", "notify, or notify_fifo, with a program that knows its words"},
	{"", "tcp_timeout tcpfin_timeout udp_timeout", "lvs_timeouts has whole seconds", "the next smaller number"},
	{"", "syncdaemon syncd_iface syncd_id", "lvs_sync_daemon needs a device", "write syncd_iface"},
	{"", "garp_count garp_interval garp_refresh", "keepalived has other bounds, one interval for all, and refreshes in whole seconds", "garp_master_repeat, vrrp_garp_interval and garp_master_refresh"},

	{"vrrp", "master_cmd backup_cmd fault_cmd", "keepalived gives quotes and backslashes a meaning, and lvs.cf does not", "a command without them"},
	{"virtual", "quorum_up_cmd quorum_down_cmd", "keepalived gives quotes and backslashes a meaning, and lvs.cf does not", "a command without them"},
	{"server", "up_cmd down_cmd", "keepalived gives quotes and backslashes a meaning, and lvs.cf does not", "a command without them"},
	{"vrrp", "backup_priority", "a keepalived.conf is that of one router", "the line with @backup, read with --config-id backup"},
	{"vrrp", "auth key_file", "keepalived has the password in its own file", "authentication, with the password of key_file put in by hand"},
	{"vrrp", "checksum", "keepalived finds out by itself for unicast, and has one form for multicast", "old_unicast_checksum"},
	{"vrrp", "unicast_peer unicast_source", "keepalived looks no names up, and wants peers of the family of the addresses", "write addresses of that family"},
	{"track", "interval timeout", "a vrrp_script has whole seconds", "the next whole second, which was written"},
	{"track", "weight", "in a sync group keepalived has no weights but those of the group itself", "the line in vrrp_sync_group that was written"},
	{"vrrp", "track_weight", "keepalived ignores the weight of a device in a sync group, but for one of the group itself", "track_interface of the group"},
	{"vrrp", "sync_group", "keepalived takes a group of one for an error", "leave it out"},
	{"vrrp", "preempt_delay", "at most 1000 seconds, and none with nopreempt", "preempt_delay within these bounds"},
	{"vrrp", "address", "the address belongs to a virtual service, or to another vrrp block", "the line in virtual_ipaddress that was written"},
	{"vrrp", "vrid", "keepalived needs a number for each vrrp_instance", "the first free one from 51 on was written"},

	{"virtual", "fwmark address device vip_nmask vrrp", "an address has one line in keepalived, with one mask, one device (an alias for IPv4 alone) and one vrrp_instance, and a virtual_server by mark has none", "the line that was written, if any"},
	{"virtual", "port", "a virtual_server by mark has no port", "connect_port of the checks, which was written"},
	{"virtual", "protocol", "a virtual_server by mark stands for any protocol", "leave it; it matters to the checks alone"},
	{"virtual", "load_monitor", "keepalived measures no load", "misc_dynamic with a program that does"},
	{"virtual", "persistent pmask persistence_engine", "at most 2678400 whole seconds", "persistence_timeout within these bounds"},
	{"virtual", "one_packet", "ops is for UDP only", "leave it out"},
	{"virtual", "quorum quorum_hysteresis", "keepalived wants no more than the weights of the servers add up to, and a hysteresis below it", "the largest that it takes"},
	{"virtual", "start_cmd stop_cmd", "keepalived runs no failover services", "notify_master and notify_backup with programs of your own"},

	{"server", "port", "a mark keeps the port of each packet, and no method but NAT can change one", "connect_port of the checks, which was written"},
	{"server", "maintenance", "keepalived has no switch for that", "weight 0"},
	{"server", "weight", "a server in maintenance takes no new connections", "weight 0"},
	{"server", "slow_start", "keepalived gives the whole weight at once", "leave it out"},
	{"server", "name", "keepalived has no name for a sorry server", "leave it"},
	{"server", "tunnel_type tunnel_port tunnel_checksum", "keepalived has no such combination", "what was written in lvs_method"},

	{"check", "rise", "keepalived takes a server back after one good answer", "leave it out"},
	{"check", "start_state", "keepalived has up, and alpha for down", "alpha"},
	{"check", "down_interval", "keepalived has one interval", "delay_loop"},
	{"check", "timeout connect_timeout tls_timeout read_timeout", "keepalived has one limit for each step of a check, of whole seconds for a program", "connect_timeout"},
	{"check", "interval fast_interval fall", "keepalived has other bounds", "delay_loop, delay_before_retry and retry"},
	{"check", "send expect use_regex", "keepalived sends texts over UDP alone, and looks at the exit code of a program alone", "MISC_CHECK with a program that does"},
	{"check", "method header body tls verify server_name ca_file cert_file key_file http_version user password_file digest", "its checks have no such option: certificates are never verified, and the server name is that of virtualhost", "MISC_CHECK with a program such as curl"},
	{"check", "path host query body_regex", "a text of keepalived.conf has no double quotes, but for those of regex", "a text without them"},
	{"check", "address source", "keepalived looks no names up", "write the address"},
}

// exportReason returns why a directive of a kind of block is lost, and what is
// nearest.
func exportReason(kind, key string) (why, nearest string) {
	for _, r := range exportReasons {
		if (r.kind == "" || r.kind == kind) && slices.Contains(strings.Fields(r.words), key) {
			return r.why, r.nearest
		}
	}
	return "keepalived.conf has no word for it", "leave it out"
}
