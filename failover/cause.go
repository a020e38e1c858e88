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
	case n.machine.Hears() && n.deaf.told:
		out = append(out, n.deafText())
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

// deafText says why the partner does not hear us, as far as we can know.
func (n *Node) deafText() string {
	why := n.failing()
	if why == "" {
		why = "what is sent on " + n.names(nil) + " is lost on the way, or a firewall there drops it"
	}
	return "the partner is heard and does not hear this router: " + why
}

// quiet says on which channels a partner is not heard that is heard on others;
// empty if on none. The caller holds mu.
func (n *Node) quiet() string {
	up := make([]bool, len(n.chans))
	silent := false
	for i := range n.chans {
		up[i], _, _ = n.machine.Channel(i)
		silent = silent || !up[i]
	}
	if !silent || !n.machine.Hears() {
		return ""
	}
	return "the partner is not heard on " + n.names(func(c *channel) bool { return !up[c.index] }) +
		": look at the cables and firewalls there"
}

// loss says why the partner is not heard any more on a channel, or on any. The
// caller holds mu.
func (n *Node) loss(c *channel, now time.Duration) string {
	state, _, _ := n.machine.Partner()
	failing := ""
	if c == nil {
		failing = n.failing()
	}
	switch d := n.refused(now); {
	case d != pulse.DropNone && c != nil:
		return "what comes there is refused"
	case d != pulse.DropNone:
		return n.complaint(d)
	case failing != "":
		return failing
	case state == pulse.StateLeaving:
		return "it had said that it stops"
	case c == nil:
		return fmt.Sprintf("no heartbeat came on %s for %v", n.names(nil), n.cfg.DeadAfter)
	case n.machine.Hears():
		return fmt.Sprintf("no heartbeat came on it for %v, while the partner is heard elsewhere: look at the cables and firewalls there", n.cfg.DeadAfter)
	}
	return fmt.Sprintf("no heartbeat came on it for %v", n.cfg.DeadAfter)
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
