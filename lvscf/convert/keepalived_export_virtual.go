package convert

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

func (e *exporter) virtual(v *lvscf.Virtual) {
	c := e.cfg
	head := fmt.Sprintf("virtual_server fwmark %d", v.FWMark)
	if v.FWMark == 0 {
		head = fmt.Sprintf("virtual_server %s %d", v.Address.Addr, v.Port)
		if v.Port == 0 {
			head = "virtual_server " + v.Address.Addr.String()
		}
	}
	servers := e.servers(v)
	forward := c.ForwardOf(v, nil)
	e.comment("virtual %s", v.Name)
	e.block(head, func() {
		e.text("snmp_name", v.Name)
		e.line("lvs_sched %s", v.Scheduler)
		e.schedulerFlags(v)
		if v.OnePacket && (v.Protocol == lvscf.UDP || v.FWMark != 0) {
			e.line("ops")
		}
		e.line("lvs_method %s", method(forward, v.Tunneling))
		if v.Persistent > 0 {
			e.line("persistence_timeout %d", min(max(v.Persistent/time.Second, 1), 2678400))
			if v.PMask != 0 {
				e.line("persistence_granularity %s", granularity(v))
			}
			if v.PersistenceEngine != "" {
				e.line("persistence_engine %s", v.PersistenceEngine)
			}
		}
		if v.FWMark == 0 { // a mark has none
			e.line("protocol %s", strings.ToUpper(v.Protocol.String()))
		}
		e.quorum(v, servers)
		if v.QuiesceServer {
			e.line("inhibit_on_failure")
		}
		if v.DownOnStop {
			e.line("omega")
		}
		e.sorry(v, forward)
		for _, s := range servers {
			e.blank()
			e.server(v, s, forward)
		}
	})
	e.blank()
}

func (e *exporter) schedulerFlags(v *lvscf.Virtual) {
	for _, f := range []struct {
		flag lvscf.SchedulerFlags
		word string
		n    int
	}{{lvscf.FlagFallback, "fallback", 1}, {lvscf.FlagPort, "port", 2}, {lvscf.FlagThird, "", 3}} {
		switch {
		case v.SchedulerFlags&f.flag == 0:
		case f.word != "" && (v.Scheduler == lvscf.SourceHash || v.Scheduler == lvscf.MaglevHash):
			e.line("%s-%s", v.Scheduler, f.word)
		default:
			e.line("flag-%d", f.n)
		}
	}
}

func method(n lvscf.Network, t lvscf.Tunneling) string {
	switch n {
	case lvscf.Direct:
		return "DR"
	case lvscf.NAT:
		return "NAT"
	}
	words := "TUN"
	switch t.TunnelType {
	case lvscf.IPIP:
		return words
	case lvscf.GUE:
		words += fmt.Sprintf(" type gue port %d", max(1, t.TunnelPort))
	default:
		words += " type " + t.TunnelType.String()
	}
	switch t.TunnelChecksum {
	case lvscf.TunnelFullChecksum:
		words += " csum"
	case lvscf.TunnelRemoteChecksum:
		if t.TunnelType == lvscf.GUE {
			words += " remcsum"
		}
	}
	return words
}

// granularity writes a mask as its family has it.
func granularity(v *lvscf.Virtual) string {
	if isV6(v) {
		return fmt.Sprint(v.PMask.Bits())
	}
	return min(v.PMask, 32).String()
}

// isV6 reports whether a service is one of IPv6; a mark is what its servers are.
func isV6(v *lvscf.Virtual) bool {
	if v.FWMark == 0 {
		return v.Address.Addr.Is6()
	}
	s := writable(v)
	return len(s) > 0 && s[0].Address.Addr.Is6()
}

// quorum writes no more than the servers can have: keepalived would lower it
// by itself, and say that the file is wrong.
func (e *exporter) quorum(v *lvscf.Virtual, servers []*lvscf.Server) {
	sum := 0
	for _, s := range servers {
		sum += weight(s)
	}
	quorum := min(max(1, v.Quorum), max(1, sum))
	if quorum > 1 {
		e.line("quorum %d", quorum)
	}
	if h := min(v.QuorumHysteresis, quorum-1); h > 0 {
		e.line("hysteresis %d", h)
	}
	e.command("quorum_up", v.QuorumUpCmd)
	e.command("quorum_down", v.QuorumDownCmd)
}

// weight returns the weight to write: none for a server in maintenance.
func weight(s *lvscf.Server) int {
	if s.Maintenance {
		return 0
	}
	return s.Weight
}

