package ipvs

import (
	"encoding"
	"encoding/json"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestText(t *testing.T) {
	tests := []struct {
		value encoding.TextMarshaler
		into  encoding.TextUnmarshaler
		want  string
	}{
		{Masquerade, new(ForwardMethod), "masquerade"},
		{DirectRoute, new(ForwardMethod), "direct"},
		{Tunnel, new(ForwardMethod), "tunnel"},
		{Local, new(ForwardMethod), "local"},
		{Bypass, new(ForwardMethod), "bypass"},
		{ForwardMethod(7), new(ForwardMethod), "7"},
		{IPIP, new(TunnelType), "ipip"},
		{GUE, new(TunnelType), "gue"},
		{GRE, new(TunnelType), "gre"},
		{TunnelType(9), new(TunnelType), "9"},
		{ServiceFlags(0), new(ServiceFlags), ""},
		{OnePacket | Sched1 | Sched2 | Sched3, new(ServiceFlags), "one-packet,flag-1,flag-2,flag-3"},
		{OnePacket | 0x140, new(ServiceFlags), "one-packet,0x140"},
		{OpSetDestination, new(Op), "set destination"},
		{OpDeleteEverything, new(Op), "delete everything"},
		{Op(99), new(Op), "99"},
		{Version(0x010201), new(Version), "1.2.1"},
		{SCTP, new(Protocol), "sctp"},
	}
	for _, test := range tests {
		text, err := test.value.MarshalText()
		if err != nil || string(text) != test.want {
			t.Errorf("%#v writes %q, %v; want %q", test.value, text, err, test.want)
		}
		if err := test.into.UnmarshalText(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		again, _ := test.into.(encoding.TextMarshaler).MarshalText()
		if string(again) != test.want {
			t.Errorf("%q reads as %q", text, again)
		}
	}
	for _, into := range []encoding.TextUnmarshaler{new(ForwardMethod), new(TunnelType), new(ServiceFlags), new(Op), new(Version), new(Protocol)} {
		if err := into.UnmarshalText([]byte("nonsense")); err == nil || !strings.Contains(err.Error(), `"nonsense"`) {
			t.Errorf("%T: error %v, want one that quotes the text", into, err)
		}
	}
	var f ServiceFlags
	if err := f.UnmarshalText([]byte("ops, sh-fallback,mh-port,0x40")); err != nil || f != OnePacket|Sched1|Sched2|0x40 {
		t.Errorf("ipvsadm's names read as %v, %v", f, err)
	}
}

func TestJSONOfTimesThatFitNoDuration(t *testing.T) {
	var s Service
	// Times 10^9 it wraps around to a third of a second.
	if err := json.Unmarshal([]byte(`{"key": "tcp/192.0.2.1:80", "persistence_seconds": 18446744074}`), &s); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("persistence %v passes: %v", s.Persistence, err)
	}
	var timeouts Timeouts
	if err := json.Unmarshal([]byte(`{"udp_seconds": 18446744074}`), &timeouts); err != nil {
		t.Fatal(err)
	}
	if err := timeouts.Validate(); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("time-outs %+v pass: %v", timeouts, err)
	}
}

func TestJSON(t *testing.T) {
	snap := Snapshot{{
		Service: ServiceState{
			Service: Service{Key: TCPService(ap("192.0.2.1:80")), Scheduler: "sh", Flags: SHPort, Persistence: 300 * time.Second, PersistencePrefix: 24},
			Stats:   Stats{Connections: 1 << 40},
		},
		Destinations: []DestinationState{{
			Destination: Destination{Key: ap("10.0.0.1:80"), Forward: Tunnel, Weight: 1, Tunnel: TunnelOptions{Type: GUE, Port: 6080}},
			Active:      3,
		}},
	}}
	got, err := json.Marshal(snap)
	if err != nil {
		t.Fatal(err)
	}
	const zeros = `"in_packets":0,"out_packets":0,"in_bytes":0,"out_bytes":0,"connections_per_second":0,"in_packets_per_second":0,"out_packets_per_second":0,"in_bytes_per_second":0,"out_bytes_per_second":0}`
	want := `[{"service":{"key":"tcp/192.0.2.1:80","scheduler":"sh","flags":"flag-2","persistence_seconds":300,"persistence_prefix":24,"stats":{"connections":1099511627776,` + zeros + `},` +
		`"destinations":[{"key":"10.0.0.1:80","forward":"tunnel","weight":1,"tunnel":{"type":"gue","port":6080},"active":3,"inactive":0,"persistent":0,"stats":{"connections":0,` + zeros + `}]}]`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("JSON (-want +got)\n%s", d)
	}
	var again Snapshot
	if err := json.Unmarshal(got, &again); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(snap, again, equate); d != "" {
		t.Errorf("read again (-want +got)\n%s", d)
	}
	changes := Diff(nil, snap.Table(), nil)
	b, err := json.Marshal(changes)
	if err != nil {
		t.Fatal(err)
	}
	var read []Change
	if err := json.Unmarshal(b, &read); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(changes, read, equate); d != "" {
		t.Errorf("changes read again (-want +got)\n%s", d)
	}
	timeouts := Timeouts{TCP: 900 * time.Second, TCPFin: 1500 * time.Millisecond}
	b, _ = json.Marshal(timeouts)
	if string(b) != `{"tcp_seconds":900,"tcp_fin_seconds":2,"udp_seconds":0}` {
		t.Errorf("timeouts: %s", b)
	}
	if err := json.Unmarshal(b, &timeouts); err != nil || timeouts != (Timeouts{TCP: 900 * time.Second, TCPFin: 2 * time.Second}) {
		t.Errorf("timeouts read as %+v, %v", timeouts, err)
	}
}

