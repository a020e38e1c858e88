package convert

import (
	"strings"
	"testing"
)

// TestSurplusWordsAreTold puts words behind the value of a keyword, which
// keepalived does not read. They are told, at their line and with a cure, and
// nothing else is lost of the line.
func TestSurplusWordsAreTold(t *testing.T) {
	const cure = "write it on a line of its own, or remove it"
	for _, c := range []struct{ name, top, virtual, real, check, want string }{
		{name: "two keywords of a virtual server", virtual: "delay_loop 5 lb_algo rr", want: "delay_loop ... lb_algo rr"},
		{name: "a word behind the protocol", virtual: "protocol TCP foo", want: "protocol ... foo"},
		{name: "a word behind a method", virtual: "lb_kind DR weight 1", want: "lb_kind ... weight 1"},
		{name: "a switch that has no word", virtual: "ops off", want: "ops ... off"},
		{name: "two keywords of a real server", real: "weight 2 inhibit_on_failure", want: "weight ... inhibit_on_failure"},
		{name: "a text", real: `snmp_name "one two" three`, want: "snmp_name ... three"},
		{name: "a block on one line", check: "connect_ip 10.0.0.9 connect_port 99 connect_timeout 2", want: "connect_ip ... connect_port 99 connect_timeout 2"},
		{name: "a word before the brace", top: "vrrp_instance v state MASTER {\n virtual_router_id 5\n}\n", want: "vrrp_instance ... state MASTER"},
		{name: "a flag of an instance", top: "vrrp_instance v {\n virtual_router_id 5\n nopreempt false\n}\n", want: "nopreempt ... false"},
		{name: "a group", top: "virtual_server_group g {\n 192.0.2.9 80 weight 2\n}\nvirtual_server group g {\n protocol TCP\n real_server 10.0.0.1 80 {\n }\n}\n", want: "192.0.2.9 ... weight 2"},
		{name: "a secret", virtual: "delay_loop 5 auth_pass geheim", want: "delay_loop ... auth_pass ..."},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := func(virtual, real, check string) string {
				return c.top + "virtual_server 192.0.2.1 80 {\n protocol TCP\n " + virtual + "\n real_server 10.0.0.1 80 {\n " + real + "\n TCP_CHECK { " + check + " }\n }\n}\n"
			}
			_, losses, err := FromKeepalived("k.conf", []byte(src(c.virtual, c.real, c.check)), KeepalivedOptions{})
			if err != nil {
				t.Fatal(err)
			}
			checkLosses(t, losses)
			found := 0
			for _, l := range losses {
				if l.Nearest != cure {
					continue
				}
				found++
				if l.What != c.want || l.Harmless || !l.Where.IsValid() {
					t.Errorf("%s (harmless: %t), want %q", l, l.Harmless, c.want)
				}
			}
			if found != 1 {
				t.Errorf("told %d times, want once:\n%s", found, losses)
			}
			if strings.Contains(losses.String(), "geheim") {
				t.Errorf("a secret is shown:\n%s", losses)
			}
		})
	}
}

// TestWordsThatAreReadAreNoSurplus gives keywords all the words that they have.
func TestWordsThatAreReadAreNoSurplus(t *testing.T) {
	const src = `global_defs {
	lvs_timeouts tcp 900 tcpfin 120 udp 300
	lvs_sync_daemon eth0 inst v id 3
}
vrrp_instance v {
	virtual_router_id 5
	virtual_ipaddress {
		192.0.2.1/24 dev eth0 label eth0:1
	}
}
virtual_server 192.0.2.1 80 {
	lb_kind TUN type gue port 6080 nocsum
	protocol TCP
	persistence_timeout
	sorry_server 10.0.0.9 80 inhibit
	real_server 10.0.0.1 80 {
		HTTP_GET {
			url {
				path /
				status_code 200 301-302
				regex "two words"
			}
		}
	}
}
`
	_, losses, err := FromKeepalived("k.conf", []byte(src), KeepalivedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(losses.String(), " ... ") {
		t.Errorf("words are told that keepalived reads:\n%s", losses)
	}
}