// sorry writes the first sorry server, the only one that keepalived can have.
func (e *exporter) sorry(v *lvscf.Virtual, forward lvscf.Network) {
	for _, s := range sorryServers(v) {
		if !s.Active || !s.Address.Addr.IsValid() {
			continue
		}
		line := "sorry_server " + s.Address.Addr.String()
		if port := e.realPort(v, &s); port != 0 {
			line += fmt.Sprintf(" %d", port)
		}
		e.line("%s", line)
		if v.QuiescesServer(&s) {
			e.line("sorry_server_inhibit")
		}
		f := e.cfg.ForwardOf(v, &s)
		if t := v.TunnelOf(&s); f != forward || f == lvscf.Tunnel && t != v.Tunneling {
			e.line("sorry_server_lvs_method %s", method(f, t))
		}
		return
	}
}

// sorryServers returns the sorry servers of both forms.
func sorryServers(v *lvscf.Virtual) []lvscf.Server {
	var out []lvscf.Server
	if v.SorryServer.IsValid() {
		s := lvscf.NewServer("sorry", v.Port)
		s.Active, s.Sorry, s.Address, s.Check = true, true, lvscf.Host{Addr: v.SorryServer}, lvscf.CheckNone
		no := false
		s.QuiesceServer = &no
		out = append(out, s)
	}
	for _, s := range v.Servers {
		if s.Sorry {
			out = append(out, s)
		}
	}
	return out
}

func (e *exporter) server(v *lvscf.Virtual, s *lvscf.Server, forward lvscf.Network) {
	head := "real_server " + s.Address.Addr.String()
	port := e.realPort(v, s)
	if port != 0 {
		head += fmt.Sprintf(" %d", port)
	}
	e.block(head, func() {
		e.text("snmp_name", s.Name)
		e.line("weight %d", weight(s))
		f := e.cfg.ForwardOf(v, s)
		if t := v.TunnelOf(s); f != forward || f == lvscf.Tunnel && t != v.Tunneling {
			e.line("lvs_method %s", method(f, t))
		}
		if q := v.QuiescesServer(s); q != v.QuiesceServer {
			word := "off"
			if q {
				word = "on"
			}
			e.line("inhibit_on_failure %s", word)
		}
		if s.UpperThreshold != 0 {
			e.line("uthreshold %d", s.UpperThreshold)
		}
		if s.LowerThreshold != 0 {
			e.line("lthreshold %d", s.LowerThreshold)
		}
		e.command("notify_up", s.UpCmd)
		e.command("notify_down", s.DownCmd)
		for _, c := range effectiveChecks(v, s) {
			if c.Port == port {
				c.Port = 0
			}
			e.check(v, &c)
		}
	})
}

// servers returns those to write: keepalived has each address and port once.
func (e *exporter) servers(v *lvscf.Virtual) []*lvscf.Server {
	seen := map[netip.AddrPort]bool{}
	return slices.DeleteFunc(writable(v), func(s *lvscf.Server) bool {
		at := netip.AddrPortFrom(s.Address.Addr, e.realPort(v, s))
		twin := seen[at]
		seen[at] = true
		return twin
	})
}

// realPort returns the port that a server can have: that of the service, which
// is none with a mark, unless NAT can change it.
func (e *exporter) realPort(v *lvscf.Virtual, s *lvscf.Server) uint16 {
	switch {
	case v.FWMark != 0:
		return 0
	case e.cfg.ForwardOf(v, s) == lvscf.NAT:
		return s.Port
	}
	return v.Port
}

// checkWords are the blocks of the kinds that keepalived has. Of all others
// the nearest is a connect, or a ping where nothing listens for one.
var checkWords = map[lvscf.CheckKind]string{
	lvscf.CheckTCP: "TCP_CHECK", lvscf.CheckHTTP: "HTTP_GET", lvscf.CheckHTTPS: "SSL_GET", lvscf.CheckSMTP: "SMTP_CHECK",
	lvscf.CheckDNS: "DNS_CHECK", lvscf.CheckScript: "MISC_CHECK", lvscf.CheckUDP: "UDP_CHECK", lvscf.CheckPing: "PING_CHECK",
}

