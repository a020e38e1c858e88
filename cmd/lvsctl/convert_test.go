package main

import (
	"context"
	"errors"
	"testing"

	"github.com/lvskit/lvskit/lvscf/convert"
)

// TestConversionHeedsItsContext: a large file takes seconds, which an operator
// may end.
func TestConversionHeedsItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	end, ended := make(chan struct{}), make(chan struct{})
	defer func() { close(end); <-ended }()
	_, _, err := patiently(ctx, func() (int, convert.Losses, error) {
		defer close(ended)
		cancel()
		<-end
		return 0, nil, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	want := convert.Losses{{Number: 1, What: "a thing"}}
	n, losses, err := patiently(t.Context(), func() (int, convert.Losses, error) { return 7, want, nil })
	if n != 7 || len(losses) != 1 || losses[0] != want[0] || err != nil {
		t.Errorf("%d, %v, %v", n, losses, err)
	}
}
