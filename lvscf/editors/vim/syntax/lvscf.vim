" Vim syntax file
" Language: lvs.cf, see lvs.cf(5)
" Made of the table of directives: go test ./lvscf -update

if exists("b:current_syntax")
  finish
endif

syntax case match
setlocal commentstring=#\ %s

syntax match lvscfComment /#.*$/
syntax match lvscfUnknown /^\s*[^#}[:blank:]=][^=[:blank:]]*\ze\s*=/
syntax region lvscfString start=/"/ end=/"/ oneline contains=lvscfEscape contained
syntax region lvscfString start=/'/ end=/'/ oneline contains=lvscfEscape contained
syntax match lvscfEscape /\\[nrt\\'"]/ contained
syntax match lvscfNumber /\<\d\+\%(\.\d\+\)\=\%(ms\|s\|m\|h\)\=\>/ contained
syntax match lvscfNumber /\<0[xX]\x\+\>/ contained
syntax match lvscfAddress /\<\d\{1,3}\%(\.\d\{1,3}\)\{3}\%(\/\d\+\)\=/ contained
syntax match lvscfAddress /\<\x*:[0-9a-fA-F:.]\+\%(\/\d\+\)\=/ contained
syntax match lvscfValue /=.*$/ contains=lvscfString,lvscfNumber,lvscfAddress,lvscfWord,lvscfComment
syntax match lvscfWord /\%(^\|[[:blank:]=,]\)\@<=\%(lvs\|fos\|nat\|direct\|tunnel\|nothing\|preempt\|pulse\|vrrp\|tcp\|udp\|sctp\|rr\|lc\|wlc\|wrr\|lblc\|lblcr\|dh\|sh\|sed\|nq\|fo\|ovf\|mh\|twos\|ipip\|gue\|gre\|none\|full\|remote\|text\|tls\|http\|https\|grpc\|dns\|smtp\|pop3\|imap\|ftp\|nntp\|ldap\|mysql\|postgres\|redis\|memcached\|radius\|ntp\|sip\|ajp\|agent\|ping\|script\|nagios\|file\|unknown\|up\|down\|server\|virtual\|master\|slave\|sentinel\|auto\|pseudo-header\|message\|password\|hmac\)\%($\|[[:blank:],]\)\@=/ contained

syntax match lvscfGlobal /^\s*\%(serial_no\|primary\|primary_private\|primary_shared\|backup\|backup_private\|backup_shared\|backup_active\|heartbeat\|heartbeat_port\|keepalive\|deadtime\|service\|rsh_command\|network\|nat_router\|nat_nmask\|reservation_conflict_action\|debug_level\|monitor_links\|syncdaemon\|syncd_iface\|syncd_id\|tcp_timeout\|tcpfin_timeout\|udp_timeout\|hard_shutdown\|active_cmd\|inactive_cmd\|ipvsadm\|sync\)\ze\s*=/ nextgroup=lvscfValue skipwhite
highlight default link lvscfGlobal Keyword

syntax match lvscfGlobalExtension /^\s*\%(include\|failover_mode\|heartbeat_path\|heartbeat_key_file\|witness\|fence_cmd\|floating_address\|static_address\|route\|garp_count\|garp_interval\|garp_refresh\|drain_time\|control_target\|mass_failure\|syncd_group\|syncd_port\|syncd_ttl\|syncd_maxlen\|notify_cmd\|notify_fifo\)\ze\s*=/ nextgroup=lvscfValue skipwhite
highlight default link lvscfGlobalExtension PreProc

syntax match lvscfVirtual /^\s*\%(active\|address\|vip_nmask\|sorry_server\|fwmark\|port\|protocol\|scheduler\|persistent\|pmask\|send\|expect\|use_regex\|send_program\|load_monitor\|timeout\|reentry\|quiesce_server\|client_monitor\|master\|dirs\|start_cmd\|stop_cmd\)\ze\s*=/ nextgroup=lvscfValue skipwhite contained
highlight default link lvscfVirtual Keyword

syntax match lvscfVirtualExtension /^\s*\%(forward\|tunnel_type\|tunnel_port\|tunnel_checksum\|scheduler_flags\|one_packet\|persistence_engine\|vrrp\|check\|interval\|fast_interval\|down_interval\|connect_timeout\|tls_timeout\|read_timeout\|rise\|fall\|start_state\|slow_start\|quorum\|quorum_hysteresis\|quorum_up_cmd\|quorum_down_cmd\|down_on_stop\)\ze\s*=/ nextgroup=lvscfValue skipwhite contained
highlight default link lvscfVirtualExtension PreProc

syntax match lvscfServer /^\s*\%(address\|active\|port\|weight\)\ze\s*=/ nextgroup=lvscfValue skipwhite contained
highlight default link lvscfServer Keyword

syntax match lvscfServerExtension /^\s*\%(forward\|tunnel_type\|tunnel_port\|tunnel_checksum\|check\|slow_start\|sorry\|maintenance\|upper_threshold\|lower_threshold\|quiesce_server\|up_cmd\|down_cmd\)\ze\s*=/ nextgroup=lvscfValue skipwhite contained
highlight default link lvscfServerExtension PreProc

syntax match lvscfCheckExtension /^\s*\%(kind\|address\|port\|source\|interface\|mark\|through\|timeout\|send\|expect\|use_regex\|require_reply\|method\|path\|host\|header\|http_version\|status\|body\|body_regex\|digest\|tls\|starttls\|server_name\|verify\|ca_file\|cert_file\|key_file\|query\|query_type\|grpc_service\|user\|password_file\|database\|role\|command\|use_weight\|weight\|interval\|fast_interval\|down_interval\|connect_timeout\|tls_timeout\|read_timeout\|rise\|fall\|start_state\)\ze\s*=/ nextgroup=lvscfValue skipwhite contained
highlight default link lvscfCheckExtension PreProc

syntax match lvscfVrrpExtension /^\s*\%(vrid\|priority\|backup_priority\|version\|advert_interval\|down_adverts\|preempt\|preempt_delay\|accept\|virtual_mac\|checksum\|unicast_peer\|unicast_source\|auth\|key_file\|address\|track_interface\|track_weight\|sync_group\|master_cmd\|backup_cmd\|fault_cmd\|route\|garp_count\|garp_interval\|garp_refresh\|notify_cmd\|interface\)\ze\s*=/ nextgroup=lvscfValue skipwhite contained
highlight default link lvscfVrrpExtension PreProc

syntax region lvscfBlockCheck matchgroup=lvscfBlock start=/^\s*check\s\+\S\+\s*{/ end=/^\s*}/ fold contained
	\ contains=lvscfComment,lvscfUnknown,lvscfValue,lvscfCheck,lvscfCheckExtension

syntax region lvscfBlockServer matchgroup=lvscfBlock start=/^\s*server\s\+\S\+\s*{/ end=/^\s*}/ fold contained
	\ contains=lvscfComment,lvscfUnknown,lvscfValue,lvscfServer,lvscfServerExtension,lvscfBlockCheck

syntax region lvscfBlockVirtual matchgroup=lvscfBlock start=/^\s*\%(virtual\|failover\)\s\+\S\+\s*{/ end=/^\s*}/ fold
	\ contains=lvscfComment,lvscfUnknown,lvscfValue,lvscfVirtual,lvscfVirtualExtension,lvscfBlockServer,lvscfBlockCheck

syntax region lvscfBlockVrrp matchgroup=lvscfBlock start=/^\s*vrrp\s\+\S\+\s*{/ end=/^\s*}/ fold
	\ contains=lvscfComment,lvscfUnknown,lvscfValue,lvscfVrrp,lvscfVrrpExtension,lvscfBlockCheck

syntax sync fromstart

highlight default link lvscfComment Comment
highlight default link lvscfUnknown Error
highlight default link lvscfString String
highlight default link lvscfEscape SpecialChar
highlight default link lvscfNumber Number
highlight default link lvscfAddress Constant
highlight default link lvscfWord Type
highlight default link lvscfBlock Structure

let b:current_syntax = "lvscf"
