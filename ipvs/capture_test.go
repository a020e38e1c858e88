package ipvs

import (
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// capture is what a kernel answered one request with: netlink messages.
type capture struct {
	name string
	data []byte
}

// What the captures were made of; TestKernelCaptures makes them.
var (
	captureServices = []Service{
		{Key: TCPService(ap("192.0.2.1:80")), Scheduler: "wlc"},
		{Key: UDPService(ap("[2001:db8::1]:53")), Scheduler: "sh", Flags: OnePacket | SHPort | SHFallback, Persistence: 300 * time.Second, PersistencePrefix: 64},
		{Key: SCTPService(ap("192.0.2.1:0")), Scheduler: "none", Flags: 0x400},
		{Key: UDPService(ap("192.0.2.1:5060")), Scheduler: "rr", Flags: OnePacket, Persistence: time.Hour, PersistencePrefix: 24, Engine: "sip"},
		{Key: MarkService(7), Scheduler: "mh"},
		{Key: MarkService6(1<<32 - 1), Scheduler: "wrr", Persistence: MaxPersistence},
	}
	captureDaemons = []SyncDaemon{
		{Role: SyncMaster, Interface: "sync0", SyncID: 255, MaxLength: 1000, Group: netip.MustParseAddr("239.1.2.3"), Port: 9999, TTL: 3},
		{Role: SyncBackup, Interface: "lo", MaxLength: 1024, Group: netip.MustParseAddr("ff05::8"), Port: 8848, TTL: 1},
	}
	captureTimeouts = Timeouts{TCP: 1000 * time.Second, TCPFin: 100 * time.Second, UDP: 10 * time.Second}
)

// captureFull are the services that have the destinations.
var captureFull = []ServiceKey{captureServices[0].Key, captureServices[1].Key, captureServices[4].Key}

// captureConnections is the number of connections of the captured counters.
const captureConnections = 3

// captureDestinations are one of each kind, in the order in which a kernel
// lists them.
func captureDestinations(of ServiceKey) []Destination {
	at := func(n byte) netip.AddrPort {
		ip := netip.AddrFrom4([4]byte{10, 0, 0, n})
		if of.Is6() {
			ip = netip.AddrFrom16([16]byte{0xfd, 15: n})
		}
		return netip.AddrPortFrom(ip, 8000+uint16(n))
	}
	other := ap("[fd00::99]:80")
	if of.Is6() {
		other = ap("10.0.0.99:80")
	}
	return []Destination{
		{Key: at(1), Forward: Masquerade, Weight: 1},
		{Key: at(2), Forward: Local, Weight: 0},
		{Key: at(3), Forward: Tunnel, Weight: 65536},
		{Key: at(4), Forward: Tunnel, Weight: 2, Tunnel: TunnelOptions{Type: GUE, Port: 6080, Flags: 2}},
		{Key: at(5), Forward: Tunnel, Weight: 3, Tunnel: TunnelOptions{Type: GRE, Flags: 1}},
		{Key: at(6), Forward: DirectRoute, Weight: MaxWeight},
		{Key: at(7), Forward: Bypass, Weight: 4, UpperThreshold: 100, LowerThreshold: 50},
		{Key: at(8), Forward: Masquerade, Weight: 5, UpperThreshold: MaxThreshold},
		{Key: other, Forward: Tunnel, Weight: 6, Tunnel: TunnelOptions{Type: GUE, Port: 1}},
	}
}

// readCaptures returns the captures of the files in testdata, by file.
func readCaptures(t testing.TB) map[string][]capture {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "captures", "*.txt"))
	if err != nil || len(files) < 2 {
		t.Fatalf("files of captures: %v, %v", files, err)
	}
	all := map[string][]capture{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			name, data, ok := strings.Cut(strings.TrimSpace(line), " = ")
			if !ok {
				continue // a comment
			}
			b, err := hex.DecodeString(data)
			if err != nil {
				t.Fatalf("%s: %s: %v", file, name, err)
			}
			all[filepath.Base(file)] = append(all[filepath.Base(file)], capture{name, b})
		}
	}
	return all
}

func TestCapturesDecode(t *testing.T) {
	littleEndianOnly(t)
	for file, list := range readCaptures(t) {
		t.Run(file, func(t *testing.T) {
			for _, c := range list {
				t.Run(c.name, func(t *testing.T) { checkCapture(t, c) })
			}
			if want := len(captureServices) + len(captureFull) + 11; len(list) != want {
				t.Errorf("%d captures, want %d", len(list), want)
			}
		})
	}
}