func TestChangeString(t *testing.T) {
	s := Service{Key: TCPService(ap("192.0.2.1:80"))}
	d := Destination{Key: ap("10.0.0.1:80"), Weight: 1}
	rich := Service{Key: s.Key, Scheduler: "sh", Flags: SHPort | OnePacket, Persistence: 300 * time.Second, PersistencePrefix: 24, Engine: "sip"}
	tunnel := Destination{Key: d.Key, Forward: Tunnel, Weight: 0, UpperThreshold: 9, LowerThreshold: 3, Tunnel: TunnelOptions{Type: GUE, Port: 6080, Flags: 1}}
	drained := d
	drained.Weight = 0
	tests := []struct {
		change Change
		want   string
	}{
		{Change{Op: OpAddService, Service: s}, "add service tcp/192.0.2.1:80: scheduler wlc"},
		{Change{Op: OpAddService, Service: rich}, "add service tcp/192.0.2.1:80: scheduler sh, flags one-packet,flag-2, persistence 5m0s, persistence prefix /24, engine sip"},
		{Change{Op: OpSetService, Service: rich, OldService: &s}, "set service tcp/192.0.2.1:80: scheduler wlc -> sh, flags none -> one-packet,flag-2, persistence 0s -> 5m0s, persistence prefix none -> /24, engine none -> sip"},
		{Change{Op: OpSetService, Service: s}, "set service tcp/192.0.2.1:80: scheduler wlc"},
		{Change{Op: OpDelService, Service: s}, "delete service tcp/192.0.2.1:80"},
		{Change{Op: OpAddDestination, Service: s, Destination: tunnel}, "add destination 10.0.0.1:80 of tcp/192.0.2.1:80: tunnel gue port 6080 checksum, weight 0, thresholds 3..9"},
		{Change{Op: OpSetDestination, Service: s, Destination: drained, OldDestination: &d}, "set destination 10.0.0.1:80 of tcp/192.0.2.1:80: weight 1 -> 0"},
		{Change{Op: OpSetDestination, Service: s, Destination: tunnel, OldDestination: &d}, "set destination 10.0.0.1:80 of tcp/192.0.2.1:80: forward masquerade -> tunnel, tunnel ipip -> gue port 6080 checksum, weight 1 -> 0, upper threshold 0 -> 9, lower threshold 0 -> 3"},
		{Change{Op: OpSetDestination, Service: s, Destination: d}, "set destination 10.0.0.1:80 of tcp/192.0.2.1:80: masquerade, weight 1"},
		{Change{Op: OpDelDestination, Service: s, Destination: d}, "delete destination 10.0.0.1:80 of tcp/192.0.2.1:80"},
	}
	for _, test := range tests {
		if got := test.change.String(); got != test.want {
			t.Errorf("text\n got %s\nwant %s", got, test.want)
		}
	}
}

func TestNormalized(t *testing.T) {
	s := Service{Key: ServiceKey{Protocol: TCP, Addr: ap("[::ffff:192.0.2.1]:80")}, Persistence: 100 * time.Millisecond, PersistencePrefix: 32}
	want := Service{Key: TCPService(ap("192.0.2.1:80")), Scheduler: "wlc", Persistence: time.Second}
	if got := s.Normalized(); got != want {
		t.Errorf("service %+v, want %+v", got, want)
	}
	d := Destination{Key: ap("[::ffff:10.0.0.1]:80"), Tunnel: TunnelOptions{Type: GUE}}
	if got := d.Normalized(); got != (Destination{Key: ap("10.0.0.1:80")}) {
		t.Errorf("destination %+v", got)
	}
}
