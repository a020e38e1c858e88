package director

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/failover"
)

// What is asked before a silent partner's place is taken stands in the file
// that both routers share, and the command line may replace it. A witness that
// is no host says which address it was given, and sends nothing.
func TestWitnessAndFenceOfAFile(t *testing.T) {
	part := func(t *testing.T, role, lines string, o PairOptions) failover.Config {
		t.Helper()
		o.Role, o.Legacy = role, true // no key is needed
		c, _, err := setupOf(t, lines+pairText("")).Pair(o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("nothing", func(t *testing.T) {
		if c := part(t, "primary", "", PairOptions{}); c.Witness != nil || c.Fence != nil {
			t.Error("there is a witness or a fence that nobody asked for")
		}
	})
	for _, tt := range []struct {
		name string
		o    PairOptions
		want string
	}{
		{"the witness of the file", PairOptions{}, "ping 224.0.0.7"},
		{"the witness of the command line", PairOptions{Witness: netip.MustParseAddr("224.0.0.9")}, "ping 224.0.0.9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := part(t, "primary", "witness = 224.0.0.7\n", tt.o)
			if ok, why := c.Witness(t.Context()); ok || !strings.HasPrefix(why, tt.want) {
				t.Errorf("it says %v, %q; want %q", ok, why, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		name, role, lines, flag string
		good                    bool
	}{
		{"the primary fences the backup", "primary", "fence_cmd = \"test %h = 192.0.2.2\"\n", "", true},
		{"the backup fences the primary", "backup", "fence_cmd = \"test %h = 192.0.2.1\"\n", "", true},
		{"a fence that fails", "primary", "fence_cmd = false\n", "", false},
		{"the fence of the command line", "primary", "fence_cmd = false\n", "true", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := part(t, tt.role, tt.lines, PairOptions{Fence: tt.flag})
			if err := c.Fence(t.Context(), "a test"); (err == nil) != tt.good {
				t.Errorf("error %v, want success %v", err, tt.good)
			}
		})
	}
	t.Run("a program without words", func(t *testing.T) {
		if _, _, err := setupOf(t, pairText("")).Pair(PairOptions{Role: "primary", Legacy: true, Fence: " "}); err == nil || !strings.Contains(err.Error(), "empty") {
			t.Errorf("error %v, want one", err)
		}
	})
	t.Run("a change waits for the next start", func(t *testing.T) {
		a, b := setupOf(t, pairText("")), setupOf(t, "witness = 192.0.2.254\n"+pairText(""))
		c := setupOf(t, "fence_cmd = true\n"+pairText(""))
		if !a.Heartbeat.differs(b.Heartbeat) || !a.Heartbeat.differs(c.Heartbeat) || a.Heartbeat.differs(a.Heartbeat) {
			t.Error("a change is not noticed")
		}
	})
	t.Run("without effect", func(t *testing.T) {
		s := setupOf(t, "witness = 192.0.2.254\nfence_cmd = true\nnetwork = direct\n"+virtual("v", realServer("s", "address = 10.0.0.1")))
		if notes := strings.Join(s.Notes, "\n"); !strings.Contains(notes, "witness has no effect") || !strings.Contains(notes, "fence_cmd has no effect") {
			t.Errorf("notes:\n%s", notes)
		}
	})
}
