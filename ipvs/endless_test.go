package ipvs

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"
)

// endless is a script that, while it flows, has one more datagram each time.
type endless struct {
	*script
	flow    func(seq uint32) []byte
	request uint32
	taken   int
}

func (e *endless) send(b []byte) error {
	m, _, err := nextMessage(b)
	if err != nil {
		return err
	}
	e.request = m.seq
	return e.script.send(b)
}

func (e *endless) tryReceive(b []byte) (int, bool, error) {
	if e.flow == nil {
		return e.script.tryReceive(b)
	}
	e.taken++
	return copy(b, e.flow(e.request)), true, nil
}

// TestEndlessAnswers: a peer that never comes to an end is left at a bound,
// and the client works as soon as it is quiet.
func TestEndlessAnswers(t *testing.T) {
	service := func(seq uint32) []byte { return serviceReply(t, seq, 1) }
	for _, flow := range []struct {
		name string
		f    func(seq uint32) []byte
	}{
		{"parts of a listing", service},
		{"answers to nobody", func(seq uint32) []byte { return ack(seq-1, 0) }},
		{"nothing in messages", func(seq uint32) []byte { return control(1, seq, 0) }},
		{"messages of another family", func(seq uint32) []byte { return reply(0x99, seq-7, nil) }},
		{"empty datagrams", func(uint32) []byte { return nil }},
	} {
		for _, call := range []struct {
			name string
			f    func(context.Context, *Client) error
		}{
			{"a listing", lastError},
			{"a snapshot", func(ctx context.Context, c *Client) error { _, err := c.Snapshot(ctx); return err }},
			{"a change", func(ctx context.Context, c *Client) error { return c.DelService(ctx, MarkService(1)) }},
			{"an apply", func(ctx context.Context, c *Client) error { return c.Apply(ctx, addChanges(600)) }},
			{"stopping a daemon", func(ctx context.Context, c *Client) error { return c.StopSync(ctx, SyncMaster) }},
		} {
			t.Run(call.name+" and "+flow.name, func(t *testing.T) {
				e := &endless{script: newScript()}
				e.answer = func([]message) [][]byte { return nil }
				c, err := newClient(t.Context(), e, 1<<20, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				e.flow = flow.f
				begin := time.Now()
				err = call.f(context.Background(), c)
				if err == nil && flow.name != "parts of a listing" {
					t.Error("no error")
				}
				if e.taken > 1<<17 {
					t.Errorf("%d datagrams were taken", e.taken)
				}
				if d := time.Since(begin); d > time.Minute {
					t.Errorf("it took %v", d)
				}
				// It is told apart from a refusal by the kernel.
				if err != nil && (errors.Is(err, ErrServiceNotFound) || errors.Is(err, ErrInvalid)) {
					t.Errorf("error %v", err)
				}
				e.flow = nil
				works(t, c, e.script)
			})
		}
	}
}

// TestAnOverrunIsALoss: the kernel says so when it could not deliver.
func TestAnOverrunIsALoss(t *testing.T) {
	c, s := scripted(t, func(r []message) [][]byte {
		q := last(r).seq
		return [][]byte{serviceReply(t, q, 1), control(nlOverrun, q, 0), done(q)}
	})
	if err := lastError(t.Context(), c); !errors.Is(err, errLost) || errors.Is(err, ErrStateUnknown) {
		t.Errorf("a listing: error %v, want %v", err, errLost)
	}
	s.answer = func(r []message) [][]byte { return [][]byte{control(nlOverrun, last(r).seq, 0), ack(last(r).seq, 0)} }
	if err := c.AddService(t.Context(), Service{Key: MarkService(1)}); !errors.Is(err, ErrStateUnknown) {
		t.Errorf("a change: error %v, want %v", err, ErrStateUnknown)
	}
	works(t, c, s)
}