// checkCapture decodes a capture and compares with what it was made of.
func checkCapture(t *testing.T, c capture) {
	t.Helper()
	var data, control []message
	for rest := c.data; len(rest) > 0; {
		var m message
		var err error
		if m, rest, err = nextMessage(rest); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if m.typ == nlError || m.typ == nlDone {
			control = append(control, m)
		} else {
			data = append(data, m)
		}
	}
	// decode calls f with the values of one attribute of the data messages.
	decode := func(attr uint16, f func([]byte) error) {
		t.Helper()
		for i := range data {
			v, err := data[i].find(attr)
			if err == nil {
				err = f(v)
			}
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	compare := func(want, got any) {
		t.Helper()
		if d := cmp.Diff(want, got, equate, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, d)
		}
	}
	ends := func(typ uint16, errno syscall.Errno, size int) {
		t.Helper()
		if len(control) != 1 {
			t.Fatalf("%s: %d messages of control, want one", c.name, len(control))
		}
		code, err := control[0].errno()
		if err != nil || control[0].typ != typ || syscall.Errno(-code) != errno || len(control[0].body) != size {
			t.Errorf("%s: type %d, code %d, %d bytes, %v; want %d, %d, %d", c.name, control[0].typ, code, len(control[0].body), err, typ, -int(errno), size)
		}
	}
	var services []ServiceState
	service := func(v []byte) error {
		services = append(services, ServiceState{})
		return decodeService(v, &services[len(services)-1])
	}
	var destinations []DestinationState
	var of ServiceKey
	destination := func(v []byte) error {
		destinations = append(destinations, DestinationState{})
		return decodeDestination(v, of.Is6(), &destinations[len(destinations)-1])
	}

	kind, rest, _ := strings.Cut(c.name, " ")
	switch kind {
	case "service":
		decode(attrService, service)
		i := slices.IndexFunc(captureServices, func(s Service) bool { return s.Key.String() == rest })
		compare([]ServiceState{{Service: captureServices[i]}}, services)
	case "services":
		decode(attrService, service)
		byKey := func(a, b ServiceState) int { return a.Key.Compare(b.Key) }
		var want []ServiceState
		for _, s := range captureServices {
			want = append(want, ServiceState{Service: s})
		}
		slices.SortFunc(want, byKey)
		slices.SortFunc(services, byKey)
		compare(want, services)
		ends(nlDone, 0, 4)
	case "destinations":
		if err := of.UnmarshalText([]byte(rest)); err != nil {
			t.Fatal(err)
		}
		decode(attrDest, destination)
		var want []DestinationState
		for _, d := range captureDestinations(of) {
			want = append(want, DestinationState{Destination: d})
		}
		compare(want, destinations)
		ends(nlDone, 0, 4)
	case "counters": // of a service, and of its destination
		if rest == "service" {
			decode(attrService, service)
			if len(services) != 1 || services[0].Stats.Connections != captureConnections || services[0].Stats.InBytes <= services[0].Stats.InPackets || services[0].Stats.OutPackets == 0 {
				t.Errorf("%s: %+v", c.name, services)
			}
		} else {
			decode(attrDest, destination)
			if len(destinations) != 1 || destinations[0].Stats.Connections != captureConnections || destinations[0].Active != captureConnections || destinations[0].Stats.OutBytes == 0 {
				t.Errorf("%s: %+v", c.name, destinations)
			}
		}
	case "daemons", "no":
		var got []SyncDaemon
		decode(attrDaemon, func(v []byte) error {
			got = append(got, SyncDaemon{})
			return decodeSyncDaemon(v, &got[len(got)-1])
		})
		want := captureDaemons
		if kind == "no" {
			want = nil
		}
		compare(want, got)
		ends(nlDone, 0, 4)
	case "config":
		got, err := decodeTimeouts(&data[0])
		if err != nil {
			t.Error(err)
		}
		compare(captureTimeouts, got)
	case "info":
		got, err := decodeInfo(&data[0])
		if err != nil {
			t.Error(err)
		}
		compare(Info{Version: 0x010201, ConnTableSize: 4096}, got)
	case "family":
		decode(ctrlAttrFamilyID, func(v []byte) error {
			a := attributes{}
			if id := a.uint16(v); id < 16 || a.err != nil {
				t.Errorf("%s: number %d, %v", c.name, id, a.err)
			}
			return nil
		})
		decode(ctrlAttrFamilyNam, func(v []byte) error { compare(familyName, decodeName(v)); return nil })
	case "ack":
		ends(nlError, 0, 4+nlHeaderLen) // the header of the request comes along
	case "error": // with and without the request
		size := 4 + nlHeaderLen
		if rest != "" {
			size += genlHeaderLen + len(appendKeyNest(nil, captureServices[0].Key))
		}
		ends(nlError, syscall.ESRCH, size)
	default:
		t.Errorf("%s: unknown", c.name)
	}
}

// capturedNests are the values of one attribute in all captures of a kind.
func capturedNests(t testing.TB, kind string, attr uint16) (nests [][]byte) {
	t.Helper()
	for _, list := range readCaptures(t) {
		for _, c := range list {
			if !strings.Contains(c.name, kind) {
				continue
			}
			for rest := c.data; len(rest) > 0; {
				var m message
				var err error
				if m, rest, err = nextMessage(rest); err != nil {
					t.Fatal(err)
				}
				if v, err := m.find(attr); err == nil {
					nests = append(nests, v)
				}
			}
		}
	}
	if len(nests) == 0 {
		t.Fatalf("no capture of %q holds attribute %d", kind, attr)
	}
	return nests
}
