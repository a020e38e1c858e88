package failover

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// unpack reads the body of a message.
func unpack(n *note, to any) error {
	if err := json.Unmarshal(n.Body, to); err != nil {
		return fmt.Errorf("%w: %s: %w", errBroken, n.Kind, err)
	}
	return nil
}

// wireEvent is an Event on its way.
type wireEvent struct {
	Event
	Err *distantError `json:"distant,omitempty"`
}

func packEvent(e Event) wireEvent {
	w := wireEvent{Event: e, Err: distant(e.Err)}
	w.Event.Err = nil
	return w
}

func (w *wireEvent) event() Event {
	e := w.Event
	e.Err = w.Err.err()
	return e
}

// wireLog is a line of a log on its way.
type wireLog struct {
	Level slog.Level     `json:"level"`
	Text  string         `json:"text"`
	Attrs map[string]any `json:"attrs,omitempty"`
	Time  time.Time      `json:"time"`
}

func (w *wireLog) log(to *slog.Logger) {
	r := slog.NewRecord(w.Time, w.Level, w.Text, 0)
	for k, v := range w.Attrs {
		r.Add(k, v)
	}
	if ctx := context.Background(); to.Enabled(ctx, w.Level) {
		_ = to.Handler().Handle(ctx, r) // as slog.Logger does
	}
}

// distantLog is the slog.Handler that hands lines to the daemon.
type distantLog struct {
	keeper *keeper
	member uint64
	attrs  []slog.Attr
}

func (d *distantLog) Enabled(context.Context, slog.Level) bool { return true }

func (d *distantLog) Handle(_ context.Context, r slog.Record) error {
	attrs := make(map[string]any)
	add := func(a slog.Attr) bool {
		attrs[a.Key] = fmt.Sprint(a.Value.Resolve().Any())
		return true
	}
	for _, a := range d.attrs {
		add(a)
	}
	r.Attrs(add)
	d.keeper.log(d.member, r.Level, r.Message, attrs)
	return nil
}

func (d *distantLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &distantLog{d.keeper, d.member, append(append([]slog.Attr(nil), d.attrs...), attrs...)}
}

func (d *distantLog) WithGroup(string) slog.Handler { return d }
