package ipvsadm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/ipvs"
)

// places leaves out where a command was.
var places = cmp.Options{equate, cmpopts.IgnoreUnexported(Command{}), cmpopts.IgnoreFields(Command{}, "Pos")}

func TestParseArgs(t *testing.T) {
	web, web6, dns := ipvs.TCPService(ap("192.0.2.1:80")), ipvs.TCPService(ap("[2001:db8::1]:80")), ipvs.UDPService(ap("192.0.2.1:53"))
	service := func(v Verb, s ipvs.Service) Command {
		return Command{Verb: v, Change: ipvs.Change{Op: v.Op(), Service: s}}
	}
	server := func(v Verb, k ipvs.ServiceKey, d ipvs.Destination) Command {
		return Command{Verb: v, Change: ipvs.Change{Op: v.Op(), Service: ipvs.Service{Key: k}, Destination: d}}
	}
	direct := func(s string) ipvs.Destination {
		return ipvs.Destination{Key: ap(s), Forward: ipvs.DirectRoute, Weight: 1}
	}
	tests := []struct {
		line string
		want Command
	}{
		{"-A -t 192.0.2.1:80", service(AddService, ipvs.Service{Key: web, Scheduler: "wlc"})},
		{"--add-service --tcp-service=192.0.2.1:80 --scheduler=rr", service(AddService, ipvs.Service{Key: web, Scheduler: "rr"})},
		{"-At192.0.2.1:80 -srr -p20", service(AddService, ipvs.Service{Key: web, Scheduler: "rr", Persistence: 20 * time.Second})},
		{"-srr -p -At=192.0.2.1:80", service(AddService, ipvs.Service{Key: web, Scheduler: "rr", Persistence: 360 * time.Second})},
		{"-A -t 192.0.2.1 -p 60 -M 255.255.255.0", service(AddService, ipvs.Service{Key: ipvs.TCPService(ap("192.0.2.1:0")), Scheduler: "wlc", Persistence: time.Minute, PersistencePrefix: 24})},
		{"-A -M 64 -t [2001:db8::1]:80 -p", service(AddService, ipvs.Service{Key: web6, Scheduler: "wlc", Persistence: 360 * time.Second, PersistencePrefix: 64})},
		{"-A -t 192.0.2.1:80 -M 255.0.0.0", service(AddService, ipvs.Service{Key: web, Scheduler: "wlc"})},
		{"-A -b sh-port,sh-fallback -s sh -t 192.0.2.1:80", service(AddService, ipvs.Service{Key: web, Scheduler: "sh", Flags: ipvs.SHPort | ipvs.SHFallback})},
		{"-A -u 192.0.2.1:53 -o --pe sip -s mh --sched-flags mh-port,flag-3,", service(AddService, ipvs.Service{Key: dns, Scheduler: "mh", Flags: ipvs.OnePacket | ipvs.MHPort | ipvs.Sched3, Engine: "sip"})},
		{"-A -6f 4294967295", service(AddService, ipvs.Service{Key: ipvs.MarkService6(1<<32 - 1), Scheduler: "wlc"})},
		{"-A --sctp-service 192.0.2.1:99", service(AddService, ipvs.Service{Key: ipvs.SCTPService(ap("192.0.2.1:99")), Scheduler: "wlc"})},
		{"-E -t 192.0.2.1:80", service(EditService, ipvs.Service{Key: web, Scheduler: "wlc"})},
		{"-D -t 192.0.2.1:080", service(DeleteService, ipvs.Service{Key: web})},
		{"-D -f 7 --ipv6 --sort --sort", service(DeleteService, ipvs.Service{Key: ipvs.MarkService6(7)})},
		{"-C", Command{Verb: Clear}},
		{"-a -t 192.0.2.1:80 -r 10.0.0.1", server(AddServer, web, direct("10.0.0.1:80"))},
		{"-a -t 192.0.2.1:80 -r 10.0.0.1:8080", server(AddServer, web, direct("10.0.0.1:8080"))},
		{"-a -f 7 -r 10.0.0.1", server(AddServer, ipvs.MarkService(7), direct("10.0.0.1:0"))},
		{"-a -t [2001:db8::1]:80 -r 2001:db8::5", server(AddServer, web6, direct("[2001:db8::5]:80"))},
		{
			"-a -t 192.0.2.1:80 -mr 10.0.0.1:81 -w 0 -x 10 -y 5",
			server(AddServer, web, ipvs.Destination{Key: ap("10.0.0.1:81"), UpperThreshold: 10, LowerThreshold: 5}),
		},
		{
			"-e -t 192.0.2.1:80 -r [2001:db8::5]:80 -i --tun-type gue --tun-port 6080 --tun-remcsum -w 2147483647",
			server(EditServer, web, ipvs.Destination{Key: ap("[2001:db8::5]:80"), Forward: ipvs.Tunnel, Weight: ipvs.MaxWeight, Tunnel: ipvs.TunnelOptions{Type: ipvs.GUE, Port: 6080, Flags: 2}}),
		},
		{"-d -t 192.0.2.1:80 -r 10.0.0.1", server(DeleteServer, web, ipvs.Destination{Key: ap("10.0.0.1:80")})},
		{"-Ln", Command{Verb: List, List: &ListOptions{Numeric: true}}},
		{"-lnc --exact --persistent-conn", Command{Verb: List, List: &ListOptions{Numeric: true, Connections: true, Exact: true, PersistentConn: true}}},
		{"-L -t 192.0.2.1:80 --stats --nosort", Command{Verb: List, Service: web, List: &ListOptions{Service: web, Stats: true, NoSort: true}}},
		{"-L --daemon", Command{Verb: List, List: &ListOptions{Daemons: true}}},
		{"-L --timeout --tun-info --rate=", Command{}},
		{"-Z", Command{Verb: Zero}},
		{"-Z -u 192.0.2.1:53", Command{Verb: Zero, Service: dns}},
		{"-Sn", Command{Verb: Save, Numeric: true}},
		{"-R", Command{Verb: Restore}},
		{"--set 900 0 300", Command{Verb: SetTimeouts, Timeouts: &ipvs.Timeouts{TCP: 900 * time.Second, UDP: 300 * time.Second}}},
		{
			"--start-daemon backup --mcast-interface eth0 --syncid 255 --sync-maxlen 65507 --mcast-group ff02::5 --mcast-port 9000 --mcast-ttl 255",
			Command{Verb: StartDaemon, Daemon: &ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "eth0", SyncID: 255, MaxLength: 65507, Group: ap("[ff02::5]:1").Addr(), Port: 9000, TTL: 255}},
		},
		{"--stop-daemon=master --syncid 3", Command{Verb: StopDaemon, Daemon: &ipvs.SyncDaemon{Role: ipvs.SyncMaster}}},
		{"-h --whatever", Command{Verb: Help}},
		{"-vx", Command{Verb: Version}},
	}
	for _, tt := range tests {
		got, err := ParseArgs(t.Context(), strings.Fields(tt.line), Options{})
		if (err == nil) != (tt.want.Verb != 0) {
			t.Errorf("%s: %v", tt.line, err)
		}
		if diff := cmp.Diff(tt.want, got, places); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.line, diff)
		}
	}
	got, err := ParseArgs(t.Context(), nil, Options{})
	if err != nil || got.Verb != List || got.List == nil {
		t.Errorf("no arguments: %+v, %v; want a listing", got, err)
	}
}

