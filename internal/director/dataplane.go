package director

import (
	"context"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// Dataplane is what the director asks of whatever carries the traffic: the
// kernel's table, the user-space balancer, or a fake in a test.
type Dataplane = ipvs.Plane

// timeoutSetter is a data plane whose connection time-outs can be set.
type timeoutSetter interface {
	Timeouts(context.Context) (ipvs.Timeouts, error)
	SetTimeouts(context.Context, ipvs.Timeouts) error
}

// settleTimeouts brings the data plane's time-outs to what is wanted; zero
// wants nothing. What is right already is not written again.
func settleTimeouts(ctx context.Context, ts timeoutSetter, want ipvs.Timeouts) error {
	have, err := ts.Timeouts(ctx)
	if err != nil {
		return err
	}
	for _, p := range []struct{ have, want *time.Duration }{
		{&have.TCP, &want.TCP}, {&have.TCPFin, &want.TCPFin}, {&have.UDP, &want.UDP},
	} {
		if *p.want == *p.have {
			*p.want = 0
		}
	}
	if want == (ipvs.Timeouts{}) {
		return nil
	}
	return ts.SetTimeouts(ctx, want)
}
