package health

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// DNSConfig sets up a [DNS] check.
type DNSConfig struct {
	// Name is what is asked for; empty means the root, ".".
	Name string
	// Type is the type of the records: A, AAAA, CNAME, MX, NS, PTR, SOA, SRV
	// or TXT; empty means SOA.
	Type string
	// RCodes are the response codes that are OK (RFC 1035, section 4.1.1),
	// 0..15; empty means 0 (no error) alone.
	RCodes []int
	// Answer must be the data of one record of the answer: an address, a
	// name, the text of a TXT. Empty means any answer, even one without
	// records.
	Answer string
	// TCP asks over TCP rather than UDP. A truncated answer over UDP is OK
	// without an Answer to look for.
	TCP bool
	// TLS asks over TCP and TLS (RFC 7858); nil means in clear.
	TLS *TLSConfig
	// Dial says how to connect.
	Dial
}

// DNS asks a name server one question, with recursion desired, and wants an
// answer to just that question. It is safe for concurrent use.
type DNS struct {
	ch       channel
	cfg      DNSConfig
	question dnsmessage.Question
	name     string
}

// dnsTypes are the types of records that can be asked for.
var dnsTypes = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "CNAME": dnsmessage.TypeCNAME, "MX": dnsmessage.TypeMX,
	"NS": dnsmessage.TypeNS, "PTR": dnsmessage.TypePTR, "SOA": dnsmessage.TypeSOA, "SRV": dnsmessage.TypeSRV, "TXT": dnsmessage.TypeTXT,
}

// NewDNS returns a name server check, or an error that names every field that
// cannot be used. A nil cfg means the defaults.
func NewDNS(cfg *DNSConfig) (*DNS, error) {
	c := &DNS{}
	if cfg != nil {
		c.cfg = *cfg
	}
	c.cfg.Type = strings.ToUpper(c.cfg.Type)
	if c.cfg.Type == "" {
		c.cfg.Type = "SOA"
	}
	c.cfg.RCodes = slices.Clone(c.cfg.RCodes)
	if len(c.cfg.RCodes) == 0 {
		c.cfg.RCodes = []int{0}
	}
	c.cfg.Name = strings.TrimSuffix(c.cfg.Name, ".") + "."
	var err error
	c.ch, err = newChannel(c.cfg.Dial, c.cfg.TLS, false, "dot")
	name, bad := dnsmessage.NewName(c.cfg.Name)
	c.question = dnsmessage.Question{Name: name, Type: dnsTypes[c.cfg.Type], Class: dnsmessage.ClassINET}
	if bad == nil {
		_, bad = c.ask(0)
	}
	if bad != nil {
		err = errors.Join(err, fmt.Errorf("name %q: want labels of 1..63 bytes with dots between, 254 bytes at most", c.cfg.Name))
	}
	if dnsTypes[c.cfg.Type] == 0 {
		err = errors.Join(err, fmt.Errorf("type %q: want one of %s", c.cfg.Type, strings.Join(slices.Sorted(maps.Keys(dnsTypes)), ", ")))
	}
	for _, r := range c.cfg.RCodes {
		if r < 0 || r > 15 {
			err = errors.Join(err, fmt.Errorf("rcode %d: want 0..15", r))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("dns check: %w", err)
	}
	c.name = fmt.Sprintf("dns %q %s rcodes=%v answer=%q tcp=%t%s", c.cfg.Name, c.cfg.Type, c.cfg.RCodes, c.cfg.Answer, c.cfg.TCP, c.ch.identity)
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *DNS) Identity() string { return c.name }

// Check asks once.
func (c *DNS) Check(ctx context.Context, t Target) Result {
	id := uint16(rand.Uint32())
	question, err := c.ask(id)
	if err != nil {
		a, cancel := begin(ctx, t)
		defer cancel()
		return a.result(NoResult, "send: "+err.Error())
	}
	if !c.cfg.TCP && c.cfg.TLS == nil {
		return exchange(ctx, t, &c.cfg.Dial, question, func(answer []byte) (string, error) { return c.judge(id, answer) })
	}
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		s.step("read")
		// Over a stream the length comes first (RFC 1035, section 4.2.2).
		framed := binary.BigEndian.AppendUint16(nil, uint16(len(question)))
		if _, err := s.conn.Write(append(framed, question...)); err != nil {
			return "", err
		}
		head, err := s.full(2)
		if err != nil {
			return "", err
		}
		answer, err := s.full(int(binary.BigEndian.Uint16(head)))
		if err != nil {
			return "", err
		}
		what, err := c.judge(id, answer)
		if errors.Is(err, errOther) {
			return "", unwanted("the server answers another question")
		}
		return what, err
	})
}