func TestParseTakesWhatScriptsHave(t *testing.T) {
	web := "tcp/192.0.2.1:80"
	tests := map[string]string{
		"a program's name":           "ipvsadm -A -t 192.0.2.1:80",
		"a program's path":           "/usr/sbin/ipvsadm -A -t 192.0.2.1:80",
		"sudo":                       "sudo /sbin/ipvsadm -A -t 192.0.2.1:80",
		"a variable for the program": "$IPVSADM -A -t 192.0.2.1:80\n",
		"braces":                     `"${IPVSADM}" -A -t 192.0.2.1:80`,
		"line ends of Windows":       "\r\n-A -t 192.0.2.1:80\r\n\r\n",
		"a byte order mark":          "\ufeff-A -t 192.0.2.1:80",
		"comments":                   "# one\n  # two\n-A -t 192.0.2.1:80 # three\n#four",
		"quotes":                     `-A -t "192.0.2.1":'80'`,
		"backslashes":                `-A -t 192.0.2.1\:80`,
		"joined lines":               "-A \\\n  -t 192.0.2.1:80\\\r\n\n",
		"tabs and spaces":            "\t -A\t\t-t  192.0.2.1:80 \t",
	}
	for name, text := range tests {
		commands, err := Parse(t.Context(), text, Options{})
		if err != nil || len(commands) != 1 || commands[0].Change.Service.Key.String() != web {
			t.Errorf("%s: %+v, %v", name, commands, err)
		}
	}
	for _, text := range []string{"", "\n\n", "# nothing", "\\\n", " \r\n"} {
		if commands, err := Parse(t.Context(), text, Options{}); err != nil || len(commands) != 0 {
			t.Errorf("%q: %+v, %v; want nothing", text, commands, err)
		}
	}
}

