package health

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http2/hpack"
)

// GRPCConfig sets up a [GRPC] check.
type GRPCConfig struct {
	// Service is the service to ask about; empty is the server as a whole.
	Service string
	// Authority is the host of the request; empty means TLS.ServerName, or
	// else the target's address and port.
	Authority string
	// Watch leaves the question open where something keeps sessions, such as a
	// [Monitor]: see [GRPC.Stand]. Check is asked by turns all the same where
	// the server has no Watch.
	Watch bool
	// Keepalive is how often a Watch proves that the server still answers,
	// from 100 ms; 0 means DefaultKeepalive.
	Keepalive time.Duration
	// TLS verifies and encrypts, with the protocol h2 (RFC 7301); nil means
	// plain text, with HTTP/2 from the first byte.
	TLS *TLSConfig
	// Dial says how to connect.
	Dial
}

// GRPC calls Check of the service grpc.health.v1.Health (the gRPC Health
// Checking Protocol): only SERVING is OK. It is safe for concurrent use.
type GRPC struct {
	ch   channel
	cfg  GRPCConfig
	name string
}

// NewGRPC returns a gRPC check, or an error that names every field that cannot
// be used. A nil cfg means the defaults.
func NewGRPC(cfg *GRPCConfig) (*GRPC, error) {
	c := &GRPC{}
	if cfg != nil {
		c.cfg = *cfg
	}
	var err error
	c.ch, err = newChannel(c.cfg.Dial, c.cfg.TLS, false, "h2")
	if c.cfg.Authority == "" && c.cfg.TLS != nil {
		c.cfg.Authority = c.cfg.TLS.ServerName
	}
	if !oneWord(c.cfg.Authority) || strings.ContainsAny(c.cfg.Authority, "/@?#") {
		err = errors.Join(err, fmt.Errorf("authority %q: want a host, perhaps with a port", c.cfg.Authority))
	}
	if len(c.cfg.Service) > 1024 || !utf8.ValidString(c.cfg.Service) {
		err = errors.Join(err, errors.New("service: want at most 1024 bytes of UTF-8"))
	}
	if c.cfg.Keepalive == 0 {
		c.cfg.Keepalive = DefaultKeepalive
	}
	if c.cfg.Keepalive < 100*time.Millisecond {
		err = errors.Join(err, fmt.Errorf("keepalive %v: want 0 for %v, or at least 100ms", c.cfg.Keepalive, DefaultKeepalive))
	}
	if err != nil {
		return nil, fmt.Errorf("grpc check: %w", err)
	}
	watch := ""
	if c.cfg.Watch {
		watch = fmt.Sprintf(" watch keepalive=%v", c.cfg.Keepalive)
	}
	c.name = fmt.Sprintf("grpc service=%q authority=%q%s%s", c.cfg.Service, c.cfg.Authority, watch, c.ch.identity)
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *GRPC) Identity() string { return c.name }

// Check calls once.
func (c *GRPC) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		s.step("read")
		a, err := h2(s.conn, c.header(t, "Check"), grpcRequest(c.cfg.Service), maxLine)
		if err != nil {
			return "", err
		}
		s.a.see(a.body)
		return judgeGRPC(a, c.cfg.Service)
	})
}

// header is that of a call of a method of grpc.health.v1.Health.
func (c *GRPC) header(t Target, method string) []hpack.HeaderField {
	scheme, authority := "http", c.cfg.Authority
	if c.ch.tls != nil {
		scheme = "https"
	}
	if authority == "" {
		authority = t.host()
	}
	return []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: scheme},
		{Name: ":path", Value: "/grpc.health.v1.Health/" + method},
		{Name: ":authority", Value: authority},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
		{Name: "user-agent", Value: "lvskit-health"},
	}
}

// grpcRequest is a message with field 1, a string, behind the five bytes that
// gRPC puts before each message: not compressed, and the length.
func grpcRequest(service string) []byte {
	var message []byte
	if service != "" {
		message = append(message, 1<<3|2) // field 1, bytes
		message = binary.AppendUvarint(message, uint64(len(service)))
		message = append(message, service...)
	}
	b := append([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(message)))...)
	return append(b, message...)
}

// grpcStates are the values of ServingStatus.
var grpcStates = [...]string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}

// judgeGRPC reads status, trailers and message of an answer.
func judgeGRPC(a *h2Answer, service string) (string, error) {
	if a.status != 200 {
		return "", unwanted("status %s, expected 200", a.statusLine())
	}
	// An answer without a message has its trailers in the place of headers.
	end := a.trailer
	if end == nil {
		end = a.header
	}
	if err := grpcStatus(end, service); err != nil {
		return "", err
	}
	return grpcState(a.body, service)
}

// grpcUnimplemented is the status of a call that the server does not have
// (UNIMPLEMENTED).
const grpcUnimplemented = "12"

// grpcStatus reads the trailers of a call.
func grpcStatus(end http.Header, service string) error {
	switch status := end.Get("Grpc-Status"); status {
	case "0":
		return nil
	case "":
		return unwanted("the answer has no grpc-status; is this gRPC?")
	case "5":
		return notKnown(service)
	case grpcUnimplemented:
		return unwanted("the server has no health service (grpc-status 12)")
	default:
		text, err := url.PathUnescape(end.Get("Grpc-Message"))
		if err != nil {
			text = ""
		}
		return unwanted("grpc-status %s %s", clipText(status), clipText(text))
	}
}

// notKnown is what Check says by its status and Watch by a state.
func notKnown(service string) error {
	return unwanted("the server does not know the service %q", clipText(service))
}

// grpcState reads a message with its five bytes before it; only SERVING is no
// error.
func grpcState(message []byte, service string) (string, error) {
	state, err := parseGRPCHealth(message)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("state %d", state)
	if state < uint64(len(grpcStates)) {
		text = grpcStates[state]
	}
	switch state {
	case 1:
		return text, nil
	case 3:
		return "", notKnown(service)
	}
	return "", unwanted("%s", text)
}

// parseGRPCHealth reads a HealthCheckResponse: field 1 is the state, and 0 if
// it is left out. Other fields are passed over.
func parseGRPCHealth(b []byte) (state uint64, err error) {
	cut := unwanted("the message %s cannot be read", clip(b))
	if len(b) < 5 || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:])) != uint64(len(b)-5) {
		return 0, cut
	}
	b = b[5:]
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, cut
		}
		b = b[n:]
		skip := uint64(0)
		switch key & 7 {
		case 0:
			value, n := binary.Uvarint(b)
			if n <= 0 {
				return 0, cut
			}
			if key>>3 == 1 {
				state = value
			}
			b = b[n:]
		case 1:
			skip = 8
		case 5:
			skip = 4
		case 2:
			length, n := binary.Uvarint(b)
			if n <= 0 {
				return 0, cut
			}
			b, skip = b[n:], length
		default:
			return 0, cut
		}
		if skip > uint64(len(b)) {
			return 0, cut
		}
		b = b[skip:]
	}
	return state, nil
}
