package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// answerGrace is how long a callback may take to notice that its context has
// ended.
const answerGrace = 100 * time.Millisecond

// sheltered returns f as a function that returns soon after its context has
// ended even if f does not, and to which a panic is an error: what is called only
// when the partner is silent shows only then that it is at fault. Calls do not
// overlap: while an earlier one is still running f is not called again, and that
// is the error.
func sheltered[A any](logger *slog.Logger, f func(context.Context, A) error) func(context.Context, A) error {
	running := make(chan struct{}, 1)
	return func(ctx context.Context, arg A) error {
		select {
		case running <- struct{}{}:
		default:
			return errors.New("an earlier call has not ended, although its context has")
		}
		done := make(chan error, 1)
		go func() {
			err := errors.New("the call ended its goroutine")
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("the call panicked: %v", p)
					logger.Error(err.Error(), slog.String("stack", string(debug.Stack())))
				}
				<-running
				done <- err
			}()
			err = f(ctx, arg)
		}()
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
		}
		select {
		case err := <-done:
			return err
		case <-time.After(answerGrace):
			return fmt.Errorf("the call has not ended, although its context has: %w", ctx.Err())
		}
	}
}

// shelter protects whoever asks witness and fence from both.
func (c *Config) shelter() {
	if witness := c.Witness; witness != nil {
		ask := sheltered(c.Logger, func(ctx context.Context, _ struct{}) error {
			if ok, why := witness(ctx); !ok {
				return errors.New(why)
			}
			return nil
		})
		c.Witness = func(ctx context.Context) (ok bool, why string) {
			if err := ask(ctx, struct{}{}); err != nil {
				return false, err.Error()
			}
			return true, ""
		}
	}
	if c.Fence != nil {
		c.Fence = sheltered(c.Logger, c.Fence)
	}
}
