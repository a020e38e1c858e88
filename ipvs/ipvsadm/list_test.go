package ipvsadm

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
)

var info = ipvs.Info{Version: 0x010201, ConnTableSize: 4096}

// observed is a snapshot with numbers in it.
func observed() ipvs.Snapshot {
	return ipvs.Snapshot{
		{
			Service: ipvs.ServiceState{
				Service: ipvs.Service{Key: ipvs.TCPService(ap("192.168.0.1:80")), Scheduler: "sh", Flags: ipvs.SHPort, Persistence: time.Minute, PersistencePrefix: 24, Engine: "sip"},
				Stats:   ipvs.Stats{Connections: 99999999, InPackets: 100000000, OutPackets: 999999999, InBytes: 1000000000, OutBytes: 99999999999, CPS: 1, InPPS: 100000000000, OutPPS: 99999999999999, InBPS: 100000000000000, OutBPS: 1<<64 - 1},
			},
			Destinations: []ipvs.DestinationState{
				{Destination: ipvs.Destination{Key: ap("10.0.0.2:80"), Forward: ipvs.Tunnel, Weight: 5, Tunnel: ipvs.TunnelOptions{Type: ipvs.GUE, Port: 6080, Flags: 1}}, Active: 7, Inactive: 8, Persistent: 9},
				{Destination: ipvs.Destination{Key: ap("10.0.0.1:80"), Weight: ipvs.MaxWeight, UpperThreshold: 4, LowerThreshold: 3}},
			},
		},
		{Service: ipvs.ServiceState{Service: ipvs.Service{Key: ipvs.MarkService6(3000000000), Scheduler: "rr", Flags: ipvs.OnePacket}}},
		{Service: ipvs.ServiceState{Service: ipvs.Service{Key: ipvs.SCTPService(ap("10.0.0.1:80")), Scheduler: "rr"}}},
		{Service: ipvs.ServiceState{Service: ipvs.Service{Key: ipvs.UDPService(ap("10.0.0.1:80")), Scheduler: "rr"}}},
	}
}

func TestWriteList(t *testing.T) {
	const header = "IP Virtual Server version 1.2.1 (size=4096)\n"
	const plain = "Prot LocalAddress:Port Scheduler Flags\n"
	web := ipvs.TCPService(ap("192.168.0.1:80"))
	tests := map[string]struct {
		o    ListOptions
		want string
	}{
		"plain": {ListOptions{}, header + plain +
			"  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n" +
			"FWM  -1294967296 IPv6 rr ops\n" +
			"TCP  192.168.0.1:80 sh (sh-port) persistent 60 mask 255.255.255.0 pe sip\n" +
			"  -> 10.0.0.1:80                  Masq    2147483647 0          0         \n" +
			"  -> 10.0.0.2:80                  Tunnel  5      7          8         \n" +
			"UDP  10.0.0.1:80 rr\n" +
			"SCTP 10.0.0.1:80 rr\n"},
		"one service as it is": {ListOptions{Service: web, NoSort: true, TunInfo: true}, plain +
			"  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n" +
			"TCP  192.168.0.1:80 sh (sh-port) persistent 60 mask 255.255.255.0 pe sip\n" +
			"  -> 10.0.0.2:80                  Tunnel  gue:6080:+c   5      7          8         \n" +
			"  -> 10.0.0.1:80                  Masq    n/a           2147483647 0          0         \n"},
		"counters": {ListOptions{Service: web, Stats: true, Rate: true}, "" +
			"Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n" +
			"  -> RemoteAddress:Port\n" +
			"TCP  192.168.0.1:80               99999999  100000K  999999K    1000M   99999M\n" +
			"  -> 10.0.0.1:80                         0        0        0        0        0\n" +
			"  -> 10.0.0.2:80                         0        0        0        0        0\n"},
		"rates": {ListOptions{Service: web, Rate: true, Thresholds: true}, "" +
			"Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n" +
			"  -> RemoteAddress:Port\n" +
			"TCP  192.168.0.1:80                      1     100G   99999G     100T18446744T\n" +
			"  -> 10.0.0.1:80                         0        0        0        0        0\n" +
			"  -> 10.0.0.2:80                         0        0        0        0        0\n"},
		"exact": {ListOptions{Service: web, Stats: true, Exact: true}, "" +
			"Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n" +
			"  -> RemoteAddress:Port\n" +
			"TCP  192.168.0.1:80               99999999 100000000 999999999 1000000000 99999999999\n" +
			"  -> 10.0.0.1:80                         0        0        0        0        0\n" +
			"  -> 10.0.0.2:80                         0        0        0        0        0\n"},
		"thresholds": {ListOptions{Service: web, Thresholds: true, PersistentConn: true}, "" +
			"Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n" +
			"  -> RemoteAddress:Port\n" +
			"TCP  192.168.0.1:80 sh (sh-port) persistent 60 mask 255.255.255.0 pe sip\n" +
			"  -> 10.0.0.1:80                  4          3          0          0         \n" +
			"  -> 10.0.0.2:80                  0          0          7          8         \n"},
		"persistent connections": {ListOptions{Service: web, PersistentConn: true, TunInfo: true}, "" +
			"Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n" +
			"  -> RemoteAddress:Port\n" +
			"TCP  192.168.0.1:80 sh (sh-port) persistent 60 mask 255.255.255.0 pe sip\n" +
			"  -> 10.0.0.1:80                  2147483647 0           0          0         \n" +
			"  -> 10.0.0.2:80                  5         9           7          8         \n"},
	}
	for name, tt := range tests {
		var got bytes.Buffer
		if err := WriteList(&got, tt.o, observed(), info); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(strings.Split(tt.want, "\n"), strings.Split(got.String(), "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	var got bytes.Buffer
	err := WriteList(&got, ListOptions{Service: ipvs.MarkService(9)}, observed(), info)
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, ipvs.ErrServiceNotFound) || got.Len() != 0 {
		t.Errorf("a service that is not there: %v %q", err, got.String())
	}
}

// failing is a writer that fails at once.
type failing struct{ calls int }

func (f *failing) Write([]byte) (int, error) {
	f.calls++
	return 0, fs.ErrClosed
}

func TestWriteListStopsAtAnError(t *testing.T) {
	snap := observed()
	for range 14 {
		snap = append(snap, snap...)
	}
	var w failing
	if err := WriteList(&w, ListOptions{NoSort: true}, snap, info); !errors.Is(err, fs.ErrClosed) || w.calls != 1 {
		t.Errorf("%v after %d writes", err, w.calls)
	}
}

func TestWriteTimeoutsAndDaemons(t *testing.T) {
	var got bytes.Buffer
	if err := WriteTimeouts(&got, ipvs.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	if err := WriteDaemons(&got, []ipvs.SyncDaemon{
		{Role: ipvs.SyncBackup, Interface: "eth1", SyncID: 5, MaxLength: 2000, Group: ap("[ff02::81]:1").Addr(), Port: 9000, TTL: 9},
		{Role: ipvs.SyncMaster, Interface: "eth0", MaxLength: 1472, Port: 8848, TTL: 1},
	}); err != nil {
		t.Fatal(err)
	}
	want := `Timeout (tcp tcpfin udp): 900 120 300
master sync daemon (mcast=eth0, syncid=0, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)
backup sync daemon (mcast=eth1, syncid=5, maxlen=2000, group=ff02::81, port=9000, ttl=9)
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
