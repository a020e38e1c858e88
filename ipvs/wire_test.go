package ipvs

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hexBytes reads hexadecimal with spaces.
func hexBytes(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func littleEndianOnly(t testing.TB) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the expected bytes are those of a little-endian machine")
	}
}

func TestAppendChangeBytes(t *testing.T) {
	littleEndianOnly(t)
	tests := []struct {
		name   string
		change Change
		want   string
	}{
		{
			"an IPv4 service with persistence",
			Change{Op: OpAddService, Service: Service{Key: TCPService(ap("192.0.2.1:80")), Scheduler: "rr", Persistence: 300 * time.Second, PersistencePrefix: 24}},
			`68000000 1c00 0100 07000000 00000000 01 01 0000
			5400 0180
			0600 0100 0200 0000
			0600 0200 0600 0000
			1400 0300 c0000201 00000000 00000000 00000000
			0600 0400 0050 0000
			0700 0600 727200 00
			0c00 0700 01000000 fdffffff
			0800 0800 2c010000
			0800 0900 ffffff00`,
		},
		{
			"an IPv6 firewall mark service with an engine",
			Change{Op: OpSetService, Service: Service{Key: MarkService6(7), Flags: OnePacket, Persistence: time.Second, PersistencePrefix: 64, Engine: "sip"}},
			`54000000 1c00 0100 07000000 00000000 02 01 0000
			4000 0180
			0600 0100 0a00 0000
			0800 0500 07000000
			0800 0600 776c6300
			0c00 0700 05000000 fdffffff
			0800 0800 01000000
			0800 0900 40000000
			0800 0b00 73697000`,
		},
		{
			"a destination of the other family in a tunnel",
			Change{Op: OpAddDestination, Service: Service{Key: MarkService(7)}, Destination: Destination{
				Key: ap("[fd00::1]:8080"), Forward: Tunnel, Weight: 70000, UpperThreshold: 2, LowerThreshold: 1,
				Tunnel: TunnelOptions{Type: GUE, Port: 6080, Flags: 1},
			}},
			`88000000 1c00 0100 07000000 00000000 05 01 0000
			1400 0180
			0600 0100 0200 0000
			0800 0500 07000000
			6000 0280
			1400 0100 fd000000 00000000 00000000 00000001
			0600 0200 1f90 0000
			0600 0b00 0a00 0000
			0800 0300 02000000
			0800 0400 70110100
			0800 0500 02000000
			0800 0600 01000000
			0500 0d00 01 000000
			0600 0e00 17c0 0000
			0600 0f00 0100 0000`,
		},
		{
			"the key of a destination",
			Change{Op: OpDelDestination, Service: Service{Key: MarkService(7)}, Destination: Destination{Key: ap("10.0.0.1:80"), Weight: 5}},
			`48000000 1c00 0100 07000000 00000000 07 01 0000
			1400 0180
			0600 0100 0200 0000
			0800 0500 07000000
			2000 0280
			1400 0100 0a000001 00000000 00000000 00000000
			0600 0200 0050 0000`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := appendChange(nil, 0x1c, 7, &test.change)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(hex.Dump(hexBytes(t, test.want)), hex.Dump(got)); d != "" {
				t.Errorf("bytes (-want +got)\n%s", d)
			}
			if len(got) != int(binary.NativeEndian.Uint32(got)) {
				t.Errorf("header says %d bytes, there are %d", binary.NativeEndian.Uint32(got), len(got))
			}
		})
	}
}

func TestAppendChangeRefusesWithoutWriting(t *testing.T) {
	b := []byte("before")
	got, err := appendChange(b, 0x1c, 7, &Change{Op: OpAddService})
	if !errors.Is(err, syscall.EINVAL) {
		t.Errorf("error %v", err)
	}
	if string(got) != "before" {
		t.Errorf("buffer is %q", got)
	}
}

