package director

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover/pulse"
)

// A file has one key, or several with their numbers for the time of a change.
func TestKeysOfAFile(t *testing.T) {
	old, young := "old-0123456789abcdef", "young-0123456789abcdef"
	for _, tt := range []struct{ name, text, want string }{
		{"one key", old + "\n", "0 " + old},
		{"one key of several words", "a key that both routers share\n", "0 a key that both routers share"},
		{"several, with a comment", "# since May\nkey 7 " + young + "\n\nkey 3 " + old + "\n", "7 " + young + ", 3 " + old},
		{"a line that is none", "key 7 " + young + "\n" + old + "\n", "line 2: want key NUMBER SECRET"},
		{"a number that is none", "key seven " + young + "\n", "a number of 1 to"},
		{"twice the same number", "key 7 " + young + "\nkey 7 " + old + "\n", "7"},
		{"a key that is too short", "key 7 " + young + "\nkey 8 short\n", "at least 16"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			keys, err := setupOf(t, pairText("")).Keys(PairOptions{KeyFile: path})
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), young) {
					t.Errorf("error %q, want %q, the file, and no secret", err, tt.want)
				}
				return
			}
			var got []string
			for _, k := range keys {
				got = append(got, fmt.Sprintf("%d %s", k.ID, k.Secret))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
	if keys, err := setupOf(t, pairText("")).Keys(PairOptions{Legacy: true, KeyFile: "none"}); keys != nil || err != nil {
		t.Errorf("Piranha's heartbeat has no key: %v, %v", keys, err)
	}
}

func TestKeysOfRouters(t *testing.T) {
	long := strings.Repeat("k", 40)
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("key 2 new"+long+"\nkey 1 old"+long+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := setupOf(t, "failover_mode = vrrp\nnetwork = direct\n"+vrrpBlock("r", "interface = eth0\nvrid = 51\nauth = hmac\nkey_file = "+path)+virtual("web", realServer("a", "address = 10.0.0.3")))
	routers, _, err := s.Elect(PairOptions{Local: func() ([]netip.Addr, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if k := routers[0].Keys; len(k) != 2 || k[0].ID != 2 || string(k[0].Secret) != "new"+long || k[1].ID != 1 {
		t.Errorf("keys %v", k)
	}
}

// A reload gives the node the keys that are in the file then: in three steps on
// both routers no heartbeat is refused.
func TestKeysChangeWhileAPairRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, _ := twoDirectors(t, setupOf(t, pairFile("", 1)), setupOf(t, pairFile("", 1)))
		defer a.stop()
		defer b.stop()
		time.Sleep(10 * time.Second)
		old := pulse.Key{Secret: partnerKey}
		young := pulse.Key{ID: 1, Secret: []byte("another key, 0123456789abcdef")}
		for _, keys := range [][]pulse.Key{{old, young}, {young, old}, {young}} {
			for _, r := range []*rig{a, b} {
				r.d.cfg.Keys = func(*Setup) ([]pulse.Key, error) { return keys, nil }
				r.next = func() (*Setup, error) { return checked(setupOf(t, pairFile("", 1)), r.checker), nil }
				r.reload <- syscall.SIGHUP
				time.Sleep(5 * time.Second)
				for _, x := range []*rig{a, b} {
					if p := partnerOf(t, x); !p.Alive || !p.HearsUs {
						t.Fatalf("with the keys %v: the partner is %+v", keys, p)
					}
				}
			}
		}
		if refused := a.status().Role.Refused["key"]; refused != 0 {
			t.Errorf("%d heartbeats were refused", refused)
		}
		a.d.cfg.Keys = func(*Setup) ([]pulse.Key, error) { return nil, os.ErrNotExist }
		a.reload <- syscall.SIGHUP
		time.Sleep(5 * time.Second)
		if st := a.status(); st.Config.ReloadError == "" || !st.Role.Partner.Alive {
			t.Errorf("a key that cannot be read: %+v", st.Config)
		}
	})
}
