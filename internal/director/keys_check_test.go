package director

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/lvscf"
)

// A check finds what a start would refuse, in the same words, at the line that
// names the file.
func TestCheckKeys(t *testing.T) {
	long := strings.Repeat("k", 40)
	services := "network = direct\n" + virtual("web", realServer("a", "address = 10.0.0.3"))
	pair := func(path string) string {
		return "primary = 192.0.2.1\nbackup = 192.0.2.2\nbackup_active = 1\nheartbeat_key_file = " + path + "\n" + services
	}
	router := func(auth string) func(string) string {
		return func(path string) string {
			return "failover_mode = vrrp\n" + vrrpBlock("r", "interface = eth0\nvrid = 51\nkey_file = "+path+"\n"+auth) + services
		}
	}
	hmac, password, modern := router("auth = hmac"), router("auth = password\nversion = 2"), router("auth = password")
	for _, tt := range []struct {
		name string
		file func(path string) string
		key  string // what the file holds; "-" is no file, "/" a folder
		mode os.FileMode
		code lvscf.Code
		want string // of the finding
	}{
		{"a key of heartbeats", pair, long, 0o600, "", ""},
		{"several keys of heartbeats", pair, "key 2 " + long + "\nkey 1 " + long, 0o640, "", ""},
		{"no file", pair, "-", 0, "LVS178", "no such file"},
		{"a folder", pair, "/", 0o700, "LVS179", "not a regular file"},
		{"a key for all to read", pair, long, 0o644, "LVS179", "chmod 600"},
		{"a short key", pair, "hunter2", 0o600, "LVS179", "7 bytes are too few, at least 16: make one with"},
		{"a long file", pair, strings.Repeat(long, 200), 0o600, "LVS179", "8001 bytes are no key"},
		{"a line that is no key", pair, "key 2 " + long + "\nhunter2", 0o600, "LVS179", "line 2: want key NUMBER SECRET"},
		{"a number twice", pair, "key 2 " + long + "\nkey 2 " + long, 0o600, "LVS179", "two keys have the id 2"},
		{"a key of a router", hmac, long, 0o600, "", ""},
		{"a short key of a router", hmac, "hunter2", 0o600, "LVS179", "at least"},
		{"a number that a router cannot send", hmac, "key 256 " + long, 0o600, "LVS179", "a number of 1 to 255"},
		{"a short one among several of a router", hmac, "key 1 " + long + "\nkey 2 hunter2", 0o600, "LVS179", "7"},
		{"a password", password, "hunter2", 0o600, "", ""},
		{"a password that is too long", password, "hunter2hunter2", 0o600, "LVS179", "8"},
		{"a password with version 3", modern, "hunter2", 0o600, "LVS179", "version"},
		{"no password", password, "-", 0, "LVS178", "write the password"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.ToSlash(filepath.Join(t.TempDir(), "key"))
			switch tt.key {
			case "-":
			case "/":
				if err := os.Mkdir(path, tt.mode); err != nil {
					t.Fatal(err)
				}
			default:
				if err := os.WriteFile(path, []byte(tt.key+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, tt.mode); err != nil {
					t.Fatal(err)
				}
			}
			s := setupOf(t, tt.file(path))
			got := s.CheckKeys()
			if tt.code == "" {
				if len(got) > 0 {
					t.Error(got)
				}
				return
			}
			if len(got) != 1 {
				t.Fatalf("%d findings, want one: %v", len(got), got)
			}
			d := got[0]
			place := s.Config.Origins.Pos("heartbeat_key_file")
			if len(s.Config.VRRPs) > 0 {
				place = s.Config.VRRPs[0].Origins.Pos("key_file")
			}
			if d.Code != tt.code || d.Pos != place || d.Cure == "" || !strings.Contains(d.Message, path) || !strings.Contains(d.String(), tt.want) || strings.Contains(d.String(), "hunter2") {
				t.Errorf("finding %v; want %s at %v with %q, the file, a cure and no secret", d, tt.code, place, tt.want)
			}
			// The start says the same.
			_, _, err := s.Pair(PairOptions{Role: "primary"})
			if len(s.Routers) > 0 {
				c := s.Routers[0].Config
				if err = s.Routers[0].secrets(&c); err == nil {
					return // it is found when the router is made
				}
			}
			if err == nil || !strings.Contains(err.Error(), d.Message) {
				t.Errorf("a start says %v", err)
			}
		})
	}
	t.Run("nothing is read that is not used", func(t *testing.T) {
		s := setupOf(t, "heartbeat_key_file = /nowhere\n"+services)
		if got := s.CheckKeys(); len(got) > 0 {
			t.Error(got)
		}
		if got := (&Setup{}).CheckKeys(); len(got) > 0 {
			t.Error(got)
		}
	})
	t.Run("what the user may not read", func(t *testing.T) {
		c := setupOf(t, pair("/etc/lvs/key")).Config
		got := c.CheckKeys(func(*lvscf.VRRP) (string, error) {
			return "be root", fmt.Errorf("key /etc/lvs/key: %w", &fs.PathError{Op: "open", Path: "/etc/lvs/key", Err: fs.ErrPermission})
		})
		var codes []lvscf.Code
		for _, d := range got {
			codes = append(codes, d.Code)
		}
		if diff := cmp.Diff([]lvscf.Code{"LVS178"}, codes); diff != "" || got.HasErrors() {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	if _, err := readSecret("key", "", 1, "make one"); err == nil || errors.Is(err, fs.ErrNotExist) || err.Error() != "no file of the key is named: make one" {
		t.Errorf("no name: %v", err)
	}
}