// stats32 and stats64 are the two forms in which the kernel sends counters,
// with the padding that it puts before 64-bit numbers.
const (
	stats32 = `6400 0a00
		0800 0100 01000000 0800 0200 02000000 0800 0300 03000000
		0400 0b00 0c00 0400 0400000000000000
		0400 0b00 0c00 0500 0500000000000000
		0800 0600 06000000 0800 0700 07000000 0800 0800 08000000 0800 0900 09000000 0800 0a00 0a000000`
	stats64 = `2400 0c00
		0c00 0100 0100000001000000
		0400 0b00 0c00 0200 0200000001000000
		0400 6300`
)

// Services that another program may make and no ServiceKey can name.
const (
	oddProtocol = `0600 0100 0200 0000 0600 0200 0006 0000 0800 0300 c0000201`
	oddFamily   = `0600 0100 0300 0000 0800 0500 07000000`
)

func TestDecodeService(t *testing.T) {
	littleEndianOnly(t)
	const address = `0600 0100 0200 0000 0600 0200 0600 0000
		1400 0300 c0000201 00000000 00000000 00000000 0600 0400 0050 0000`
	const rest = `0800 0600 776c6300 0c00 0700 03000000 ffffffff 0800 0800 3c000000`
	base := Service{Key: TCPService(ap("192.0.2.1:80")), Scheduler: "wlc", Persistence: time.Minute}
	with := func(f func(*ServiceState)) ServiceState {
		s := ServiceState{Service: base}
		f(&s)
		return s
	}
	tests := []struct {
		name, bytes string
		want        ServiceState
	}{
		{"full mask", address + rest + `0800 0900 ffffffff`, ServiceState{Service: base}},
		{"prefix", address + rest + `0800 0900 fffff000`, with(func(s *ServiceState) { s.PersistencePrefix = 20 })},
		{"a mask that is no prefix", address + rest + `0800 0900 ff00ff00`, with(func(s *ServiceState) { s.PersistencePrefix = -1 })},
		{"an empty mask", address + rest + `0800 0900 00000000`, with(func(s *ServiceState) { s.PersistencePrefix = -1 })},
		{"32-bit counters only", address + rest + stats32, with(func(s *ServiceState) {
			s.Stats = Stats{Connections: 1, InPackets: 2, OutPackets: 3, InBytes: 4, OutBytes: 5, CPS: 6, InPPS: 7, OutPPS: 8, InBPS: 9, OutBPS: 10}
		})},
		{"both counters", address + rest + stats32 + stats64, with(func(s *ServiceState) { s.Stats = Stats{Connections: 1<<32 + 1, InPackets: 1<<32 + 2} })},
		{"both counters the other way round", address + rest + stats64 + stats32, with(func(s *ServiceState) { s.Stats = Stats{Connections: 1<<32 + 1, InPackets: 1<<32 + 2} })},
		{"unknown attributes and a longer integer", `0500 2a00 01000000` + address + rest + `0c00 0900 ffffffff 00000000`, ServiceState{Service: base}},
		{"mark of IPv6", `0800 0500 07000000 0600 0100 0a00 0000 0800 0900 80000000`, ServiceState{Service: Service{Key: MarkService6(7)}}},
		{"mark of IPv6 with prefix", `0800 0500 07000000 0600 0100 0a00 0000 0800 0900 30000000`, ServiceState{Service: Service{Key: MarkService6(7), PersistencePrefix: 48}}},
		{"persistent without a time", address + `0c00 0700 03000000 ffffffff`, ServiceState{Service: Service{Key: base.Key, Flags: flagPersistent}}},
		{"a time without persistence", address + `0c00 0700 06000000 ffffffff 0800 0800 3c000000`, ServiceState{Service: Service{Key: base.Key, Flags: OnePacket}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got ServiceState
			if err := decodeService(hexBytes(t, test.bytes), &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got, equate); d != "" {
				t.Errorf("service (-want +got)\n%s", d)
			}
		})
	}
	for name, bytes := range map[string]string{
		"no family":           `0800 0500 07000000`,
		"no address":          `0600 0100 0200 0000 0600 0200 0600 0000`,
		"half an address":     `0600 0100 0a00 0000 0800 0300 c0000201`,
		"half a number":       address + `0600 0800 3c00 0000`,
		"attribute past end":  address + `0900 0800 3c000000`,
		"attribute too short": address + `0300 0800 3c000000`,
		"half a counter":      address + `0c00 0c00 0800 0100 01000000`,
		"odd and cut short":   oddProtocol + `0600 0800 3c00 0000`,
		"odd without address": `0600 0100 0200 0000 0600 0200 0006 0000`,
	} {
		t.Run(name, func(t *testing.T) {
			var got ServiceState
			if err := decodeService(hexBytes(t, bytes), &got); !errors.Is(err, errMalformed) {
				t.Errorf("error %v, want %v", err, errMalformed)
			}
		})
	}
	for name, bytes := range map[string]string{
		"an unknown family":     oddFamily,
		"protocol out of range": oddProtocol,
	} {
		t.Run(name, func(t *testing.T) {
			var got ServiceState
			if err := decodeService(hexBytes(t, bytes), &got); !errors.Is(err, errNoKey) || errors.Is(err, errMalformed) {
				t.Errorf("error %v, want %v alone", err, errNoKey)
			}
		})
	}
}

