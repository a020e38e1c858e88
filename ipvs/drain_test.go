package ipvs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestIsDrained(t *testing.T) {
	tcp, udp, sctp := TCPService(ap("192.0.2.1:80")), UDPService(ap("192.0.2.1:53")), SCTPService(ap("192.0.2.1:80"))
	mark, mark6 := MarkService(1), MarkService6(1)
	state := func(active, inactive, persistent uint32) DestinationState {
		return DestinationState{Active: active, Inactive: inactive, Persistent: persistent}
	}
	tests := []struct {
		name  string
		of    []ServiceKey
		state DestinationState
		want  bool
	}{
		{"nothing is left", []ServiceKey{tcp, udp, sctp, mark, mark6}, state(0, 0, 0), true},
		{"an established connection", []ServiceKey{tcp, udp, sctp, mark, mark6}, state(1, 0, 0), false},
		{"closing connections of a protocol that has states", []ServiceKey{tcp, sctp}, state(0, 7, 0), true},
		{"inactive is all that others ever are", []ServiceKey{udp, mark, mark6}, state(0, 1, 0), false},
		{"a template keeps sending clients", []ServiceKey{tcp, udp, sctp, mark, mark6}, state(0, 0, 1), false},
	}
	for _, tt := range tests {
		for _, of := range tt.of {
			t.Run(tt.name+" of "+of.String(), func(t *testing.T) {
				if got := isDrained(of, &tt.state); got != tt.want {
					t.Errorf("drained: %v, want %v", got, tt.want)
				}
			})
		}
	}
}

func TestDrainingTable(t *testing.T) {
	d := func(a string, weight int) Destination { return Destination{Key: ap(a), Weight: weight} }
	tests := []struct {
		name             string
		have, want, goal []Destination
	}{
		{name: "nothing leaves", have: []Destination{d("10.0.0.1:80", 1)}, want: []Destination{d("10.0.0.1:80", 2)}, goal: []Destination{d("10.0.0.1:80", 2)}},
		{name: "equal in another order", have: []Destination{d("10.0.0.1:80", 1), d("10.0.0.2:80", 1)}, want: []Destination{d("10.0.0.2:80", 1), d("10.0.0.1:80", 1)}, goal: []Destination{d("10.0.0.2:80", 1), d("10.0.0.1:80", 1)}},
		{name: "one leaves", have: []Destination{d("10.0.0.1:80", 1), d("10.0.0.2:80", 3)}, want: []Destination{d("10.0.0.1:80", 1)}, goal: []Destination{d("10.0.0.1:80", 1), d("10.0.0.2:80", 0)}},
		{name: "all leave", have: []Destination{d("10.0.0.1:80", 1), d("10.0.0.2:80", 3)}, goal: []Destination{d("10.0.0.1:80", 0), d("10.0.0.2:80", 0)}},
		{
			name: "what leaves stays as it is but for the weight",
			have: []Destination{{Key: ap("10.0.0.1:80"), Weight: 4, Forward: Tunnel, Tunnel: TunnelOptions{Type: GRE}, UpperThreshold: 9}},
			goal: []Destination{{Key: ap("10.0.0.1:80"), Forward: Tunnel, Tunnel: TunnelOptions{Type: GRE}, UpperThreshold: 9}},
		},
		{name: "a mapped address is the plain one", have: []Destination{d("10.0.0.1:80", 1)}, want: []Destination{d("[::ffff:10.0.0.1]:80", 1)}, goal: []Destination{d("[::ffff:10.0.0.1]:80", 1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			service := Service{Key: MarkService(1)}
			got := withDraining(Entry{Service: service, Destinations: tt.want}, leavingDestinations(tt.have, tt.want))
			if diff := cmp.Diff(Entry{Service: service, Destinations: tt.goal}, got, equate, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the draining table (-want +got):\n%s", diff)
			}
		})
	}
}
