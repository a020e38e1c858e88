//go:build linux && peers

package health_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
)

func TestPeersNTP(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	serve := func(name, lines string) (*daemon, netip.AddrPort) {
		addr := freePort(t)
		files(t, dir, map[string]string{name: fmt.Sprintf("port %d\nbindaddress %v\ncmdport 0\nbindcmdaddress /\npidfile %s/%s.pid\n%s", addr.Port(), addr.Addr(), dir, name, lines)})
		cmd := unprivileged(exec.Command(installed(t, "chronyd"), "-d", "-x", "-U", "-f", dir+"/"+name))
		return start(t, cmd), addr
	}
	c := must(health.NewNTP(nil))
	good, reference := serve("local", "allow 127.0.0.0/8\nlocal stratum 10\n")
	_, adrift := serve("lost", "allow 127.0.0.0/8\n")
	choosy, closed := serve("closed", "local stratum 10\nallow 127.3.3.3\n")
	good.wait(t, c, reference, health.OK)
	want(t, check(t, c, reference, short), health.OK, "read: stratum 10", "connect", "send", "read")
	listens := func(r health.Result) bool { return len(r.Seen) > 0 }
	for end := time.Now().Add(time.Minute); !listens(check(t, c, adrift, hang)) && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	want(t, check(t, c, adrift, short), health.Fail, "read: the server is not synchronized (leap 3, stratum 0)")
	guest := must(health.NewNTP(&health.NTPConfig{Dial: health.Dial{Source: netip.MustParseAddr("127.3.3.3")}}))
	choosy.wait(t, guest, closed, health.OK)
	want(t, check(t, c, closed, hang), health.Fail, "read: no answer within ")
	good.ends(t, c, reference, "read", "read")
}

func TestPeersSIP(t *testing.T) {
	t.Parallel()
	addr, dir := freePort(t), openDir(t)
	files(t, dir, map[string]string{"kamailio.cfg": fmt.Sprintf(`#!KAMAILIO
debug=0
log_stderror=yes
ser_kill_timeout=2
children=1
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
listen=udp:%[1]v
listen=tcp:%[1]v
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "sl.so"
loadmodule "pv.so"
request_route {
	if ($rU == "drained") {
		sl_send_reply("503", "Drained");
		exit;
	}
	if ($rU == "mute") {
		exit;
	}
	if ($rm == "OPTIONS") {
		sl_send_reply("200", "OK");
		exit;
	}
	sl_send_reply("405", "Method Not Allowed");
}
`, addr)})
	type cfg = health.SIPConfig
	c := must(health.NewSIP(nil))
	d := peer(t, c, addr, dir, "kamailio", "-DD", "-E", "-f", dir+"/kamailio.cfg", "-w", dir, "-Y", dir, "-m", "16", "-M", "4")
	for _, tcp := range []bool{false, true} {
		want(t, check(t, must(health.NewSIP(&cfg{TCP: tcp})), addr, short), health.OK, "read: status 200 OK")
		want(t, check(t, must(health.NewSIP(&cfg{TCP: tcp, URI: "sip:drained@example.com"})), addr, short), health.Fail, "read: status 503 Drained, expected 200")
		want(t, check(t, must(health.NewSIP(&cfg{TCP: tcp, URI: "sip:drained@example.com", Status: []health.StatusRange{{Min: 200, Max: 503}}})), addr, short), health.OK, "read: status 503 Drained")
		want(t, check(t, must(health.NewSIP(&cfg{TCP: tcp, URI: "sip:mute@example.com"})), addr, hang), health.Fail, "read: no answer within ")
	}
	if said := d.said(); strings.Contains(said, "reset by peer") {
		t.Errorf("the server complains of a check: %s", said)
	}
	d.ends(t, c, addr, "read", "read")
}