func TestDecodeDestination(t *testing.T) {
	littleEndianOnly(t)
	const address = `1400 0100 0a000001 00000000 00000000 00000000 0600 0200 0050 0000`
	tests := []struct {
		name, bytes string
		is6         bool
		want        DestinationState
	}{
		{
			"counts", address + `0800 0700 01000000 0800 0800 02000000 0800 0900 03000000`,
			false,
			DestinationState{Destination: Destination{Key: ap("10.0.0.1:80")}, Active: 1, Inactive: 2, Persistent: 3},
		},
		{"the family of the destination counts", address + `0600 0b00 0200 0000`, true, DestinationState{Destination: Destination{Key: ap("10.0.0.1:80")}}},
		{
			"no family is the service's", `1400 0100 fd000000 00000000 00000000 00000001 0600 0200 0050 0000 0600 0b00 0000 0000`,
			true,
			DestinationState{Destination: Destination{Key: ap("[fd00::1]:80")}},
		},
		{
			"tunnel", address + `0800 0300 fa000000 0500 0d00 01000000 0600 0e00 17c0 0000 0600 0f00 0200 0000`,
			false,
			DestinationState{Destination: Destination{Key: ap("10.0.0.1:80"), Forward: Tunnel, Tunnel: TunnelOptions{GUE, 6080, 2}}},
		},
		{
			"weight and thresholds", address + `0800 0400 00000100 0800 0500 05000000 0800 0600 04000000`,
			false,
			DestinationState{Destination: Destination{Key: ap("10.0.0.1:80"), Weight: 65536, UpperThreshold: 5, LowerThreshold: 4}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got DestinationState
			if err := decodeDestination(hexBytes(t, test.bytes), test.is6, &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got, equate); d != "" {
				t.Errorf("destination (-want +got)\n%s", d)
			}
		})
	}
	var got DestinationState
	if err := decodeDestination(hexBytes(t, `0600 0200 0050 0000`), false, &got); !errors.Is(err, errMalformed) {
		t.Errorf("without an address: %v", err)
	}
}

func TestNextMessage(t *testing.T) {
	littleEndianOnly(t)
	b := hexBytes(t, `11000000 0200 0000 05000000 00000000 aa000000 10000000 0300 0200 06000000 00000000`)
	m, rest, err := nextMessage(b)
	if err != nil || m.typ != nlError || m.seq != 5 || len(m.body) != 1 {
		t.Errorf("first: %+v, %v", m, err)
	}
	m, rest, err = nextMessage(rest)
	if err != nil || m.typ != nlDone || m.seq != 6 || len(rest) != 0 {
		t.Errorf("second: %+v, %v", m, err)
	}
	for _, s := range []string{``, `10000000`, `0f000000 0200 0000 05000000 00000000`, `11000000 0200 0000 05000000 00000000`, `ffffffff 0200 0000 05000000 00000000`} {
		if _, _, err := nextMessage(hexBytes(t, s)); !errors.Is(err, errMalformed) {
			t.Errorf("%q: error %v", s, err)
		}
	}
}

