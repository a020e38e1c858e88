package director

import (
	"context"
	"errors"
	"slices"
	"time"
)

// staticCheck is how often it is looked after the addresses that are always
// here.
const staticCheck = 30 * time.Second

// keepStatics has the static addresses of the configuration here until ctx ends,
// and leaves them then: they are the machine's own, whether it serves or not.
func (d *Director) keepStatics(ctx context.Context) error {
	retry := time.Second
	for {
		pause := staticCheck
		var err error
		if d.hasStatics.Load() {
			err = d.statics.Acquire(ctx)
		}
		if err != nil && ctx.Err() == nil {
			pause, retry = retry, min(2*retry, staticCheck)
		} else {
			retry = time.Second
		}
		text := ""
		if err != nil {
			text = "static addresses: " + err.Error()
		}
		if old := d.staticErr.Swap(&text); text != "" && (old == nil || *old != text) {
			d.log.Error("cannot carry the static addresses", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// setStatics changes them at a reload.
func (d *Director) setStatics(ctx context.Context, setup *Setup) error {
	if d.statics == nil || slices.Equal(d.setup.Statics, setup.Statics) {
		return nil
	}
	d.hasStatics.Store(len(setup.Statics) > 0)
	return errors.Join(d.statics.Set(ctx, setup.Statics), d.statics.Acquire(ctx))
}
