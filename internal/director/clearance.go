package director

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/health"
)

// fenceWithin is how long a fence may take before it is tried again: switching
// off a machine takes some seconds.
const fenceWithin = time.Minute

// beforeTakingOver sets what is asked and done before a silent partner's place
// is taken. What the options name counts in place of what the configuration
// does.
func (h Heartbeat) beforeTakingOver(c *failover.Config, o PairOptions) error {
	witness, command := h.Witness, cmp.Or(o.Fence, h.Fence)
	if o.Witness.IsValid() {
		witness = o.Witness
	}
	if witness.IsValid() {
		c.Witness = failover.PingWitness(witness)
	}
	if command == "" {
		return nil
	}
	program, err := health.NewExternal(health.ExternalConfig{Command: command})
	if err != nil {
		return fmt.Errorf("fence %q: %w", command, err)
	}
	partner := health.Target{Name: "partner", Addr: c.Channels[0].Peer}
	c.Fence = func(ctx context.Context, _ string) error {
		ctx, cancel := context.WithTimeout(ctx, fenceWithin)
		defer cancel()
		if r := program.Check(ctx, partner); r.Verdict != health.OK {
			return fmt.Errorf("%s: %s", command, r.Reason)
		}
		return nil
	}
	return nil
}
