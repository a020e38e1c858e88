package health_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// short is long enough for an answer on a busy machine where one is wanted,
// hang how long a check waits where none will come.
const (
	short = 10 * time.Second
	hang  = 300 * time.Millisecond
)

func check(t *testing.T, c health.Checker, addr netip.AddrPort, timeout time.Duration) health.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	start := time.Now()
	r := c.Check(ctx, health.Target{Addr: addr})
	if took := time.Since(start); took > timeout+5*time.Second {
		t.Errorf("the check took %v with a limit of %v", took, timeout)
	}
	if r.Start.Before(start) || r.Duration <= 0 || r.Reason == "" || strings.Contains(r.Reason, "\n") || len(r.Seen) > health.MaxSeen {
		t.Errorf("odd result %+v", r)
	}
	return r
}

func want(t *testing.T, r health.Result, v health.Verdict, reason string, phases ...string) {
	t.Helper()
	if r.Verdict != v || !strings.Contains(r.Reason, reason) {
		t.Errorf("%v, %q; want %v with %q", r.Verdict, r.Reason, v, reason)
	}
	var got []string
	for _, p := range r.Phases {
		got = append(got, p.Name)
	}
	if diff := cmp.Diff(phases, got); phases != nil && diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
}

func refusedAddr(t *testing.T) netip.AddrPort {
	s := healthtest.NewServer(t, healthtest.Close())
	s.Down()
	return s.Addr()
}

