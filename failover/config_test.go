package failover_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/pulse"
)

func TestConfigIsRefusedWithThePlaceAndTheCure(t *testing.T) {
	ap := netip.MustParseAddrPort
	one := func(local, peer string) []failover.Channel {
		return []failover.Channel{{Name: "public", Local: ap(local), Peer: ap(peer)}}
	}
	good := one("192.0.2.1:539", "192.0.2.2:539")
	tests := []struct {
		name string
		cfg  failover.Config
		want []string
	}{
		{"no key", failover.Config{Channels: good}, []string{"the key has 0 bytes"}},
		{"short interval", failover.Config{Interval: time.Microsecond}, []string{"interval 1µs is out of range"}},
		{"long interval", failover.Config{Interval: time.Hour}, []string{"interval 1h0m0s is out of range"}},
		{"dead time under two intervals", failover.Config{Interval: time.Second, DeadAfter: time.Second}, []string{"at least two intervals (2s)"}},
		{"families differ", failover.Config{Key: key, Channels: one("192.0.2.1:539", "[2001:db8::2]:539")}, []string{`channel 1 ("public")`, "different families"}},
		{"partner is ourselves", failover.Config{Key: key, Channels: one("192.0.2.1:539", "192.0.2.1:539")}, []string{"the peer is the other node"}},
		{"no port", failover.Config{Key: key, Channels: one("192.0.2.1:0", "192.0.2.2:539")}, []string{"as 192.0.2.1:539"}},
		{"partner nowhere", failover.Config{Key: key, Channels: one("192.0.2.1:539", "0.0.0.0:539")}, []string{"the partner's own address"}},
		{"same socket twice", failover.Config{Key: key, Channels: append(one("192.0.2.1:539", "192.0.2.2:539"), good...)}, []string{`used by channel "public" already`}},
		{"partner is ourselves in another form", failover.Config{Key: key, Channels: one("192.0.2.1:539", "[::ffff:192.0.2.1]:539")}, []string{"the peer is the other node"}},
		{"partner of another channel", failover.Config{Key: key, Channels: append(one("192.0.2.3:539", "192.0.2.2:539"), good...)}, []string{`peer 192.0.2.2:539 is used by channel "public" already`}},
		{"link-local without a device", failover.Config{Key: key, Channels: one("[fe80::1%eth0]:539", "[fe80::2]:539")}, []string{"peer [fe80::2]:539 is link-local: give the device, too, as [fe80::2%eth0]:539"}},
		{"no addresses in an interface", failover.Config{Owner: (*failover.Addresses)(nil)}, []string{"the owner is a nil or zero *Addresses: make it with NewAddresses"}},
		{"nine channels", failover.Config{Key: key, Channels: make([]failover.Channel, 9)}, []string{"9 channels; at most 8", "no name"}},
		{"two ways to give keys", failover.Config{Key: key, Keys: []pulse.Key{{Secret: key}}, Channels: good}, []string{"both Key and Keys"}},
		{"two keys of one number", failover.Config{Keys: []pulse.Key{{Secret: key}, {Secret: key}}, Channels: good}, []string{"two keys have the id 0"}},
		{"long witness", failover.Config{WitnessTimeout: time.Hour}, []string{"witness time-out 1h0m0s is out of range; use at most the dead time (3s)"}},
		{"all at once", failover.Config{Interval: -1, Channels: good}, []string{"interval", "key"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := failover.New(&tt.cfg)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "witness") && tt.cfg.WitnessTimeout == 0 {
				t.Errorf("%q is of what was not given", err)
			}
			if strings.Contains(err.Error(), string(key)) {
				t.Error("the error shows the key")
			}
		})
	}
}

func TestTextForms(t *testing.T) {
	for r := failover.Role(0); r < 7; r++ {
		var back failover.Role
		if err := back.UnmarshalText([]byte(r.String())); err != nil || back != r {
			t.Errorf("%v gives %v, %v", r, back, err)
		}
	}
	for k := failover.EventKind(0); k < 25; k++ {
		var back failover.EventKind
		if err := back.UnmarshalText([]byte(k.String())); err != nil || back != k {
			t.Errorf("%v gives %v, %v", k, back, err)
		}
	}
	var r failover.Role
	for _, bad := range []string{"", "Active", "role(", "role(7) ", "role(300)", "role(1)x"} {
		if r.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q was read as %v", bad, r)
		}
	}
}
