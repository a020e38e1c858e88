package convert

import (
	"cmp"
	"slices"
	"strings"
)

// anyWords is the number of words of a keyword that judges all of its words
// itself.
const anyWords = -1

// mostWords returns how many words keepalived reads behind a keyword
// (keepalived.conf(5)).
func mostWords(in blockKind, name string) int {
	switch name {
	case "global_defs", "static_ipaddress", "static_routes", "virtual_routes", "SSL", "virtual_ipaddress", "virtual_ipaddress_excluded", "unicast_peer", "track_interface", "track_script", "authentication", "sync_group_tracking_weight",
		"native_ipv6", "nopreempt", "preempt", "accept", "no_accept", "group",
		"ops", "flag-1", "flag-2", "flag-3", "sh-port", "sh-fallback", "mh-port", "mh-fallback",
		"TCP_CHECK", "PING_CHECK", "HTTP_GET", "SSL_GET", "SMTP_CHECK", "DNS_CHECK", "MISC_CHECK", "UDP_CHECK", "BFD_CHECK", "FILE_CHECK", "url", "host":
		return 0
	case "virtual_server", "real_server":
		return 2
	case "lvs_sync_daemon", "lvs_sync_daemon_interface", "lvs_timeouts", "use_vmac", "lvs_method", "lb_kind", "sorry_server", "sorry_server_lvs_method",
		"notify", "notify_master", "notify_backup", "notify_fault", "notify_up", "notify_down", "quorum_up", "quorum_down",
		"misc_path", "status_code", "regex", "regex_options", "payload", "require_reply":
		return anyWords
	case "track_file":
		if in != inTop { // where it has a name
			return 0
		}
	case "weight":
		if in == inScript || in == inTrackFile { // with "reverse"
			return anyWords
		}
	}
	return 1
}

// rest loses words behind those that a keyword has. They change nothing, and
// yet are not harmless: who wrote them believes that they do.
func (p place) rest(s *statement, most int) { p.surplus(s, s.words, most) }

func (p place) surplus(s *statement, words []string, most int) {
	if most == anyWords || len(words) <= most {
		return
	}
	words = slices.DeleteFunc(slices.Clone(words[most:]), func(w string) bool { return w == "" })
	p.loseAs(s, s.name+" ... "+cmp.Or(clip(strings.Join(words, " ")), `""`),
		"it has no effect in keepalived either, which reads no word behind those that the keyword has", "write it on a line of its own, or remove it")
}