func TestTCP(t *testing.T) {
	graceful, err := health.NewTCP(&health.TCPConfig{Dial: health.Dial{Graceful: true}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []health.Checker{new(health.TCP), graceful} {
		t.Run(c.Identity(), func(t *testing.T) {
			s := healthtest.NewServer(t, healthtest.Hang())
			want(t, check(t, c, s.Addr(), short), health.OK, "connect: accepted", "connect")
			s.Set(healthtest.Close())
			want(t, check(t, c, s.Addr(), short), health.OK, "connect: accepted", "connect")
			s.Down()
			want(t, check(t, c, s.Addr(), short), health.Fail, "connect: refused", "connect")
			s.Up()
			want(t, check(t, c, s.Addr(), short), health.OK, "connect: accepted", "connect")
		})
	}
}

func TestCheckCancelledIsNoResult(t *testing.T) {
	s := healthtest.NewServer(t, healthtest.Hang())
	text, err := health.NewSendExpect(&health.SendExpectConfig{Expect: "never"})
	if err != nil {
		t.Fatal(err)
	}
	web, err := health.NewHTTP(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []health.Checker{new(health.TCP), text, web} {
		t.Run(c.Identity(), func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			if _, ok := c.(*health.TCP); ok {
				cancel()
			}
			time.AfterFunc(50*time.Millisecond, cancel)
			want(t, c.Check(ctx, health.Target{Addr: s.Addr()}), health.NoResult, "cancelled by us")
		})
	}
}

func TestSendExpectOverTCP(t *testing.T) {
	type cfg = health.SendExpectConfig
	long := strings.Repeat("x", 250)
	for name, tt := range map[string]struct {
		cfg      cfg
		behavior healthtest.Behavior
		timeout  time.Duration
		want     health.Verdict
		reason   string
	}{
		"connect only":                         {cfg{}, healthtest.Hang(), short, health.OK, "connect: accepted"},
		"send only":                            {cfg{Send: "hello"}, healthtest.Hang(), short, health.OK, "send: taken"},
		"banner":                               {cfg{Expect: "220 "}, healthtest.Say("220 ready\r\n"), short, health.OK, "read: answer as expected"},
		"banner exactly":                       {cfg{Expect: "220"}, healthtest.Say("220"), short, health.OK, ""},
		"wrong banner":                         {cfg{Expect: "220"}, healthtest.Say("421 busy"), short, health.Fail, `answer begins with "421", expected "220"`},
		"a wrong byte needs no more":           {cfg{Expect: "220 ready"}, healthtest.Say("4"), short, health.Fail, `answer begins with "4"`},
		"the text further on is not enough":    {cfg{Expect: "OK"}, healthtest.Say("so OK"), short, health.Fail, ""},
		"banner in drops":                      {cfg{Expect: "220 ready"}, healthtest.Drip("220 ready", time.Millisecond), short, health.OK, ""},
		"too few drops in time":                {cfg{Expect: "220 ready"}, healthtest.Drip("220 ready", hang), hang, health.Fail, `no answer within`},
		"half a banner, then closed":           {cfg{Expect: "220 ready"}, healthtest.SayAndClose("220"), short, health.Fail, `closed by the server after "220"`},
		"closed at once":                       {cfg{Expect: "220"}, healthtest.Close(), short, health.Fail, "read: closed by the server"},
		"reset at once":                        {cfg{Expect: "220"}, healthtest.Reset(), short, health.Fail, "reset"},
		"hangs":                                {cfg{Expect: "220"}, healthtest.Hang(), hang, health.Fail, "read: no answer within"},
		"star takes any byte":                  {cfg{Expect: "*"}, healthtest.Say("?"), short, health.OK, ""},
		"star takes no silence":                {cfg{Expect: "*"}, healthtest.Hang(), hang, health.Fail, "no answer"},
		"star is no expression":                {cfg{Expect: "*", Regex: true}, healthtest.Say("?"), short, health.OK, ""},
		"question and answer":                  {cfg{Send: `GET / HTTP/1.0\r\n\r\n`, Expect: "HTTP"}, healthtest.Answer("HTTP/1.0 200 OK\r\n\r\n"), short, health.OK, ""},
		"escapes in both":                      {cfg{Send: `a\n`, Expect: `\"x\"\t`}, healthtest.Answer("\"x\"\t"), short, health.OK, ""},
		"literal backslashes":                  {cfg{Literal: true, Expect: `\n`}, healthtest.Say(`\n`), short, health.OK, ""},
		"regex anywhere":                       {cfg{Regex: true, Expect: `[0-9]{3} (OK|fine)`}, healthtest.Say("well: 200 fine"), short, health.OK, ""},
		"regex in drops":                       {cfg{Regex: true, Expect: `a+b`}, healthtest.Drip("xxaab", time.Millisecond), short, health.OK, ""},
		"regex over lines":                     {cfg{Regex: true, Expect: `one.two`}, healthtest.Say("one\ntwo"), short, health.OK, ""},
		"regex anchors are not those of lines": {cfg{Regex: true, Expect: `^two`}, healthtest.SayAndClose("one\ntwo"), short, health.Fail, "match of regex"},
		"regex at the end of the window":       {cfg{Regex: true, Expect: `xabcd`}, healthtest.Say(long + "abcdefgh"), short, health.OK, ""},
		"regex beyond the window":              {cfg{Regex: true, Expect: `abcde`}, healthtest.Say(long + "abcdefgh"), short, health.Fail, "match of regex"},
		"regex never matches, closed":          {cfg{Regex: true, Expect: `yes`}, healthtest.SayAndClose("no"), short, health.Fail, `closed by the server after "no"`},
		"regex never matches, hangs":           {cfg{Regex: true, Expect: `yes`}, healthtest.Say("no"), hang, health.Fail, `only "no" had come`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := health.NewSendExpect(&tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			s := healthtest.NewServer(t, tt.behavior)
			want(t, check(t, c, s.Addr(), tt.timeout), tt.want, tt.reason)
		})
	}
	t.Run("refused", func(t *testing.T) {
		c, _ := health.NewSendExpect(&cfg{Expect: "x"})
		want(t, check(t, c, refusedAddr(t), short), health.Fail, "connect: refused", "connect")
	})
}

func TestSendExpectOverUDP(t *testing.T) {
	type cfg = health.SendExpectConfig
	echo := func(b []byte) []byte { return b }
	silent := func([]byte) []byte { return nil }
	for name, tt := range map[string]struct {
		cfg     cfg
		answer  func([]byte) []byte
		timeout time.Duration
		want    health.Verdict
		reason  string
	}{
		"answer as expected":   {cfg{Send: "ping", Expect: "ping"}, echo, short, health.OK, ""},
		"prefix of the answer": {cfg{Send: "ping", Expect: "pi"}, echo, short, health.OK, ""},
		"regex":                {cfg{Send: "ping", Expect: "i.g", Regex: true}, echo, short, health.OK, ""},
		"wrong answer":         {cfg{Send: "ping", Expect: "pong"}, echo, short, health.Fail, `begins with "ping"`},
		"short answer":         {cfg{Send: "ping", Expect: "ping!"}, echo, short, health.Fail, `begins with "ping"`},
		"any answer":           {cfg{Send: "ping"}, echo, short, health.OK, ""},
		"silence":              {cfg{Send: "ping"}, silent, hang, health.Fail, "read: no answer within"},
		"nothing asked":        {cfg{}, silent, hang, health.OK, "not refused"},
		"nothing asked, reply": {cfg{}, func([]byte) []byte { return []byte("?") }, short, health.OK, "answered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Transport = health.OverUDP
			c, err := health.NewSendExpect(&tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			s := healthtest.NewUDPServer(t, tt.answer)
			want(t, check(t, c, s.Addr(), tt.timeout), tt.want, tt.reason)
		})
	}
	for name, cfg := range map[string]cfg{"refused": {Send: "ping"}, "nothing asked, refused": {}} {
		t.Run(name, func(t *testing.T) {
			cfg.Transport = health.OverUDP
			c, _ := health.NewSendExpect(&cfg)
			want(t, check(t, c, refusedAddr(t), short), health.Fail, "read: refused", "connect", "send", "read")
		})
	}
}

func TestSendExpectIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  health.SendExpectConfig
		want string
	}{
		"bad regex":         {health.SendExpectConfig{Regex: true, Expect: "a(b"}, "missing closing )"},
		"back reference":    {health.SendExpectConfig{Regex: true, Literal: true, Expect: `(a)\1`}, "invalid escape"},
		"perl":              {health.SendExpectConfig{Regex: true, Expect: `\d+`}, "invalid escape"},
		"unknown transport": {health.SendExpectConfig{Transport: 9}, "transport(9)"},
		"too long for UDP":  {health.SendExpectConfig{Transport: health.OverUDP, Send: strings.Repeat("x", 65508)}, "65507 bytes at most over UDP"},
		"too long":          {health.SendExpectConfig{Send: strings.Repeat("x", health.MaxText+1)}, "65536 bytes at most"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := health.NewSendExpect(&tt.cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestNewPiranha(t *testing.T) {
	type cfg = health.PiranhaConfig
	for name, tt := range map[string]struct {
		cfg  cfg
		want string
	}{
		"nothing, default port":     {cfg{}, `send-expect tcp send="GET / HTTP/1.0\r\n\r\n" expect="HTTP"`},
		"nothing, port 80":          {cfg{VirtualPort: 80, UseRegex: true}, `send-expect tcp send="GET / HTTP/1.0\r\n\r\n" expect="HTTP"`},
		"nothing, another port":     {cfg{VirtualPort: 443}, `tcp`},
		"nothing over UDP, port 80": {cfg{Transport: health.OverUDP, VirtualPort: 80}, `send-expect udp send="" expect=""`},
		"send on port 80":           {cfg{VirtualPort: 80, Send: `x\n`}, `send-expect tcp send="x\n" expect=""`},
		"expect":                    {cfg{VirtualPort: 25, Expect: "220", UseRegex: true}, `send-expect tcp send="" expect="220" regex`},
		"program wins":              {cfg{VirtualPort: 80, Send: "x", SendProgram: "/bin/c %h %p", Expect: `O\"K`, UseRegex: true}, `external ["/bin/c" "%h" "%p"] expect="O\"K"`},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := health.NewPiranha(tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, c.Identity()); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
	for name, tt := range map[string]struct {
		cfg  cfg
		want string
	}{
		"bad regex":     {cfg{Expect: "[", UseRegex: true}, "send, expect: "},
		"blank program": {cfg{SendProgram: "  "}, "send_program: "},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := health.NewPiranha(tt.cfg)
			if err == nil || c != nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, %v; want an error that begins with %q", c, err, tt.want)
			}
		})
	}
}