func (c *DNS) ask(id uint16) ([]byte, error) {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{c.question},
	}
	return m.Pack()
}

// judge reads an answer (RFC 1035, section 4).
func (c *DNS) judge(id uint16, answer []byte) (string, error) {
	var p dnsmessage.Parser
	h, err := p.Start(answer)
	if err != nil || h.ID != id || !h.Response {
		return "", errOther
	}
	questions, err := p.AllQuestions()
	// Servers that cannot make sense of a query may leave the question out.
	if err != nil || len(questions) > 1 || len(questions) == 1 && !c.asked(questions[0]) {
		return "", errOther
	}
	if !slices.Contains(c.cfg.RCodes, int(h.RCode)) {
		return "", unwanted("%s to %s %s", rcodeText(h.RCode), c.cfg.Name, c.cfg.Type)
	}
	count := 0
	var last string
	for {
		rh, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		var data string
		if err == nil {
			data, err = recordText(&p, rh.Type)
		}
		if err != nil {
			if h.Truncated {
				break
			}
			return "", unwanted("the answer cannot be read: %v", err)
		}
		if rh.Type == c.question.Type {
			count, last = count+1, data
		}
		if c.cfg.Answer != "" && rh.Type == c.question.Type && sameData(data, c.cfg.Answer) {
			return "the answer has " + clipText(data), nil
		}
	}
	switch {
	case c.cfg.Answer == "":
		return fmt.Sprintf("%s, %d records", rcodeText(h.RCode), count), nil
	case h.Truncated:
		return "", unwanted("the answer did not fit into a datagram and %s is not in what did; ask over TCP", clip([]byte(c.cfg.Answer)))
	case count == 0:
		return "", unwanted("the answer has no %s record, expected %s", c.cfg.Type, clip([]byte(c.cfg.Answer)))
	}
	return "", unwanted("none of %d %s records is %s, the last one is %s", count, c.cfg.Type, clip([]byte(c.cfg.Answer)), clip([]byte(last)))
}

func (c *DNS) asked(q dnsmessage.Question) bool {
	return q.Type == c.question.Type && q.Class == c.question.Class && strings.EqualFold(q.Name.String(), c.question.Name.String())
}

// recordText reads the data of one record as people write it.
func recordText(p *dnsmessage.Parser, t dnsmessage.Type) (string, error) {
	switch t {
	case dnsmessage.TypeA:
		r, err := p.AResource()
		return netip.AddrFrom4(r.A).String(), err
	case dnsmessage.TypeAAAA:
		r, err := p.AAAAResource()
		return netip.AddrFrom16(r.AAAA).String(), err
	case dnsmessage.TypeCNAME:
		r, err := p.CNAMEResource()
		return r.CNAME.String(), err
	case dnsmessage.TypeMX:
		r, err := p.MXResource()
		return r.MX.String(), err
	case dnsmessage.TypeNS:
		r, err := p.NSResource()
		return r.NS.String(), err
	case dnsmessage.TypePTR:
		r, err := p.PTRResource()
		return r.PTR.String(), err
	case dnsmessage.TypeSOA:
		r, err := p.SOAResource()
		return r.NS.String(), err
	case dnsmessage.TypeSRV:
		r, err := p.SRVResource()
		return r.Target.String(), err
	case dnsmessage.TypeTXT:
		r, err := p.TXTResource()
		return strings.Join(r.TXT, ""), err
	}
	return "", p.SkipAnswer()
}

// sameData compares what a record holds with what is wanted: addresses by
// value, names without regard to case and the last dot.
func sameData(got, want string) bool {
	if a, err := netip.ParseAddr(want); err == nil {
		b, err := netip.ParseAddr(got)
		return err == nil && a == b
	}
	return strings.EqualFold(strings.TrimSuffix(got, "."), strings.TrimSuffix(want, "."))
}

// rcodes are the names of response codes as tools print them.
var rcodes = [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"}

func rcodeText(r dnsmessage.RCode) string {
	if int(r) < len(rcodes) {
		return rcodes[r]
	}
	return fmt.Sprintf("rcode %d", r)
}
