package convert

import (
	"slices"
	"strings"
)

// blockKind is a kind of block of keepalived.conf.
type blockKind uint8

const (
	inTop blockKind = iota
	inGlobals
	inSync
	inVRRP
	inVirtual
	inReal
	inCheck
	inURL
	inScript
	inTrackFile
)

// reason is why keywords of a block are not carried.
type reason struct {
	in           []blockKind
	words        string
	why, nearest string
}

// reasons are all keywords of keepalived.conf(5) that lvs.cf has nothing for.
// The first row that fits counts.
var reasons = []reason{
	{
		[]blockKind{inGlobals},
		"notification_email notification_email_from smtp_server smtp_helo_name smtp_connect_timeout smtp_alert smtp_alert_vrrp smtp_alert_checker no_email_faults no_checker_emails",
		"the director sends no mail", "notify_cmd with a program that sends it",
	},
	{[]blockKind{inSync, inVRRP, inVirtual, inReal}, "smtp_alert", "the director sends no mail", "notify_cmd with a program that sends it"},
	{
		[]blockKind{inGlobals, inTop},
		"process_names process_name vrrp_process_name checker_process_name bfd_process_name child_wait_time use_pid_dir instance tmp_config_directory config_save_dir umask data_use_instance " +
			"max_auto_priority min_auto_priority_delay vrrp_priority checker_priority bfd_priority vrrp_no_swap checker_no_swap bfd_no_swap vrrp_cpu_affinity checker_cpu_affinity bfd_cpu_affinity " +
			"vrrp_rt_priority checker_rt_priority bfd_rt_priority vrrp_rlimit_rttime checker_rlimit_rttime bfd_rlimit_rttime vrrp_rlimit_rtime checker_rlimit_rtime bfd_rlimit_rtime",
		"it shapes keepalived's own processes", "the settings of the service that runs the director",
	},
	{
		[]blockKind{inGlobals, inTop},
		"net_namespace net_namespace_ipvs namespace_with_ipsets",
		"the director works in the network namespace that it is started in", "start it there, with ip netns exec",
	},
	{
		[]blockKind{inGlobals},
		"vrrp_netlink_cmd_rcv_bufs vrrp_netlink_cmd_rcv_bufs_force vrrp_netlink_monitor_rcv_bufs vrrp_netlink_monitor_rcv_bufs_force lvs_netlink_cmd_rcv_bufs lvs_netlink_cmd_rcv_bufs_force " +
			"lvs_netlink_monitor_rcv_bufs lvs_netlink_monitor_rcv_bufs_force process_monitor_rcv_bufs process_monitor_rcv_bufs_force vrrp_rx_bufs_policy vrrp_rx_bufs_multiplier",
		"it sizes the buffers of keepalived's sockets", "the director reads its sockets without a setting",
	},
	{[]blockKind{inVRRP}, "kernel_rx_buf_size", "it sizes the buffers of keepalived's sockets", "the director reads its sockets without a setting"},
	{
		[]blockKind{inGlobals},
		"snmp_socket enable_snmp_vrrp enable_snmp_checker enable_snmp_rfc enable_snmp_rfcv2 enable_snmp_rfcv3 enable_traps enable_dbus dbus_service_name enable_snmp_keepalived",
		"the director speaks neither SNMP nor D-Bus", "lvsctl status, whose output is JSON on request",
	},
	{
		[]blockKind{inGlobals},
		"vrrp_iptables vrrp_nftables nftables nftables_priority nftables_counters nftables_ifindex vrrp_ipsets nftables_ipvs nftables_ipvs_priority nftables_ipvs_start_fwmark disable_local_igmp",
		"the director sets no firewall rules", "a firewall of your own; virtual services by address need no marks",
	},
	{
		[]blockKind{inGlobals},
		"startup_script startup_script_timeout shutdown_script shutdown_script_timeout",
		"the director runs no program at its start and end", "the commands before and after in the service that runs it",
	},
	{[]blockKind{inGlobals}, "script_user enable_script_security", "programs are run as the user of the director", "run them through runuser"},
	{
		[]blockKind{inGlobals},
		"notify_fifo notify_fifo_script vrrp_notify_fifo vrrp_notify_fifo_script lvs_notify_fifo lvs_notify_fifo_script fifo_write_vrrp_states_on_reload vrrp_notify_priority_changes rs_init_notifies",
		"the lines that the director writes have another form", "notify_fifo, with a reader that knows its lines",
	},
	{
		[]blockKind{inGlobals},
		"reload_check_config reload_time_file reload_repeat reload_file include_check random_seed",
		"it shapes how keepalived reads its files", "the director checks a file before it takes it; reload with lvsctl",
	},
	{[]blockKind{inGlobals}, "lvs_flush lvs_flush_on_stop", "the director never empties a table that others may use", "lvsctl flush, by hand"},
	{[]blockKind{inGlobals}, "router_id", "it is a name for messages and mails alone", "the name of the machine"},
	{[]blockKind{inGlobals, inTop}, "linkbeat_use_polling linkbeat_interfaces", "the links are watched through netlink", "monitor_links"},
	{[]blockKind{inVRRP}, "linkbeat_use_polling", "the links are watched through netlink", "monitor_links"},
	{[]blockKind{inGlobals}, "vrrp_mcast_group4 vrrp_mcast_group6", "the multicast groups are those of the standard", "unicast_peer in the vrrp block"},
	{
		[]blockKind{inGlobals},
		"vrrp_garp_master_delay vrrp_garp_lower_prio_delay vrrp_garp_lower_prio_repeat vrrp_garp_master_refresh_repeat vrrp_gna_interval vrrp_garp_extra_if",
		"the announcements have no such setting", "garp_count, garp_interval and garp_refresh",
	},
	{
		[]blockKind{inVRRP},
		"garp_master_delay garp_lower_prio_delay garp_lower_prio_repeat garp_master_refresh_repeat garp_extra_if",
		"the announcements have no such setting", "garp_count, garp_interval and garp_refresh",
	},
	{[]blockKind{inTop}, "garp_group", "the announcements have no groups of interfaces", "garp_interval"},
	{
		[]blockKind{inGlobals, inVRRP},
		"vrrp_strict strict_mode",
		"keepalived then refuses what the standard does not have, and drops packets to the addresses", "accept = 0, if that is meant: no service at the addresses is reached then",
	},
	{
		[]blockKind{inGlobals, inVRRP},
		"vrrp_lower_prio_no_advert vrrp_higher_prio_send_advert vrrp_check_unicast_src vrrp_skip_check_adv_addr vrrp_startup_delay lower_prio_no_advert higher_prio_send_advert " +
			"check_unicast_src skip_check_adv_addr track_src_ip unicast_fault_no_peer unicast_ttl dynamic_interfaces log_unknown_vrids vmac_prefix vmac_addr_prefix",
		"the state machine has no such switch", "it follows RFC 9568, listens before it takes over, and says what it refuses",
	},
	{[]blockKind{inTop}, "vrrp_track_process", "a router does not watch processes by their name", "in the vrrp block a check of kind script with the command /usr/bin/pgrep -x NAME"},
	{[]blockKind{inSync, inVRRP}, "track_process", "a router does not watch processes by their name", "in the vrrp block a check of kind script with the command /usr/bin/pgrep -x NAME"},
	{[]blockKind{inTop}, "bfd_instance", "lvs.cf has no check of the kind bfd", "in the vrrp block a check of kind ping with the neighbour's address and a small interval"},
	{[]blockKind{inSync, inVRRP}, "track_bfd", "lvs.cf has no check of the kind bfd", "in the vrrp block a check of kind ping with the neighbour's address and a small interval"},
	{[]blockKind{inScript}, "user", "programs are run as the user of the director", "run it through runuser"},
	{[]blockKind{inScript}, "init_fail", "the first answer counts at once, and no router serves before it came, or two seconds passed", "leave it out"},
	{[]blockKind{inTrackFile}, "init_file", "the director writes no such file", "let what changes the number write it, or master_cmd; without a file the number is 0"},
	{[]blockKind{inTop}, "track_group", "static addresses are not watched for a take-over", "track_interface with the device"},
	{[]blockKind{inTop}, "static_rules", "lvs.cf has no rules of routing", "the network configuration of the system"},
	{[]blockKind{inVRRP}, "virtual_rules", "lvs.cf has no rules of routing", "master_cmd and backup_cmd with programs that set them"},
	{[]blockKind{inTop}, "interface_up_down_delays", "a link counts at once", "a larger advert_interval"},
	{[]blockKind{inVRRP}, "mcast_dst_ip", "the multicast groups are those of the standard", "unicast_peer"},
	{[]blockKind{inVRRP}, "vrf use_ipvlan vmac_xmit_base use_vmac_addr promote_secondaries dont_track_primary", "the vrrp blocks have no such setting", "the network configuration of the system"},
	{[]blockKind{inVRRP}, "old_unicast_checksum", "it is the checksum of keepalived before 1.3.6", "checksum, whose auto answers in the form of the other router"},
	{[]blockKind{inVRRP}, "debug", "keepalived does nothing with it either", "remove it"},
	{[]blockKind{inVRRP}, "notify_stop notify_deleted notify_master_rx_lower_pri", "there is no command for this change alone", "notify_cmd, which runs at each change"},
	{[]blockKind{inVRRP, inSync}, "notify_priority_changes", "the lines that the director writes have another form", "notify_fifo, with a reader that knows its lines"},
	{
		[]blockKind{inSync},
		"notify_master notify_backup notify_fault notify_stop notify notify_deleted",
		"a sync group has no commands of its own", "master_cmd, backup_cmd and fault_cmd in one of its vrrp blocks: all change together",
	},
	{[]blockKind{inSync}, "global_tracking", "what one router of a group watches is a fault of all anyway", "leave it out"},
	{[]blockKind{inVirtual}, "ha_suspend", "checks run on the backup router too, so that it knows the servers when it takes over", "leave it out"},
	{[]blockKind{inVirtual, inReal, inCheck}, "warmup", "the first checks are spread by themselves", "leave it out"},
	{[]blockKind{inCheck}, "log_all_failures", "each answer is kept for lvsctl status", "leave it out"},
	{[]blockKind{inGlobals}, "checker_log_all_failures", "each answer is kept for lvsctl status", "leave it out"},
	{[]blockKind{inCheck}, "bind_port", "a check picks its own port", "source alone"},
	{[]blockKind{inCheck}, "helo_name", "the greeting of a check cannot be chosen", "the check gives a name that no machine has"},
	{[]blockKind{inCheck}, "user", "programs are run as the user of the director", "run it through runuser"},
	{[]blockKind{inCheck}, "fast_recovery", "all pages are asked at each check", "leave it out"},
	{[]blockKind{inURL}, "regex_no_match", "an answer that must not match cannot be asked for", "a check of kind script"},
	{[]blockKind{inURL}, "regex_stack", "it is a limit of the PCRE library", "leave it out"},
	{[]blockKind{inURL}, "regex_min_offset regex_max_offset", "the whole answer is searched", "a more exact body_regex"},
	{[]blockKind{inCheck}, "min_reply_length max_reply_length", "the length of a reply is not judged", "expect with the beginning of the reply"},
	// Words of other versions.
	{[]blockKind{inVirtual}, "nat_mask", "keepalived 2 does not know it either", "leave it out"},
	{[]blockKind{inCheck, inReal, inVirtual}, "nb_get_retry", "keepalived 2 does not know it here and takes the default", "fall, which is one more"},
	{[]blockKind{inVirtual}, "laddr_group_name syn_proxy est_timeout", "it is of a keepalived for the full NAT of other kernels", "network = nat with the director as gateway"},
	{[]blockKind{inTop}, "local_address_group laddr_group", "it is of a keepalived for the full NAT of other kernels", "network = nat with the director as gateway"},
	{[]blockKind{inTop, inGlobals, inSync, inVRRP, inVirtual, inReal, inCheck, inURL, inScript, inTrackFile}, "include includer includem includew includeb includea", "an include behind a condition or a definition does not work in keepalived either", "put the condition into the included file"},
}

// reasonFor returns why a keyword is not carried, and what is nearest.
func reasonFor(in blockKind, word string) (why, nearest string) {
	for _, r := range reasons {
		if slices.Contains(r.in, in) && slices.Contains(strings.Fields(r.words), word) {
			return r.why, r.nearest
		}
	}
	return "keepalived 2.2.7 has no such word here", "look for a misspelling; keepalived ignores the line"
}
