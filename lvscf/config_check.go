package lvscf

import (
	"cmp"
	"time"
)

// Check is a check block, an extension: in a virtual or server block one
// question that each real server is asked, in a vrrp block one that the router
// depends on. [NewCheck] gives one with the defaults.
// Which options a kind reads stands in their documentation; the others have no
// effect with it.
type Check struct {
	// Name is a label.
	Name string    `json:"name"`
	Kind CheckKind `json:"kind"`

	// Address and Port are where to ask; the zero values are the server's
	// own. Source, Interface and Mark are where the question comes from;
	// the zero values leave it to the system.
	Address   Host   `json:"address,omitzero"`
	Port      uint16 `json:"port,omitempty"`
	Source    Host   `json:"source,omitzero"`
	Interface string `json:"interface,omitempty"`
	Mark      uint32 `json:"mark,omitempty"`
	// Through is which of a server's addresses is asked.
	Through CheckThrough `json:"through,omitzero"`

	// Timeout limits the whole check; zero is that of the virtual block.
	Timeout time.Duration `json:"timeout,omitzero"`
	// Timing says how often and how patiently to ask; zero values are those
	// of the virtual block.
	Timing
	// StartState counts before the first answers.
	StartState StartState `json:"start_state,omitzero"`

	// Send, Expect and UseRegex are those of a virtual block, for tcp, udp
	// and text. With dns, Expect is an address or text of the answer.
	Send     string `json:"send,omitempty"`
	Expect   string `json:"expect,omitempty"`
	UseRegex bool   `json:"use_regex,omitempty"`
	// RequireReply makes silence a failure (udp).
	RequireReply bool `json:"require_reply,omitempty"`

	// Method, Path, Host and Header make the request of http and https; Path
	// is also what a file check reads. Empty ones are GET, / and the
	// server's address. Header lines are "Name: value".
	Method      string   `json:"method,omitempty"`
	Path        string   `json:"path,omitempty"`
	Host        string   `json:"host,omitempty"`
	Header      []string `json:"header,omitempty"`
	HTTPVersion string   `json:"http_version,omitempty"`
	// Status are the codes that are good; none is 200 to 299 (and with sip
	// 200 alone).
	Status StatusCodes `json:"status,omitzero"`
	// Body must be in the answer, BodyRegex match it, Digest be its MD5 or
	// SHA-256 in hexadecimal; empty ones are not asked for.
	Body      string `json:"body,omitempty"`
	BodyRegex string `json:"body_regex,omitempty"`
	Digest    string `json:"digest,omitempty"`

	// TLS speaks TLS from the first byte; the kinds tls and https always do.
	TLS bool `json:"tls,omitempty"`
	// StartTLS begins in clear and turns to TLS (smtp, pop3, imap, ftp, ldap).
	StartTLS bool `json:"starttls,omitempty"`
	// ServerName is sent as SNI and looked for in the certificate; empty is
	// Host, or else the address.
	ServerName string `json:"server_name,omitempty"`
	// Verify checks the certificate, against the certificates of CAFile or
	// else of the system.
	Verify bool   `json:"verify"`
	CAFile string `json:"ca_file,omitempty"`
	// CertFile and KeyFile are the checker's own certificate.
	CertFile string `json:"cert_file,omitempty"`
	KeyFile  string `json:"key_file,omitempty"`

	// Query is the name (dns), search base (ldap) or statement (mysql,
	// postgres) to ask for, and QueryType the record type of dns.
	Query     string `json:"query,omitempty"`
	QueryType string `json:"query_type,omitempty"`
	// GRPCService is the service that grpc asks for; empty is the server as
	// a whole.
	GRPCService string `json:"grpc_service,omitempty"`
	// User, PasswordFile and Database log in. The file holds the password,
	// or the secret of radius, in its first line.
	User         string `json:"user,omitempty"`
	PasswordFile string `json:"password_file,omitempty"`
	Database     string `json:"database,omitempty"`
	// Role is what redis must be; empty is any.
	Role string `json:"role,omitempty"`

	// Command is the program of script and nagios; the words %h and %p in it stand for
	// the server's address and port.
	Command string `json:"command,omitempty"`
	// UseWeight lets the answer of script and file set the server's
	// weight.
	UseWeight bool `json:"use_weight,omitempty"`

	// Weight, of a check in a vrrp block, changes the priority of the router in
	// place of a fault, -253..253: above 0 it is added while the check is good,
	// below 0 taken off while it fails. The number that a file check reads,
	// times Weight, is added.
	Weight int `json:"weight,omitempty"`

	// Pos is where the block is opened.
	Pos Pos `json:"-"`
	// Origins tells where the values stand in the file.
	Origins Origins `json:"-"`
}