func TestPeersResolver(t *testing.T) {
	t.Parallel()
	addr, dir := freePort(t), openDir(t)
	over := beside(t, addr)
	trust := peerPair(t, dir)
	long := ""
	for i := range 40 {
		long += fmt.Sprintf("  local-data: 'long.example.com. TXT \"record number %d of very many\"'\n", i)
	}
	files(t, dir, map[string]string{"unbound.conf": fmt.Sprintf(`server:
  interface: %[2]v@%[3]d
  interface: %[2]v@%[4]d
  tls-port: %[4]d
  tls-service-key: %[1]s/key
  tls-service-pem: %[1]s/cert
  directory: "%[1]s"
  chroot: ""
  username: ""
  pidfile: ""
  do-daemonize: no
  use-syslog: no
  logfile: ""
  module-config: "iterator"
  num-threads: 1
  access-control: 127.0.0.0/8 allow
  access-control: 127.3.0.0/16 refuse
  access-control: 127.4.0.0/16 deny
  local-zone: "." static
  local-data: ". SOA a.invalid. b.invalid. 1 2 3 4 5"
  local-zone: "example.com." static
  local-data: "www.example.com. A 192.0.2.7"
  local-data: "www.example.com. AAAA 2001:db8::7"
%[5]sremote-control:
  control-enable: no
`, dir, addr.Addr(), addr.Port(), over.Port(), long)})
	type cfg = health.DNSConfig
	c := must(health.NewDNS(nil))
	d := peer(t, c, addr, dir, "unbound", "-d", "-p", "-c", dir+"/unbound.conf")
	stranger := trust
	stranger.ServerName = "example.net"
	refused := health.Dial{Source: netip.MustParseAddr("127.3.0.1")}
	for _, tt := range []struct {
		cfg    cfg
		want   health.Verdict
		reason string
	}{
		{cfg{}, health.OK, "read: NOERROR, 1 records"},
		{cfg{Name: "www.example.com", Type: "A", Answer: "192.0.2.7"}, health.OK, "read: the answer has 192.0.2.7"},
		{cfg{Name: "www.example.com", Type: "AAAA", Answer: "2001:db8::7"}, health.OK, "read: the answer has 2001:db8::7"},
		{cfg{Name: "www.example.com", Type: "MX", Answer: "mx"}, health.Fail, `read: the answer has no MX record, expected "mx"`},
		{cfg{Name: "none.example.com", Type: "A"}, health.Fail, "read: NXDOMAIN to none.example.com. A"},
		{cfg{Name: "www.example.com", Type: "A", Dial: refused}, health.Fail, "read: REFUSED to www.example.com. A"},
		{cfg{Name: "long.example.com", Type: "TXT"}, health.OK, ""},
	} {
		want(t, check(t, must(health.NewDNS(&tt.cfg)), addr, short), tt.want, tt.reason)
		tt.cfg.TCP = true
		want(t, check(t, must(health.NewDNS(&tt.cfg)), addr, short), tt.want, tt.reason)
		tt.cfg.TLS = &trust
		want(t, check(t, must(health.NewDNS(&tt.cfg)), over, short), tt.want, tt.reason)
	}
	// What does not fit into a datagram is to be asked for over TCP.
	last := cfg{Name: "long.example.com", Type: "TXT", Answer: "record number 39 of very many"}
	want(t, check(t, must(health.NewDNS(&last)), addr, short), health.Fail, `read: the answer did not fit into a datagram and "record number 39 of very many" is not in what did; ask over TCP`)
	last.TCP = true
	want(t, check(t, must(health.NewDNS(&last)), addr, short), health.OK, "read: the answer has record number 39")
	want(t, check(t, must(health.NewDNS(&cfg{TLS: &stranger})), over, short), health.Fail, "not example.net")
	want(t, check(t, must(health.NewDNS(&cfg{TLS: &trust})), addr, hang), health.Fail, "tls: no answer within ")
	want(t, check(t, must(health.NewDNS(&cfg{Dial: health.Dial{Source: netip.MustParseAddr("127.4.0.1")}})), addr, hang), health.Fail, "read: no answer within ")
	d.ends(t, c, addr, "read", "read")
}