func (e *exporter) check(v *lvscf.Virtual, c *lvscf.Check) {
	if c.Kind == lvscf.CheckNone {
		return
	}
	if h, ok := httpOf(c); ok {
		e.comment("in place of send and expect")
		c = h
	}
	word := checkWords[c.Kind]
	if word == "" || c.Kind == lvscf.CheckScript && (c.Command == "" || !plainCommand(c.Command)) {
		e.comment("in place of a check of kind %s", c.Kind)
		word = "TCP_CHECK"
		if v.Protocol == lvscf.UDP {
			word = "PING_CHECK"
		}
	}
	e.block(word, func() {
		if word != "MISC_CHECK" {
			e.connection(c)
		}
		switch word {
		case "HTTP_GET", "SSL_GET":
			e.http(c, word == "SSL_GET")
		case "DNS_CHECK":
			if slices.Contains(strings.Fields("A NS CNAME SOA MX TXT AAAA"), c.QueryType) {
				e.line("type %s", c.QueryType)
			}
			e.text("name", c.Query)
		case "MISC_CHECK":
			e.command("misc_path", c.Command)
			e.line("misc_timeout %d", max(1, (c.Timeout+time.Second-1)/time.Second))
			if c.UseWeight {
				e.line("misc_dynamic")
			}
		case "UDP_CHECK":
			e.line("payload %s", hexOr(c.Send, "00"))
			if c.Expect != "" {
				e.line("require_reply %s", hexOr(c.Expect, "00"))
			} else if c.RequireReply {
				e.line("require_reply")
			}
		}
		if c.StartState != lvscf.StartUp {
			e.line("alpha on")
		}
		e.line("delay_loop %s", timer(c.Interval))
		e.line("retry %d", c.Fall-1)
		if c.Fall > 1 {
			e.line("delay_before_retry %s", timer(min(cmp.Or(c.FastInterval, c.Interval), maxTimer)))
		}
	})
}

// httpOf returns the page that a text asks for by hand, as most files of
// Piranha do: GET PATH HTTP/1.0, perhaps with a Host, and HTTP to come back.
func httpOf(c *lvscf.Check) (*lvscf.Check, bool) {
	request := lvscf.Unescape(c.Send)
	first, headers, _ := strings.Cut(request, "\n")
	words := strings.Fields(first)
	if c.Kind != lvscf.CheckText || c.UseRegex || len(words) < 2 || words[0] != "GET" || !strings.HasPrefix(words[1], "/") {
		return nil, false
	}
	h := *c
	h.Kind, h.Path, h.HTTPVersion = lvscf.CheckHTTP, words[1], "1.0"
	switch status, isStatus := strings.CutPrefix(c.Expect, "HTTP/1.1 "); {
	case isStatus && len(status) >= 3:
		if err := h.Status.UnmarshalText([]byte(status[:3])); err != nil {
			return nil, false
		}
	case strings.HasPrefix("HTTP/1.", c.Expect): // any answer at all
		h.Status = lvscf.StatusCodes{{Min: 100, Max: 599}}
	default:
		return nil, false
	}
	for line := range strings.SplitSeq(headers, "\n") {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "host") {
			h.Host = strings.TrimSpace(value)
		}
	}
	h.Send, h.Expect = "", ""
	return &h, true
}

// hexOr writes a text of lvs.cf as hexadecimal digits.
func hexOr(text, none string) string {
	if text == "" {
		return none
	}
	return hex.EncodeToString([]byte(lvscf.Unescape(text)))
}

func (e *exporter) connection(c *lvscf.Check) {
	if c.Address.Addr.IsValid() {
		e.line("connect_ip %s", c.Address.Addr)
	}
	if c.Port != 0 {
		e.line("connect_port %d", c.Port)
	}
	if c.Source.Addr.IsValid() {
		e.line("bindto %s", c.Source.Addr)
	}
	if c.Interface != "" {
		e.line("bind_if %s", c.Interface)
	}
	if c.Mark != 0 {
		e.line("fwmark %d", c.Mark)
	}
	limit := c.Timeout
	if c.ConnectTimeout > 0 {
		limit = c.ConnectTimeout
	}
	e.line("connect_timeout %s", timer(min(limit, maxTimer)))
}

func (e *exporter) http(c *lvscf.Check, tls bool) {
	version := "1.1"
	if c.HTTPVersion == "1.0" {
		version = "1.0"
	}
	e.line("http_protocol %s", version)
	if tls {
		e.line("enable_sni")
	}
	e.block("url", func() {
		e.text("path", cmp.Or(c.Path, "/"))
		e.text("virtualhost", c.Host)
		if len(c.Status) > 0 {
			e.line("status_code %s", strings.ReplaceAll(c.Status.String(), ",", " "))
		}
		if len(c.Digest) == 32 {
			e.line("digest %s", c.Digest)
		}
		e.escaped("regex", c.BodyRegex)
	})
}
