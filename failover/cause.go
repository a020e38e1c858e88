package failover

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// reason says why the node is in its role, and what keeps the two nodes from
// hearing each other at present, as far as this one can know. A partner that is
// refused is not called silent. The caller holds mu.
func (n *Node) reason(now time.Duration) string {
	state, r, _ := n.machine.State()
	text := r.String()
	switch {
	case r == pulse.ReasonFault && n.fault != "":
		text = "fault: " + n.fault
	case r == pulse.ReasonUncleared && n.clearance.text != "":
		text += ": " + n.clearance.text
	}
	if d := n.refused(now); d != pulse.DropNone {
		if r == pulse.ReasonPartnerSilent {
			return n.complaint(d)
		}
		return text + "; " + n.complaint(d)
	}
	out := []string{text}
	_, _, met := n.machine.Partner()
	silent := r == pulse.ReasonPartnerSilent || r == pulse.ReasonUncleared
	switch failing := n.failing(); {
	case n.machine.Hears() && n.deaf.told && failing != "":
		out = append(out, "the partner is heard and does not hear this router: "+failing)
	case n.machine.Hears() && n.deaf.told:
		out = append(out, "the partner is heard and does not hear this router: what is sent on "+n.names(nil)+
			" is lost on the way, or a firewall there drops it")
	case !n.machine.Hears() && len(n.chans) > 0:
		if met && !silent {
			out = append(out, "the partner is silent on "+n.names(nil))
		}
		if failing != "" {
			out = append(out, failing)
		}
		if mac := n.effects.rival(); mac != nil && state == pulse.StateActive {
			out = append(out, fmt.Sprintf("%v has the addresses, too, and no heartbeat of it comes here: let UDP to port %d in, at the firewall of this router first, or end what else holds them",
				mac, n.chans[0].Local.Port()))
		}
	}
	return strings.Join(out, "; ")
}

// failing says on which channels nothing can be sent, and why; empty if on
// none.
func (n *Node) failing() string {
	var errs []string // in the order of the channels
	bad := make(map[string]func(*channel) bool)
	for _, c := range n.chans {
		err := c.trouble()
		if err == nil {
			continue
		}
		text := err.Error()
		if call := (*os.SyscallError)(nil); errors.As(err, &call) {
			text = call.Err.Error() // without addresses, so that channels compare
		}
		if errors.Is(err, fs.ErrPermission) {
			text += fmt.Sprintf(": a firewall of this router drops it: let UDP to port %d out", c.Peer.Port())
		}
		if bad[text] == nil {
			errs = append(errs, text)
		}
		was := bad[text]
		bad[text] = func(o *channel) bool { return o == c || was != nil && was(o) }
	}
	for i, text := range errs {
		errs[i] = "sending on " + n.names(bad[text]) + " fails: " + text
	}
	return strings.Join(errs, "; ")
}

// names lists the channels that are wanted, nil for all: "public, private and
// third".
func (n *Node) names(want func(*channel) bool) string {
	var names []string
	for _, c := range n.chans {
		if want == nil || want(c) {
			names = append(names, c.Name)
		}
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// trouble returns why nothing can be sent on the channel, nil if it can.
func (c *channel) trouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
