//go:build !linux

package ipvs

import (
	"errors"
	"testing"
)

func TestDialIsUnsupported(t *testing.T) {
	if _, err := Dial(t.Context(), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v, want %v", err, errors.ErrUnsupported)
	}
}
