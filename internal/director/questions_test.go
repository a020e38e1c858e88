package director

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/lvscf"
)

// checkOf is the check of a server with the given check block.
func checkOf(t *testing.T, service, block string) (identity string, notes []string) {
	t.Helper()
	s := setupOf(t, "network = direct\n"+virtual("v", service+realServer("s", "address = 10.0.0.1\ncheck k {\n"+block+"}\n")))
	return s.Services[0].Servers[0].Checker.Identity(), s.Notes
}

func TestEveryKindIsAsked(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("open sesame\r\nnot this\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	login := "user = probe\npassword_file = " + secret + "\n"
	asked := map[string]bool{}
	for _, tt := range []struct {
		kind, service, block string
		want                 []string
	}{
		{"none", "", "", []string{"none"}},
		{"tcp", "", "", []string{"tcp"}},
		{"tcp", "", "source = 10.0.0.250\ninterface = eth1\nmark = 7\nconnect_timeout = 1\nread_timeout = 2\n", []string{"tcp source=10.0.0.250 device=eth1 mark=7 connect-timeout=1s answer-timeout=2s"}},
		{"udp", "", "require_reply = 1\n", []string{"send-expect udp", `expect="*"`}},
		{"text", "protocol = udp\n", "send = \"a\"\n", []string{"send-expect udp", `send="a"`}},
		{"tls", "", "verify = 0\n", []string{"tls-check", "skip=true"}},
		{"tls", "", "send = \"a\\n\"\nexpect = \"b.\"\n", []string{"dialogue", `\\Ab\\.`, " tls "}},
		{"http", "", login + "http_version = 2\n", []string{"http GET", `"Authorization":`, "http2"}},
		{"https", "", "server_name = www.example.net\n", []string{"http GET", `tls name="www.example.net" skip=false`}},
		{"grpc", "", "grpc_service = shop.Cart\ntls = 1\n", []string{"grpc", "shop.Cart", " tls "}},
		{"dns", "", "query = www.example.net\nexpect = 192.0.2.1\n", []string{"dns", "www.example.net", "A", "192.0.2.1", "tcp"}},
		{"dns", "protocol = udp\n", "", []string{"dns", "SOA"}},
		{"dns", "protocol = udp\n", "query = .\n", []string{"dns", "SOA"}},
		{"dns", "protocol = udp\n", "tls = 1\nserver_name = dns.example.net\n", []string{"dns", `tls name="dns.example.net"`}},
		{"smtp", "", "tls = 1\n", []string{"smtp", " tls "}},
		{"pop3", "", "", []string{"pop3"}},
		{"imap", "", "", []string{"imap"}},
		{"ftp", "", "", []string{"ftp"}},
		{"nntp", "", "starttls = 1\n", []string{"nntp", "starttls", " tls "}},
		{"ldap", "", login + "query = dc=example,dc=net\n", []string{"ldap", "probe", `base="dc=example,dc=net"`}},
		{"mysql", "", login + "database = shop\nquery = \"SELECT 1\"\n", []string{"mysql", "probe", "shop", "SELECT 1"}},
		{"postgres", "", login + "database = shop\nquery = \"SELECT 1\"\n", []string{"postgres", "probe", "shop", "SELECT 1"}},
		{"redis", "", login + "database = 3\n", []string{"redis", "probe", "database=3"}},
		{"memcached", "", "tls = 1\n", []string{"memcached", " tls "}},
		{"radius", "protocol = udp\n", login, []string{"radius", "probe"}},
		{"radius", "protocol = udp\n", "password_file = " + secret + "\n", []string{`radius user=""`, "reject=false"}},
		{"ntp", "protocol = udp\n", "", []string{"ntp"}},
		{"sip", "protocol = udp\n", "user = probe@example.net\nstatus = 200,404\n", []string{"sip", "sip:probe@example.net", "404"}},
		{"imap", "", "starttls = 1\n", []string{"imap", "starttls", " tls "}},
		{"redis", "", "role = master\n", []string{`role="master"`}},
		{"http", "", "http_version = 1.0\n", []string{"http GET", "http1.0"}},
		{"http", "", "digest = d41d8cd98f00b204e9800998ecf8427e\n", []string{"d41d8cd98f00b204e9800998ecf8427e"}},
		{"ajp", "", "", []string{"ajp"}},
		{"agent", "", "send = \"state\\r\\n\"\n", []string{"agent", `"state\r\n"`}},
		{"nagios", "", "command = /bin/false\n", []string{`nagios ["/bin/false"]`}},
		{"ping", "", "interface = eth1\n", []string{"icmp", "device=eth1"}},
		{"script", "", "command = /bin/false\nexpect = \"a\\n\"\nuse_weight = 1\n", []string{`external ["/bin/false"]`, `"a\n"`, "weight"}},
		{"file", "", "path = /run/state\nuse_weight = 1\n", []string{`file "/run/state" weight=true`}},
	} {
		asked[tt.kind] = true
		t.Run(tt.kind+" "+tt.block, func(t *testing.T) {
			identity, notes := checkOf(t, tt.service, "kind = "+tt.kind+"\n"+tt.block)
			for _, want := range tt.want {
				if !strings.Contains(identity, want) {
					t.Errorf("%s: no %s", identity, want)
				}
			}
			if strings.Contains(identity, "sesame") {
				t.Errorf("%s shows the password", identity)
			}
			if text := strings.Join(notes, "\n"); strings.Contains(text, "no effect") {
				t.Errorf("notes: %s", text)
			}
		})
	}
	for _, kind := range lvscf.CheckKinds() {
		if !asked[kind.String()] {
			t.Errorf("kind %s is not tried here", kind)
		}
	}
}

func TestChecksThatCannotBeMade(t *testing.T) {
	for _, tt := range []struct{ block, want string }{
		{"kind = script\n", "check k: kind = script without a command: write command = PROGRAM"},
		{"kind = file\n", "check k: kind = file without a path: write path = FILE"},
		{"kind = radius\n", "check k: kind = radius without a secret: write password_file = FILE"},
		{"kind = redis\ndatabase = shop\n", "check k: database = shop: with redis it is a number"},
		{"kind = https\nca_file = /nowhere/ca\ncert_file = /nowhere/cert\n", "ca_file: stat /nowhere/ca"},
		{"kind = https\nca_file = /nowhere/ca\ncert_file = /nowhere/cert\n", "cert_file: stat /nowhere/cert"},
		{"kind = dns\nquery_type = NAPTR\n", "check k: dns check: "},
		{"kind = radius\npassword_file = /nowhere/secret\n", "check k: password_file: stat /nowhere/secret: no such file or directory"},
		{"kind = http\npath = up\nhost = \"a b\"\n", "must begin with one slash; host "},
		{"kind = tcp\n}\ncheck second {\nkind = http\npath = up\n", "lvs.cf:11:1: virtual v: server s: check second: http check: path"},
	} {
		conf, diags := lvscf.Load("lvs.cf", []byte("network = direct\n"+virtual("v", realServer("s", "address = 10.0.0.1\ncheck k {\n"+tt.block+"}\n"))))
		if err := diags.Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := FromLVSCF(conf); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "lvs.cf:") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %s", tt.block, err, tt.want)
		}
	}
}

