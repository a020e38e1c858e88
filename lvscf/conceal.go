package lvscf

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Concealed returns a copy that can be shown to others: passwords are in files
// of their own anyway, but what is sent to a server, the arguments of a
// program, a header's value, a query and what follows a ? in a path may hold
// one. In its place stands "hidden:" and twelve digits that are the same for
// the same text and key, so that [Diff] of two concealed copies still finds
// what differs. Who has not the key cannot try texts against the digits.
//
// The copy keeps no places in the file. It shares with c what it does not
// change.
func (c *Config) Concealed(key []byte) *Config {
	h := concealer{key}
	out := *c
	out.Origins = nil
	h.arguments(&out.ActiveCmd, &out.InactiveCmd, &out.NotifyCmd, &out.FenceCmd)
	out.VRRPs = slices.Clone(c.VRRPs)
	for i := range out.VRRPs {
		r := &out.VRRPs[i]
		r.Origins = nil
		r.Checks = h.checks(r.Checks)
		h.arguments(&r.MasterCmd, &r.BackupCmd, &r.FaultCmd, &r.NotifyCmd)
	}
	out.Virtuals, out.Failovers = h.virtuals(c.Virtuals), h.virtuals(c.Failovers)
	return &out
}

type concealer struct{ key []byte }

func (h concealer) virtuals(blocks []Virtual) []Virtual {
	blocks = slices.Clone(blocks)
	for i := range blocks {
		v := &blocks[i]
		v.Origins = nil
		h.whole(&v.Send)
		h.arguments(&v.SendProgram, &v.LoadMonitor, &v.StartCmd, &v.StopCmd, &v.QuorumUpCmd, &v.QuorumDownCmd)
		v.Checks = h.checks(v.Checks)
		v.Servers = slices.Clone(v.Servers)
		for j := range v.Servers {
			s := &v.Servers[j]
			s.Origins = nil
			h.arguments(&s.UpCmd, &s.DownCmd)
			s.Checks = h.checks(s.Checks)
		}
	}
	return blocks
}

func (h concealer) checks(checks []Check) []Check {
	checks = slices.Clone(checks)
	for i := range checks {
		k := &checks[i]
		k.Origins = nil
		h.whole(&k.Send)
		h.whole(&k.Query)
		h.arguments(&k.Command)
		h.after(&k.Path, "?")
		k.Header = slices.Clone(k.Header)
		for j := range k.Header {
			h.after(&k.Header[j], ":")
		}
	}
	return checks
}

// whole hides all of a text.
func (h concealer) whole(s *string) {
	if *s == "" {
		return
	}
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte(*s)) // never fails
	*s = "hidden:" + hex.EncodeToString(mac.Sum(nil)[:6])
}

// after hides what follows the first of some characters.
func (h concealer) after(s *string, marks string) {
	if i := strings.IndexAny(*s, marks); i >= 0 {
		rest := (*s)[i+1:]
		h.whole(&rest)
		*s = (*s)[:i+1] + rest
	}
}

// arguments hides what follows the name of a program.
func (h concealer) arguments(commands ...*string) {
	for _, s := range commands {
		h.after(s, " \t")
	}
}
