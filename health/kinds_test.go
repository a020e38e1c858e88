package health_test

import (
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
)

func kind(t *testing.T, name string) health.Kind {
	t.Helper()
	for _, k := range health.Kinds() {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("there is no kind %q", name)
	return health.Kind{}
}

func TestKinds(t *testing.T) {
	// What the kinds need that have no check without.
	needed := map[string]map[string]string{
		"external": {"command": "true"}, "load-command": {"command": "true"}, "nagios": {"command": "true"}, "file": {"path": "/x"}, "radius": {"secret": "s"},
	}
	var names []string
	for _, k := range health.Kinds() {
		names = append(names, k.Name)
		c, err := k.New(needed[k.Name])
		if err != nil || c == nil || k.Summary == "" || len(k.Options) == 0 {
			t.Errorf("%s: %v, %v, %+v", k.Name, c, err, k)
			continue
		}
		seen := map[string]bool{}
		for _, o := range k.Options {
			if seen[o.Name] {
				t.Errorf("%s: option %s is there twice", k.Name, o.Name)
			}
			seen[o.Name] = true
			if o.Summary == "" || len(o.Summary) > 100 || strings.HasSuffix(o.Summary, ".") {
				t.Errorf("%s: option %s: summary %q, want a line without a stop: add it to optionTexts", k.Name, o.Name, o.Summary)
			}
		}
		if _, err := k.New(map[string]string{"no-such": "1"}); err == nil || !strings.Contains(err.Error(), k.Name+" check: unknown option no-such: want one of ") {
			t.Errorf("%s: error %v", k.Name, err)
		}
		if needed[k.Name] != nil {
			if c, err := k.New(nil); err == nil {
				t.Errorf("%s: %v without what it needs", k.Name, c)
			}
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("not in order: %v", names)
	}
}

func TestKindsReadOptions(t *testing.T) {
	_, roots := certificate()
	dir := t.TempDir()
	pem, secret := filepath.Join(dir, "roots"), filepath.Join(dir, "secret")
	if err := os.WriteFile(pem, roots, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, []byte("p w\r\n# a comment"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		kind    string
		options map[string]string
		want    health.Checker
	}{
		"redis": {
			"redis",
			map[string]string{"user": "u", "password-file": secret, "role": "master", "answer-timeout": "2s", "graceful": "true", "source": "192.0.2.9"},
			must(health.NewRedis(&health.RedisConfig{Username: "u", Password: "p w", Role: "master", Dial: addrDial()})),
		},
		"http": {
			"http",
			map[string]string{"path": "/up", "status": "200-299,404", "tls-roots": pem, "tls-name": "example.com"},
			must(health.NewHTTP(&health.HTTPConfig{Path: "/up", Status: []health.StatusRange{{200, 299}, {404, 404}}, TLS: &health.TLSConfig{RootsPEM: roots, ServerName: "example.com"}})),
		},
		"http, what is compared": {
			"http",
			map[string]string{
				"header": "Accept: a, b\nX-Y: 1", "digest": strings.Repeat("ab", 16), "redirects": "2",
				"expect-header": "Server: x\nEtag", "expect-header-regex": "Via: ^1", "json": "a.b[0]=c=d\n[\"x=y\"].z=1",
			},
			must(health.NewHTTP(&health.HTTPConfig{
				Header: http.Header{"Accept": {"a, b"}, "X-Y": {"1"}}, Digest: strings.Repeat("ab", 16), Redirects: 2,
				ExpectHeader: []health.HeaderMatch{{Name: "Server", Value: "x"}, {Name: "Etag"}, {Name: "Via", Value: "^1", Regex: true}},
				JSON:         []health.JSONMatch{{Path: "a.b[0]", Value: "c=d"}, {Path: `["x=y"].z`, Value: "1"}},
			})),
		},
		"dns": {
			"dns",
			map[string]string{"name": "a.b", "type": "AAAA", "rcodes": "0,3", "tls": "1"},
			must(health.NewDNS(&health.DNSConfig{Name: "a.b", Type: "AAAA", RCodes: []int{0, 3}, TLS: &health.TLSConfig{}})),
		},
		"tls": {
			"tls",
			map[string]string{"alpn": "h2,http/1.1", "expiry-days": "30", "tls-skip-verify": "true"},
			must(health.NewTLS(&health.TLSCheckConfig{ALPN: []string{"h2", "http/1.1"}, ExpiryDays: 30, TLS: health.TLSConfig{SkipVerify: true}})),
		},
		"load-http": {
			"load-http",
			map[string]string{"path": "/load", "value": "load[0]", "cores-value": "cpus", "tls-name": "example.com", "header": "X-Y: 1"},
			must(health.NewLoadHTTP(&health.LoadHTTPConfig{
				HTTPConfig: health.HTTPConfig{Path: "/load", TLS: &health.TLSConfig{ServerName: "example.com"}, Header: http.Header{"X-Y": {"1"}}},
				Value:      "load[0]", CoresValue: "cpus",
			})),
		},
		"rup": {
			"rup",
			map[string]string{"rstatd-port": "32768", "portmapper-port": "1111", "version": "2"},
			must(health.NewRup(&health.RupConfig{Port: 32768, Portmapper: 1111, Version: 2})),
		},
		"ruptime": {
			"ruptime",
			map[string]string{"name": "web1", "listen": "192.0.2.1:1513", "spool": "/tmp/rwho"},
			must(health.NewRuptime(&health.RuptimeConfig{Name: "web1", RWho: rwho(&health.RWhoConfig{Listen: netip.MustParseAddrPort("192.0.2.1:1513"), Spool: "/tmp/rwho"})})),
		},
		"udp": {
			"udp",
			map[string]string{"send": "x", "literal": "true"},
			must(health.NewSendExpect(&health.SendExpectConfig{Transport: health.OverUDP, Send: "x", Literal: true})),
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := kind(t, tt.kind).New(tt.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want.Identity(), c.Identity()); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
	_, err := kind(t, "http").New(map[string]string{"max-body": "x", "graceful": "maybe", "status": "2xx", "source": "here", "mark": "-1", "connect-timeout": "2", "tls-roots": dir + "/none", "header": "x", "json": "a"})
	for _, part := range []string{`option max-body="x": want a number`, `graceful="maybe"`, `status="2xx": want codes such as`, `source="here"`, `mark="-1"`, `connect-timeout="2": want a duration`, "option tls-roots: ", `option header: line "x"`, `option json: line "a"`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want it to say %s", err, part)
		}
	}
}

func rwho(cfg *health.RWhoConfig) *health.RWho {
	w, err := health.NewRWho(cfg)
	if err != nil {
		panic(err)
	}
	return w
}

func addrDial() health.Dial {
	return health.Dial{AnswerTimeout: 2 * time.Second, Graceful: true, Source: netip.MustParseAddr("192.0.2.9")}
}

func TestKindsHavePorts(t *testing.T) {
	for name, want := range map[string][2]uint16{
		"http": {80, 443}, "redis": {6379, 0}, "smtp": {25, 465}, "tls": {443, 0}, "tcp": {}, "icmp": {},
	} {
		if k := kind(t, name); [2]uint16{k.Port, k.TLSPort} != want || k.AnyPort != (name == "icmp") {
			t.Errorf("%s: ports %d and %d, any %t; want %v", name, k.Port, k.TLSPort, k.AnyPort, want)
		}
	}
}

// Limits and ways to end a connection that a kind does not have are none of
// its options.
func TestKindsHaveNoIdleOptions(t *testing.T) {
	for name, want := range map[string]string{
		"ajp":  "connect-timeout answer-timeout graceful",
		"bfd":  "",
		"http": "connect-timeout tls-timeout answer-timeout graceful",
		"icmp": "answer-timeout",
		"syn":  "connect-timeout",
		"tcp":  "connect-timeout graceful",
		"tls":  "connect-timeout tls-timeout graceful",
		"udp":  "answer-timeout",
	} {
		var names []string
		for _, o := range kind(t, name).Options {
			names = append(names, o.Name)
		}
		for _, o := range strings.Fields("connect-timeout tls-timeout answer-timeout graceful") {
			if has := slices.Contains(names, o); has != slices.Contains(strings.Fields(want), o) {
				t.Errorf("%s: option %s is there: %v", name, o, has)
			}
		}
	}
}
