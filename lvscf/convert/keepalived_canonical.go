package convert

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

// effectiveChecks returns what a server is asked, in one form for all that
// means the same: nothing is left to inherit, limits that cannot be reached
// are gone, and a connect is one whatever it is called.
func effectiveChecks(v *lvscf.Virtual, s *lvscf.Server) []lvscf.Check {
	out := v.ChecksOf(s)
	for i := range out {
		c := &out[i]
		if c.Kind == lvscf.CheckNone {
			*c = lvscf.Check{Kind: lvscf.CheckNone}
		}
		c.Name, c.Origins, c.Pos = "", nil, lvscf.Pos{}
		if c.Kind == lvscf.CheckPiranha {
			piranhaCheck(v, s, c)
		}
		if portKinds(c.Kind) {
			c.Port = cmp.Or(c.Port, s.Port)
		} else {
			c.Port = 0
		}
		c.FastInterval = cmp.Or(c.FastInterval, c.Interval)
		c.DownInterval = cmp.Or(c.DownInterval, c.Interval)
		if c.Fall <= 1 && c.Rise <= 1 || c.FastInterval == c.Interval {
			c.FastInterval = 0 // never used, or no other
		}
		if c.Kind == lvscf.CheckHTTP && c.TLS {
			c.Kind, c.TLS = lvscf.CheckHTTPS, false
		}
		effectiveLimits(c)
		switch c.Kind {
		case lvscf.CheckHTTP, lvscf.CheckHTTPS:
			if c.Path == "/" {
				c.Path = ""
			}
			if c.Method == "GET" {
				c.Method = ""
			}
			if c.Status.String() == "200-299" {
				c.Status = nil
			}
			if c.ServerName == c.Host {
				c.ServerName = ""
			}
		case lvscf.CheckDNS:
			c.Query = cmp.Or(c.Query, ".")
			if c.QueryType == "" {
				c.QueryType = "A"
				if c.Query == "." {
					c.QueryType = "SOA"
				}
			}
		case lvscf.CheckUDP:
			c.RequireReply = c.RequireReply || c.Expect != ""
		case lvscf.CheckScript:
			c.Command = withTarget(c.Command, s)
		}
		if !c.UsesTLS() {
			c.Verify = true
		}
	}
	return out
}

// portKinds reports whether a kind of check asks at a port.
func portKinds(k lvscf.CheckKind) bool {
	return k != lvscf.CheckNone && k != lvscf.CheckPing && k != lvscf.CheckFile && k != lvscf.CheckScript
}

// piranhaCheck names the kind of what send, expect and send_program ask for.
func piranhaCheck(v *lvscf.Virtual, s *lvscf.Server, c *lvscf.Check) {
	switch {
	case c.Command != "":
		c.Kind = lvscf.CheckScript
	case c.Send == "" && c.Expect == "" && v.Port == 80 && v.Protocol == lvscf.TCP:
		// Piranha's own question for this port.
		c.Kind, c.Send, c.Expect = lvscf.CheckText, `GET / HTTP/1.0\r\n\r\n`, "HTTP"
	case c.Send == "" && c.Expect == "" && v.Protocol == lvscf.TCP:
		c.Kind = lvscf.CheckTCP
	case v.Protocol == lvscf.UDP:
		c.Kind = lvscf.CheckUDP
	default:
		c.Kind = lvscf.CheckText
	}
}

// effectiveLimits keeps the limits that a kind of check can reach.
func effectiveLimits(c *lvscf.Check) {
	within := func(d, limit time.Duration) time.Duration {
		if d == 0 || limit > 0 && d > limit {
			return limit
		}
		return d
	}
	switch c.Kind {
	case lvscf.CheckHTTP, lvscf.CheckHTTPS, lvscf.CheckSMTP:
		c.ConnectTimeout = within(c.ConnectTimeout, c.Timeout)
		c.ReadTimeout = within(c.ReadTimeout, c.Timeout)
		c.TLSTimeout = within(c.TLSTimeout, c.Timeout)
		if !c.UsesTLS() {
			c.TLSTimeout = 0
		}
		return
	case lvscf.CheckTCP:
		c.Timeout = within(c.ConnectTimeout, c.Timeout)
	case lvscf.CheckUDP, lvscf.CheckDNS, lvscf.CheckPing:
		c.Timeout = within(c.ReadTimeout, c.Timeout)
	}
	c.ConnectTimeout, c.ReadTimeout, c.TLSTimeout = 0, 0, 0
}

// withTarget puts a server's address and port into a command.
func withTarget(command string, s *lvscf.Server) string {
	words := strings.Split(command, " ")
	for i, w := range words {
		switch w {
		case "%h":
			words[i] = s.Address.String()
		case "%p":
			words[i] = strconv.Itoa(int(s.Port))
		}
	}
	return strings.Join(words, " ")
}

// canonical returns a configuration in one form for all that means the same:
// what a block hands down is said in each of those below.
func canonical(c *lvscf.Config) *lvscf.Config {
	out := *c
	out.Path, out.Origins = "", nil
	out.Network = lvscf.NAT
	out.VRRPs = canonicalTracks(c.VRRPs)
	out.Virtuals = slices.Clone(c.Virtuals)
	for i := range out.Virtuals {
		v := &out.Virtuals[i]
		v.Servers = slices.Clone(v.Servers)
		sorry := sorryServers(v)
		v.Servers = slices.DeleteFunc(v.Servers, func(s lvscf.Server) bool { return s.Sorry })
		v.Servers = append(v.Servers, sorry...)
		for j := range v.Servers {
			canonicalServer(c, &c.Virtuals[i], &v.Servers[j])
		}
		v.SorryServer = sorryNone
		plain := lvscf.NewVirtual(v.Name)
		v.Forward, v.Tunneling, v.QuiesceServer, v.SlowStart = nil, lvscf.Tunneling{}, false, 0
		v.Check, v.Checks, v.Timing, v.StartState = "", nil, lvscf.Timing{}, 0
		v.Timeout, v.Reentry = plain.Timeout, plain.Reentry
		v.Send, v.Expect, v.UseRegex, v.SendProgram = "", "", false, ""
		if v.LoadMonitor == "none" {
			v.LoadMonitor = ""
		}
		if v.Quorum == 1 {
			v.Quorum = 0
		}
		if v.Persistent == 0 {
			v.PMask, v.PersistenceEngine = 0, ""
		}
		if len(c.VRRPs) == 1 && v.VRRP == c.VRRPs[0].Name {
			v.VRRP = ""
		}
	}
	return &out
}

var sorryNone = lvscf.Virtual{}.SorryServer

func canonicalServer(c *lvscf.Config, v *lvscf.Virtual, s *lvscf.Server) {
	forward, quiesce := c.ForwardOf(v, s), v.QuiescesServer(s)
	tunnel := v.TunnelOf(s)
	if forward != lvscf.Tunnel {
		tunnel = lvscf.Tunneling{}
	}
	s.Checks = effectiveChecks(v, s)
	s.Check = ""
	s.Forward, s.Tunneling, s.QuiesceServer = &forward, tunnel, &quiesce
	s.SlowStart = cmp.Or(s.SlowStart, v.SlowStart)
	if s.Sorry {
		s.Weight = 1 // keepalived has no other
	}
	s.Origins, s.Pos = nil, lvscf.Pos{}
}