// NewCheck returns a check block with the defaults: a connect.
func NewCheck(name string) Check {
	return Check{Name: name, Kind: CheckTCP, Verify: true}
}

// UsesTLS reports whether the check speaks TLS.
func (c *Check) UsesTLS() bool {
	return c.TLS || c.StartTLS || c.Kind == CheckTLS || c.Kind == CheckHTTPS
}

// Timing says how often to ask a server and how patiently; the zero value of
// each field is explained there. All durations are 0 or more.
type Timing struct {
	// Interval is the time from one check to the next; zero is the timeout
	// of the virtual block, as in Piranha.
	Interval time.Duration `json:"interval,omitzero"`
	// FastInterval counts while answers contradict the state of the server,
	// DownInterval while it is down; zero is Interval.
	FastInterval time.Duration `json:"fast_interval,omitzero"`
	DownInterval time.Duration `json:"down_interval,omitzero"`
	// ConnectTimeout, TLSTimeout and ReadTimeout limit the connecting, the
	// TLS handshake and the wait for the first byte of the answer; zero is
	// no limit but that of the whole check.
	ConnectTimeout time.Duration `json:"connect_timeout,omitzero"`
	TLSTimeout     time.Duration `json:"tls_timeout,omitzero"`
	ReadTimeout    time.Duration `json:"read_timeout,omitzero"`
	// Rise is how many good answers in a row bring a server back; zero is
	// as many as fit into reentry. Fall is how many bad ones take it out;
	// zero is 1.
	Rise int `json:"rise,omitempty"`
	Fall int `json:"fall,omitempty"`
}

// over returns the timing with the zero values taken from another.
func (t Timing) over(base Timing) Timing {
	return Timing{
		Interval:       cmp.Or(t.Interval, base.Interval),
		FastInterval:   cmp.Or(t.FastInterval, base.FastInterval),
		DownInterval:   cmp.Or(t.DownInterval, base.DownInterval),
		ConnectTimeout: cmp.Or(t.ConnectTimeout, base.ConnectTimeout),
		TLSTimeout:     cmp.Or(t.TLSTimeout, base.TLSTimeout),
		ReadTimeout:    cmp.Or(t.ReadTimeout, base.ReadTimeout),
		Rise:           cmp.Or(t.Rise, base.Rise),
		Fall:           cmp.Or(t.Fall, base.Fall),
	}
}

// ChecksOf returns the checks that a server of the block must all pass, with
// the block's timing filled in where theirs is silent: the server's own check
// blocks and check directive, or else those of the virtual block. Without any
// it is one of the kind [CheckPiranha], with the send, expect and use_regex of
// the virtual block, and its send_program as Command.
func (v *Virtual) ChecksOf(s *Server) []Check {
	from := s.Checks
	kind := s.Check
	if len(from) == 0 && kind == CheckPiranha {
		from, kind = v.Checks, v.Check
	}
	out := make([]Check, 0, len(from)+1)
	if kind != CheckPiranha {
		c := NewCheck(kind.String())
		c.Kind = kind
		if kind == CheckText || kind == CheckUDP || kind == CheckTCP || kind == CheckScript {
			c.Send, c.Expect, c.UseRegex, c.Command = v.Send, v.Expect, v.UseRegex, v.SendProgram
		}
		out = append(out, c)
	}
	out = append(out, from...)
	if len(out) == 0 {
		c := NewCheck("")
		c.Kind, c.Send, c.Expect, c.UseRegex, c.Command = CheckPiranha, v.Send, v.Expect, v.UseRegex, v.SendProgram
		out = append(out, c)
	}
	for i := range out {
		c := &out[i]
		c.Timeout = cmp.Or(c.Timeout, v.Timeout)
		c.Timing = c.over(v.Timing)
		c.Interval = cmp.Or(c.Interval, v.Timeout)
		c.Fall = max(1, c.Fall)
		if c.Rise == 0 {
			// As many good answers as fit into the re-entry time.
			c.Rise = max(1, int(v.Reentry/max(c.Interval, time.Millisecond)))
		}
		if c.StartState == StartUnknown {
			c.StartState = v.StartState
		}
	}
	return out
}