// TestErrors has the whole text of errors.
func TestErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"-A -t 192.0.2.1:80\n\n  -a -t 192.0.2.1:80 -r 10.0.0.1 -w 5x", `ipvsadm: web.rules:3:37: "5x" after -w: want a number 0..2147483647`},
		{"-A -t 192.0.2.1:80 --schedular rr", `ipvsadm: web.rules:1:20: unknown option "--schedular": did you mean --scheduler?`},
		{"-A --real 10.0.0.1", `ipvsadm: web.rules:1:4: unknown option "--real": did you mean --real-server?`},
		{"-A --xyz 10.0.0.1", `ipvsadm: web.rules:1:4: unknown option "--xyz"`},
		{"-A -tcp-service 1.2.3.4:80", `ipvsadm: web.rules:1:4: option -tcp-service has two dashes: write --tcp-service`},
		{"-Aqt 1.2.3.4:80", `ipvsadm: web.rules:1:3: unknown option "-q"`},
		{"-A=3 -t 1.2.3.4:80", `ipvsadm: web.rules:1:3: option -A takes no value`},
		{"-A --ops=3", `ipvsadm: web.rules:1:4: option --ops takes no value`},
		{"-A -s wlc", `ipvsadm: web.rules:1:1: -A needs a service: -t, -u or --sctp-service HOST:PORT, or -f MARK`},
		{"ipvsadm -a -t 1.2.3.4:80", `ipvsadm: web.rules:1:9: -a needs a server: -r HOST or HOST:PORT`},
		{"-A -t", `ipvsadm: web.rules:1:4: nothing follows -t: want HOST:PORT`},
		{"-A -t -s rr", `ipvsadm: web.rules:1:7: option "-s" follows -t: want HOST:PORT`},
		{"-D -t 1.2.3.4:80 -w 5", `ipvsadm: web.rules:1:18: option -w does not go with -D: it belongs to -a or -e`},
		{"-A -E -t 1.2.3.4:80", `ipvsadm: web.rules:1:4: command -E after -A: only one at a time`},
		{"-A -t 1.2.3.4:80 -u 1.2.3.4:80", `ipvsadm: web.rules:1:18: option -u after -t: only one of them`},
		{"-A -t 1.2.3.4:80 rr", `ipvsadm: web.rules:1:18: unexpected word "rr"`},
		{"-n", `ipvsadm: web.rules:1:1: no command: want one of -A -E -D -C, -a -e -d, -L -Z -S -R, --set, --start-daemon, --stop-daemon`},
		{"echo 1 > /proc/sys/net/ipv4/ip_forward", `ipvsadm: web.rules:1:8: ">" is for a shell: rule text has one command a line, of words and quotes`},
		{"sudo modprobe ip_vs", `ipvsadm: web.rules:1:6: want ipvsadm after sudo, not "modprobe"`},
		{"ipvsadm", `ipvsadm: web.rules:1:1: no command follows: want a line such as -A -t 192.0.2.1:80 -s wlc`},
		{"-A -t $VIP:80", `ipvsadm: web.rules:1:7: "$VIP:80": variables are not replaced, write the value`},
		{"-A -t 'x", `ipvsadm: web.rules:1:7: the quote is not closed on its line`},
		{"-A \\", `ipvsadm: web.rules:1:4: nothing follows the backslash`},
		{"-A é 'è' -t \x00", `ipvsadm: web.rules:1:13: a NUL character is no text`},
		{"-R", `ipvsadm: web.rules:1:1: -R cannot be a line of what it reads`},
		{"-A -t www.example:80", `ipvsadm: web.rules:1:7: "www.example": names of hosts are not looked up here, write the address (ipvsadm -S -n saves addresses)`},
		{"-A -t 1.2.3.4:http", `ipvsadm: web.rules:1:15: "http": names of ports are not looked up here, write the number (ipvsadm -S -n saves numbers)`},
		{"-A -t 1.2.3.4", `ipvsadm: web.rules:1:7: port 0 means all ports and needs persistence: give a port, or add -p`},
		{"-A -t 1.2.3.400:80", `ipvsadm: web.rules:1:7: "1.2.3.400" is no IPv4 address: want four numbers 0..255 without leading zeros`},
		{"-A -t 2001:db8::1:zz", `ipvsadm: web.rules:1:7: "2001:db8::1:zz": want HOST:PORT, an IPv6 address with its port as [ADDRESS]:PORT`},
		{"-A -t [2001:db8::1]", `ipvsadm: web.rules:1:7: "[2001:db8::1]": want :PORT after the bracket, an IPv6 address without a port has none`},
		{"-A -t [2001:db8::1:80", `ipvsadm: web.rules:1:7: "[2001:db8::1:80": no ] after the IPv6 address`},
		{"-A -t [fe80::1%eth0]:80", `ipvsadm: web.rules:1:8: "fe80::1%eth0": IPVS knows no zones, leave out "%eth0"`},
		{"-A -t [::ffff:1.2.3.4]:80", `ipvsadm: web.rules:1:8: "::ffff:1.2.3.4" is an IPv4 address in IPv6 form: write 1.2.3.4`},
		{"-A -t 1.2.3.4:99999", `ipvsadm: web.rules:1:15: port "99999": want 0..65535`},
		{"-A -t 1.2.3.4:80 -p 0", `ipvsadm: web.rules:1:21: "0" after -p: want seconds, 1..2678400`},
		{"-A -t 1.2.3.4:80 -p -M 24", `ipvsadm: web.rules:1:24: netmask "24": the service is IPv4, write 255.255.255.0`},
		{"-A -t 1.2.3.4:80 -p -M 255.0.255.0", `ipvsadm: web.rules:1:24: netmask "255.0.255.0" has gaps: want ones first, then zeros, such as 255.0.0.0`},
		{"-A -t 1.2.3.4:80 -s rr -b sh-port", `ipvsadm: web.rules:1:27: flag sh-port belongs to the scheduler sh, not to "rr": name it with -s`},
		{"-A -t 1.2.3.4:80 -s sh -b sh-port,port", `ipvsadm: web.rules:1:35: unknown scheduler flag "port": want sh-fallback, sh-port, flag-1, flag-2, flag-3`},
		{"-A -t 1.2.3.4:80 -o", `ipvsadm: web.rules:1:18: one-packet scheduling is for UDP and firewall marks only`},
		{"-A -t 1.2.3.4:80 -6", `ipvsadm: web.rules:1:18: -6 goes with -f only: an address tells its family itself`},
		{"-A -f -1", `ipvsadm: web.rules:1:7: mark -1: write 4294967295 (ipvsadm -S shows large marks as negative numbers, which -R does not take)`},
		{"-a -t 1.2.3.4:80 -r [2001:db8::5]:80 -m", `ipvsadm: web.rules:1:21: server 2001:db8::5 is of another address family than the service: that needs a tunnel (-i)`},
		{"-a -t 1.2.3.4:80 -r 10.0.0.1 -w -1", `ipvsadm: web.rules:1:33: "-1" after -w: want a number 0..2147483647`},
		{"-a -t 1.2.3.4:80 -r 10.0.0.1 -x 4 -y 5", `ipvsadm: web.rules:1:38: lower threshold 5 is above the upper one, 4: numerical result out of range`},
		{"-a -t 1.2.3.4:80 -r 10.0.0.1 --tun-port 5", `ipvsadm: web.rules:1:30: option --tun-port is for tunnels only: add -i`},
		{"-a -t 1.2.3.4:80 -r 10.0.0.1 -i --tun-type gue", `ipvsadm: web.rules:1:44: a gue tunnel needs its UDP port: add --tun-port`},
		{"-a -t 1.2.3.4:80 -r 224.0.0.1", `ipvsadm: web.rules:1:21: server 224.0.0.1: want the address of one host`},
		{"--set 900 120", `ipvsadm: web.rules:1:1: --set has 2 of its three timeouts: TCP TCPFIN UDP in seconds, 0 to leave one as it is`},
		{"--set 900 120 3000000", `ipvsadm: web.rules:1:15: timeout "3000000": want seconds, 0..2678400`},
		{"--start-daemon both", `ipvsadm: web.rules:1:16: "both" after --start-daemon: want master or backup`},
		{"--start-daemon master", `ipvsadm: web.rules:1:1: --start-daemon needs the network device: --mcast-interface NAME`},
		{"--start-daemon master --mcast-interface lo --mcast-group 10.0.0.1", `ipvsadm: web.rules:1:58: multicast group "10.0.0.1": want an IPv4 or IPv6 multicast address, without brackets`},
		{"-L --daemon --stats", `ipvsadm: web.rules:1:13: option --stats does not go with --daemon`},
		{"-A -t " + strings.Repeat("x/", 500), `ipvsadm: web.rules:1:7: "` + strings.Repeat("x/", 30) + `..." is neither an address nor the name of a host`},
	}
	for _, tt := range tests {
		commands, err := Parse(t.Context(), tt.text, Options{File: "web.rules"})
		if err == nil || err.Error() != tt.want || commands != nil {
			t.Errorf("%q:\n got %v\nwant %v", tt.text, err, tt.want)
		}
		if e, ok := errors.AsType[*SyntaxError](err); !ok || e.Line == 0 || e.Column == 0 {
			t.Errorf("%q: %#v is no SyntaxError with a place", tt.text, err)
		}
	}
}

