package director

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/userspace"
)

// The kinds of data plane.
const (
	KindAuto      = "auto"
	KindKernel    = "kernel"
	KindUserspace = "userspace"
)

// Chosen is a data plane with the reason why it is this one.
type Chosen struct {
	Dataplane
	Kind, Reason string
	// Close lets go of it. The kernel's table stays as it is.
	Close func() error
}

// ChooseDataplane opens the data plane of the wanted kind. "auto" is the
// kernel's table where it can be had, and ordinary sockets elsewhere.
func ChooseDataplane(ctx context.Context, kind string, log *slog.Logger) (*Chosen, error) {
	switch kind {
	case KindKernel, KindAuto, KindUserspace:
	default:
		return nil, fmt.Errorf("data plane %q: want auto, kernel or userspace", kind)
	}
	reason := "asked for"
	if kind != KindUserspace {
		c, err := openKernel(ctx)
		if err == nil {
			if kind == KindAuto {
				c.Reason = "the kernel has IPVS and lets us use it"
			}
			return c, nil
		}
		if kind == KindKernel {
			return nil, fmt.Errorf("kernel data plane: %w", err)
		}
		reason = fmt.Sprintf("the kernel's table is not to be had: %v", err)
	}
	// The kernel's own time for established connections, until lvs.cf says
	// another: forgotten clients shall not fill the balancer for ever.
	b, err := userspace.New(&userspace.Config{Logger: log, IdleTimeout: 15 * time.Minute})
	if err != nil {
		return nil, fmt.Errorf("user-space data plane: %w", err)
	}
	return &Chosen{Dataplane: b, Kind: KindUserspace, Reason: reason, Close: b.Close}, nil
}

func openKernel(ctx context.Context) (*Chosen, error) {
	k, err := ipvs.Dial(ctx, nil)
	if err != nil {
		return nil, err
	}
	// The family answers anybody; a command tells whether we may.
	info, err := k.Info(ctx)
	if err != nil {
		k.Close()
		return nil, err
	}
	return &Chosen{Dataplane: k, Kind: KindKernel, Reason: fmt.Sprintf("asked for; IPVS %s", info.Version), Close: k.Close}, nil
}
