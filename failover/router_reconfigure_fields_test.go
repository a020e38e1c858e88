package failover

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// Whoever gives RouterConfig a field has to say here what Reconfigure does with
// it, and this says whether it is so. What changes has to reach the place where
// it is used, and a beat process.
func TestReconfigureKnowsEveryField(t *testing.T) {
	key, other := vrrp.Key{ID: 1, Secret: []byte(strings.Repeat("k", vrrp.MinKey))}, vrrp.Key{ID: 2, Secret: []byte(strings.Repeat("o", vrrp.MinKey))}
	believes := func(r *Router, key vrrp.Key, age time.Duration) bool {
		now, from := time.Now(), r.cfg.Peers[0]
		signer, err := vrrp.NewKeys(0, key)
		b := signer.Sign(make([]byte, 16), from, now.Add(-age))
		return err == nil && r.keys.Open(b[:16], b[16:], from, now, 1) == nil
	}
	config := func() *RouterConfig {
		return &RouterConfig{
			VRID: 51, Device: "eth0", Version: 2, Interval: time.Second, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.100")},
			Peers: []netip.Addr{netip.MustParseAddr("192.0.2.2")}, Keys: []vrrp.Key{key},
		}
	}
	machine := func(p func(vrrp.Params) vrrp.Params) func(r *Router) bool {
		// A machine does not tell its parameters; the same ones change nothing.
		return func(r *Router) bool {
			want, _ := r.machine.Step(vrrp.Event{Kind: vrrp.EventParams, Params: new(p(r.cfg.params()))}, 0)
			return want == r.machine
		}
	}
	type row struct {
		change func(c *RouterConfig)
		// What the change is: refused with these words, kept from the router's
		// use, or, where took reports it, taken.
		refused string
		kept    bool
		took    func(r *Router) bool
	}
	rows := map[string]row{
		"VRID":       {change: func(c *RouterConfig) { c.VRID = 52 }, refused: "VRID 52"},
		"Device":     {change: func(c *RouterConfig) { c.Device = "eth1" }, refused: "device eth1"},
		"Version":    {change: func(c *RouterConfig) { c.Version = 3 }, refused: "version 3"},
		"Source":     {change: func(c *RouterConfig) { c.Source = netip.MustParseAddr("192.0.2.9") }, refused: "source 192.0.2.9"},
		"VirtualMAC": {change: func(c *RouterConfig) { c.VirtualMAC = true }, refused: "virtual MAC true"},
		"NoAccept":   {change: func(c *RouterConfig) { c.NoAccept = true }, refused: "refusal to accept true"},
		"Addresses": {
			change: func(c *RouterConfig) { c.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.101")} },
			took:   func(r *Router) bool { return r.own.Addrs[0] == netip.MustParseAddr("192.0.2.101") },
		},
		"Priority": {
			change: func(c *RouterConfig) { c.Priority = 77 },
			took:   func(r *Router) bool { return r.machine.Priority() == 77 },
		},
		"Interval": {
			change: func(c *RouterConfig) { c.Interval = 2 * time.Second },
			took:   func(r *Router) bool { return r.own.Interval == 2*time.Second && r.machine.Interval() == 2*time.Second },
		},
		"DownAdverts": {
			change: func(c *RouterConfig) { c.DownAdverts = 9 },
			took:   func(r *Router) bool { return r.machine.DownInterval() == 9*time.Second+r.machine.Skew() },
		},
		"NoPreempt": {
			change: func(c *RouterConfig) { c.NoPreempt = true },
			took:   machine(func(p vrrp.Params) vrrp.Params { p.NoPreempt = true; return p }),
		},
		"PreemptDelay": {
			change: func(c *RouterConfig) { c.PreemptDelay = time.Minute },
			took:   machine(func(p vrrp.Params) vrrp.Params { p.PreemptDelay = time.Minute; return p }),
		},
		"Peers": {
			change: func(c *RouterConfig) { c.Peers = []netip.Addr{netip.MustParseAddr("192.0.2.3")} },
			took:   func(r *Router) bool { return r.cfg.Peers[0] == netip.MustParseAddr("192.0.2.3") },
		},
		"Password": {
			change: func(c *RouterConfig) { c.Password = "other" },
			took:   func(r *Router) bool { return r.own.Password == "other" },
		},
		"Keys": {
			change: func(c *RouterConfig) { c.Keys = []vrrp.Key{other} },
			took:   func(r *Router) bool { return believes(r, other, 0) },
		},
		"KeyWindow": {
			change: func(c *RouterConfig) { c.KeyWindow = time.Hour },
			took:   func(r *Router) bool { return believes(r, key, 50*time.Minute) },
		},
		"Checksum": {
			change: func(c *RouterConfig) { c.Checksum = vrrp.MessageOnly },
			took:   func(r *Router) bool { return r.formOf(r.cfg.Peers[0]) == vrrp.MessageOnly },
		},
		"Owner":     {change: func(c *RouterConfig) { c.Owner = struct{ NoAddresses }{} }, kept: true},
		"OnRole":    {change: func(c *RouterConfig) { c.OnRole = func(context.Context, Role) error { return nil } }, kept: true},
		"OnEvent":   {change: func(c *RouterConfig) { c.OnEvent = func(Event) {} }, kept: true},
		"Transport": {change: func(c *RouterConfig) { c.Transport = RawIP{Namespace: "/run/netns/other"} }, kept: true},
		"Logger":    {change: func(c *RouterConfig) { c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil)) }, kept: true},
		"Beat":      {change: func(c *RouterConfig) { c.Beat = new(Beat) }, kept: true},
	}
	of := func(c *RouterConfig, field string) any {
		return reflect.ValueOf(c).Elem().FieldByName(field).Interface()
	}
	same := func(a, b any) bool {
		if v := reflect.ValueOf(a); v.Kind() == reflect.Func { // which compare with nil only
			return v.IsNil() == reflect.ValueOf(b).IsNil()
		}
		return reflect.DeepEqual(a, b)
	}
	for f := range reflect.TypeFor[RouterConfig]().Fields() {
		t.Run(f.Name, func(t *testing.T) {
			row, known := rows[f.Name]
			if !known {
				t.Fatal("nobody said what Reconfigure does with it")
			}
			r, err := NewRouter(config())
			if err != nil {
				t.Fatal(err)
			}
			old := *r.cfg
			c := config()
			row.change(c)
			if same(of(c, f.Name), of(config(), f.Name)) {
				t.Fatal("the change is none")
			}
			if row.took != nil && row.took(r) {
				t.Fatal("it is so before the change")
			}
			can := r.CanReconfigure(c)
			if !same(of(r.cfg, f.Name), of(&old, f.Name)) {
				t.Error("to ask whether it can be changed it")
			}
			err = r.Reconfigure(t.Context(), c)
			if fmt.Sprint(can) != fmt.Sprint(err) {
				t.Errorf("CanReconfigure: %v, Reconfigure: %v", can, err)
			}
			switch now := of(r.cfg, f.Name); {
			case row.refused != "":
				if err == nil || !strings.Contains(err.Error(), row.refused) || strings.Contains(err.Error(), "\n") || !same(now, of(&old, f.Name)) {
					t.Errorf("want %q refused alone: %v, %v", row.refused, err, now)
				}
			case err != nil:
				t.Error(err)
			case row.kept:
				if !same(now, of(&old, f.Name)) {
					t.Errorf("it became %v", now)
				}
			case !same(now, of(c, f.Name)) || !row.took(r):
				t.Errorf("it is %v, and not in use", now)
			}
			if f.Tag.Get("json") == "-" {
				if !row.kept {
					t.Error("a beat process does not hear of it")
				}
				return
			}
			body, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			var there RouterConfig
			if err := json.Unmarshal(body, &there); err != nil || !same(of(&there, f.Name), of(c, f.Name)) {
				t.Errorf("in a beat process it is %v, %v", of(&there, f.Name), err)
			}
		})
	}
}
