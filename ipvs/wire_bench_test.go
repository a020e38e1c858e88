package ipvs

import "testing"

// What Linux 6.12 on amd64 answered: a service of weighted round robin and a
// destination of it, each message as it came.
const (
	capturedService = `
	6801000015000200000000001d00000001010000540101000600010002000000060002000600000014000300c00002010000000000000000
	00000000060004000001000008000600777272000c00070002000000ffffffff080008000000000008000900ffffffff60000a0008000100
	00000000080002000000000008000300000000000c000400000000000000000004000b000c00050000000000000000000800060000000000
	08000700000000000800080000000000080009000000000008000a0000000000a0000c000c000100000000000000000004000b000c000200
	000000000000000004000b000c000300000000000000000004000b000c000400000000000000000004000b000c0005000000000000000000
	04000b000c000600000000000000000004000b000c000700000000000000000004000b000c000800000000000000000004000b000c000900
	000000000000000004000b000c000a000000000000000000`
	capturedDestination = `
	9001000015000200000000001d000000050100007c010200140001000a000000000000000000000000000000060002000050000008000300
	00000000080004000100000005000d000000000006000e000000000006000f00000000000800050000000000080006000000000008000700
	000000000800080000000000080009000000000006000b000200000064000a00080001000000000008000200000000000800030000000000
	04000b000c000400000000000000000004000b000c0005000000000000000000080006000000000008000700000000000800080000000000
	080009000000000008000a0000000000a0000c000c000100000000000000000004000b000c000200000000000000000004000b000c000300
	000000000000000004000b000c000400000000000000000004000b000c000500000000000000000004000b000c0006000000000000000000
	04000b000c000700000000000000000004000b000c000800000000000000000004000b000c000900000000000000000004000b000c000a00
	0000000000000000`
)

// TestCaptures proves that the benchmarks below decode what they say.
func TestCaptures(t *testing.T) {
	littleEndianOnly(t)
	var s ServiceState
	if err := decodeCaptured(hexBytes(t, capturedService), attrService, func(v []byte) error { return decodeService(v, &s) }); err != nil {
		t.Error(err)
	}
	if want := (Service{Key: TCPService(ap("192.0.2.1:1")), Scheduler: "wrr"}); s.Service != want || s.Stats != (Stats{}) {
		t.Errorf("service %+v, want %+v", s, want)
	}
	var d DestinationState
	if err := decodeCaptured(hexBytes(t, capturedDestination), attrDest, func(v []byte) error { return decodeDestination(v, false, &d) }); err != nil {
		t.Error(err)
	}
	if want := (DestinationState{Destination: Destination{Key: ap("10.0.0.0:80"), Weight: 1}}); d != want {
		t.Errorf("destination %+v, want %+v", d, want)
	}
}

func decodeCaptured(b []byte, attr uint16, decode func([]byte) error) error {
	m, _, err := nextMessage(b)
	if err != nil {
		return err
	}
	v, err := m.find(attr)
	if err != nil {
		return err
	}
	return decode(v)
}

func BenchmarkDecodeCapturedService(b *testing.B) {
	littleEndianOnly(b)
	b.ReportAllocs()
	msg := hexBytes(b, capturedService)
	b.SetBytes(int64(len(msg)))
	var s ServiceState
	for b.Loop() {
		if err := decodeCaptured(msg, attrService, func(v []byte) error { return decodeService(v, &s) }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeCapturedDestination(b *testing.B) {
	littleEndianOnly(b)
	b.ReportAllocs()
	msg := hexBytes(b, capturedDestination)
	b.SetBytes(int64(len(msg)))
	var d DestinationState
	for b.Loop() {
		if err := decodeCaptured(msg, attrDest, func(v []byte) error { return decodeDestination(v, false, &d) }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendDestination encodes the whole message that adds one.
func BenchmarkAppendDestination(b *testing.B) {
	b.ReportAllocs()
	c := Change{
		Op: OpAddDestination, Service: Service{Key: TCPService(ap("192.0.2.1:80"))},
		Destination: Destination{Key: ap("10.0.0.1:80"), Weight: 1},
	}
	buf := make([]byte, 0, 4096)
	for b.Loop() {
		if _, err := appendChange(buf, 0x1c, 1, &c); err != nil {
			b.Fatal(err)
		}
	}
}