func TestErrorsAreCountedAndBounded(t *testing.T) {
	var text strings.Builder
	for i := range 50 {
		fmt.Fprintf(&text, "-A -t 192.0.2.1:%d\nnonsense\n", i+1)
	}
	_, err := Parse(t.Context(), text.String(), Options{})
	e, ok := errors.AsType[*Errors](err)
	if !ok || len(e.List) != 20 || e.More != 30 {
		t.Fatalf("%v", err)
	}
	if e.List[1].Line != 4 || !strings.HasSuffix(e.Error(), "\nipvsadm: and 30 more") || strings.Count(e.Error(), "\n") != 20 {
		t.Errorf("%v", e)
	}
}

func TestNamesAreLookedUp(t *testing.T) {
	tests := []struct{ line, service, server string }{
		{"-a -t localhost:http -r six.example -i", "tcp/127.0.0.1:80", "[2001:db8::6]:80"},
		{"-a -u localhost:domain -r mapped.example:domain", "udp/127.0.0.1:53", "192.0.2.7:53"},
		{"-a --sctp-service 192.0.2.1:http -r 10.0.0.1:0", "sctp/192.0.2.1:80", "10.0.0.1:0"},
	}
	for _, tt := range tests {
		c, err := ParseArgs(t.Context(), strings.Fields(tt.line), Options{Resolver: hosts{}})
		if err != nil || c.Change.Service.Key.String() != tt.service || c.Change.Destination.Key.String() != tt.server {
			t.Errorf("%s: %v %v, %v", tt.line, c.Change.Service.Key, c.Change.Destination.Key, err)
		}
	}
	for line, want := range map[string]string{
		"-D -t nowhere.example:80": `ipvsadm: argument 3: look up host "nowhere.example": no host nowhere.example in ip`,
		"-D -t empty.example:80":   `ipvsadm: argument 3: host "empty.example" has no address`,
		"-D -t 192.0.2.1:domain":   `ipvsadm: argument 3: look up port "domain": no port tcp/domain`,
		"-D -t 192.0.2.1:huge":     `ipvsadm: argument 3: port "huge" is 65536, outside 0..65535`,
	} {
		if _, err := ParseArgs(t.Context(), strings.Fields(line), Options{Resolver: hosts{}}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

// slow is a resolver that waits for the end of its context.
type slow struct {
	hosts
	asked *int
	stop  context.CancelFunc
}

func (s slow) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	*s.asked++
	if s.stop == nil {
		return hosts{}.LookupNetIP(ctx, "ip", host)
	}
	s.stop()
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestHostsAreAskedForOnce(t *testing.T) {
	asked := 0
	text := strings.Repeat("-A -t localhost:http\n-D -t localhost:http\n", 100)
	if _, err := Parse(t.Context(), text, Options{Resolver: slow{asked: &asked}}); err != nil || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked = 0
	commands, err := Parse(ctx, strings.Repeat("-A -t localhost:http\n", 100), Options{Resolver: slow{asked: &asked, stop: cancel}})
	if err != context.Canceled || commands != nil || asked != 1 {
		t.Errorf("cancelled: %v, %v after %d questions", commands, err, asked)
	}
}

func TestVerbsAsText(t *testing.T) {
	for v := AddService; v <= Version; v++ {
		text, err := v.MarshalText()
		var back Verb
		if err == nil {
			err = back.UnmarshalText(text)
		}
		if err != nil || back != v {
			t.Errorf("%v comes back as %v, %v", v, back, err)
		}
	}
	if s := Verb(99).String(); s != "verb 99" {
		t.Error(s)
	}
	if err := new(Verb).UnmarshalText([]byte("no-verb")); err == nil {
		t.Error("no-verb is taken")
	}
}

// A caller can tell that it is names alone that keep a text from being read.
func TestNamesWithoutResolver(t *testing.T) {
	for text, want := range map[string]bool{
		"-A -t 192.0.2.1:http":  true,
		"-A -t www:80":          true,
		"-A -t 192.0.2.1:99999": false,
		"-A -t 192.0.2.1:80":    false,
	} {
		if _, err := Parse(t.Context(), text, Options{}); errors.Is(err, ErrName) != want {
			t.Errorf("%s: %v, is ErrName: %v", text, err, !want)
		}
	}
}