func TestServersWithoutAPortAreWatched(t *testing.T) {
	for _, check := range []string{"check = none\n", "check k {\nkind = ping\n}\n", "check k {\nkind = script\ncommand = \"/bin/true %h\"\n}\n", "check k {\nkind = tcp\nport = 22\n}\n"} {
		s := setupOf(t, "network = direct\n"+virtual("all", "port = 0\npersistent = 60\n"+realServer("s", "address = 10.0.0.1\n"+check)))
		if err := health.NewMonitor(nil).Set(s.Watches()); err != nil {
			t.Errorf("%s: %v", check, err)
		}
	}
}

// Piranha's nanny crashed with a timeout of more than 20 seconds.
func TestLongTimesAreKept(t *testing.T) {
	s := setupOf(t, "network = direct\n"+virtual("v", "timeout = 3600\nreentry = 86400\n"+realServer("s", "address = 10.0.0.1")))
	p := s.Services[0].Servers[0].Policy
	if p.Timeout != time.Hour || p.Interval != time.Hour || p.Rise != 24 {
		t.Errorf("policy %+v", p)
	}
	if err := health.NewMonitor(nil).Set(s.Watches()); err != nil {
		t.Error(err)
	}
}

// Servers that are asked by one block share one check, so that what it needs, a
// file of certificates for one, is read and kept once and not for each of them.
func TestServersShareTheCheckOfABlock(t *testing.T) {
	block := func(path string) string { return "check up {\nkind = http\npath = " + path + "\n}\n" }
	servers := block("/up")
	for i, own := range []string{"", "", block("/own"), ""} {
		servers += realServer("s"+strconv.Itoa(i), "address = 10.0.0."+strconv.Itoa(i+1)+"\n"+own)
	}
	s := setupOf(t, "network = direct\n"+virtual("one", servers)+virtual("two", "port = 81\n"+servers))
	for _, v := range s.Services {
		first := v.Servers[0].Checker
		for i, shared := range []bool{true, true, false, true} {
			if got := v.Servers[i].Checker == first; got != shared {
				t.Errorf("%s: server %d shares the first one's check: %t, want %t", v.Name, i, got, shared)
			}
		}
		if id := v.Servers[2].Checker.Identity(); !strings.Contains(id, "/own") {
			t.Errorf("%s: a server with a block of its own is asked %s", v.Name, id)
		}
	}
}