func sampleChanges() []Change {
	s := Service{Key: TCPService(ap("192.0.2.1:80")), Scheduler: "wrr", Persistence: time.Minute, PersistencePrefix: 24, Engine: "sip"}
	d := Destination{Key: ap("10.0.0.1:80"), Forward: Tunnel, Weight: 5, Tunnel: TunnelOptions{Type: GUE, Port: 1}}
	return []Change{
		{Op: OpAddService, Service: s},
		{Op: OpDelService, Service: s},
		{Op: OpSetDestination, Service: s, Destination: d},
		{Op: OpDelDestination, Service: s, Destination: d},
	}
}

func TestCodecDoesNotAllocate(t *testing.T) {
	changes := sampleChanges()
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		b := buf
		for i := range changes {
			b, _ = appendChange(b, 0x1c, uint32(i), &changes[i])
		}
	}); n != 0 {
		t.Errorf("encoding allocates %v times", n)
	}
	service, destination := encodedSamples(t)
	var s ServiceState
	var d DestinationState
	if n := testing.AllocsPerRun(100, func() {
		m, _, _ := nextMessage(service)
		v, _ := m.find(attrService)
		if err := decodeService(v, &s); err != nil {
			t.Fatal(err)
		}
		m, _, _ = nextMessage(destination)
		v, _ = m.find(attrDest)
		if err := decodeDestination(v, false, &d); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("decoding allocates %v times", n)
	}
}

// encodedSamples returns two messages like those of a listing.
func encodedSamples(t testing.TB) (service, destination []byte) {
	t.Helper()
	c := sampleChanges()
	service, err := appendChange(nil, 0x1c, 1, &c[0])
	if err != nil {
		t.Fatal(err)
	}
	if destination, err = appendChange(nil, 0x1c, 1, &c[2]); err != nil {
		t.Fatal(err)
	}
	return service, destination
}

func BenchmarkAppendChange(b *testing.B) {
	b.ReportAllocs()
	changes := sampleChanges()
	buf := make([]byte, 0, 4096)
	for b.Loop() {
		for i := range changes {
			if _, err := appendChange(buf, 0x1c, 1, &changes[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkDecodeService(b *testing.B) {
	b.ReportAllocs()
	msg, _ := encodedSamples(b)
	var s ServiceState
	for b.Loop() {
		m, _, _ := nextMessage(msg)
		v, _ := m.find(attrService)
		if err := decodeService(v, &s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeDestination(b *testing.B) {
	b.ReportAllocs()
	_, msg := encodedSamples(b)
	var d DestinationState
	for b.Loop() {
		m, _, _ := nextMessage(msg)
		v, _ := m.find(attrDest)
		if err := decodeDestination(v, false, &d); err != nil {
			b.Fatal(err)
		}
	}
}

// syncSample is a master as Linux 6.12 reports it.
const syncSample = `
	0800 0100 01000000
	0a00 0200 73796e633000 0000
	0800 0300 07000000
	0600 0400 c0050000
	0600 0700 90220000
	0500 0800 01000000
	0800 0500 e0000051`

func TestSyncDaemonBytes(t *testing.T) {
	littleEndianOnly(t)
	var got SyncDaemon
	if err := decodeSyncDaemon(hexBytes(t, syncSample), &got); err != nil {
		t.Fatal(err)
	}
	want := SyncDaemon{Role: SyncMaster, Interface: "sync0", SyncID: 7, MaxLength: 1472, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848, TTL: 1}
	if got != want {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
	if again := appendSyncDaemon(nil, &SyncDaemon{Role: SyncBackup, Interface: "sync0", Group: netip.MustParseAddr("ff05::8"), TTL: 9}); !bytes.Equal(again, hexBytes(t, `
		3c00 0380
		0800 0100 02000000
		0a00 0200 73796e633000 0000
		0800 0300 00000000
		1400 0600 ff050000 00000000 00000000 00000008
		0500 0800 09000000`)) {
		t.Errorf("encoded % x", again)
	}
	for name, b := range map[string]string{
		"a short role":   `0600 0100 0100 0000`,
		"a short group":  `0600 0500 e000 0000`,
		"a short group6": `0600 0600 e000 0000`,
		"past the end":   `0800 0100 0100`,
	} {
		if err := decodeSyncDaemon(hexBytes(t, b), &got); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
