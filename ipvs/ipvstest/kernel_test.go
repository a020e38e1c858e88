package ipvstest

import "testing"

func TestConformance(t *testing.T) {
	Conformance(t, func(*testing.T) API { return New() })
}
