package ipvs

import (
	"testing"
)

func FuzzDecodeService(f *testing.F) {
	service, _ := encodedSamples(f)
	m, _, _ := nextMessage(service)
	v, _ := m.find(attrService)
	f.Add(v)
	f.Add(hexBytes(f, `0800 0500 07000000 0600 0100 0a00 0000 0800 0900 30000000`))
	f.Add(hexBytes(f, oddProtocol))
	f.Add(hexBytes(f, oddFamily))
	for _, v := range capturedNests(f, "service", attrService) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s ServiceState
		if decodeService(b, &s) != nil {
			return
		}
		again, err := appendChange(nil, 1, 1, &Change{Op: OpSetService, Service: s.Service})
		if err != nil {
			return // a kernel may hold what we do not set
		}
		m, rest, err := nextMessage(again)
		if err != nil || len(rest) != 0 {
			t.Fatalf("encoded message: %v, %d bytes after it", err, len(rest))
		}
		v, err := m.find(attrService)
		if err != nil {
			t.Fatal(err)
		}
		var got ServiceState
		if err := decodeService(v, &got); err != nil {
			t.Fatalf("%+v encodes to what does not decode: %v", s.Service, err)
		}
		if got.Service != s.Service.Normalized() {
			t.Errorf("decoded %+v, again %+v", s.Service.Normalized(), got.Service)
		}
	})
}

func FuzzDecodeDestination(f *testing.F) {
	_, destination := encodedSamples(f)
	m, _, _ := nextMessage(destination)
	v, _ := m.find(attrDest)
	f.Add(v, false)
	f.Add(hexBytes(f, `1400 0100 fd000000 00000000 00000000 00000001 0600 0200 0050 0000 0600 0b00 0a00 0000`), false)
	for _, v := range capturedNests(f, "destination", attrDest) {
		f.Add(v, false)
		f.Add(v, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, is6 bool) {
		var d DestinationState
		if decodeDestination(b, is6, &d) != nil {
			return
		}
		of := ServiceKey{Mark: 1, Mark6: is6}
		again, err := appendChange(nil, 1, 1, &Change{Op: OpSetDestination, Service: Service{Key: of}, Destination: d.Destination})
		if err != nil {
			return
		}
		m, rest, err := nextMessage(again)
		if err != nil || len(rest) != 0 {
			t.Fatalf("encoded message: %v, %d bytes after it", err, len(rest))
		}
		v, err := m.find(attrDest)
		if err != nil {
			t.Fatal(err)
		}
		var got DestinationState
		if err := decodeDestination(v, is6, &got); err != nil {
			t.Fatalf("%+v encodes to what does not decode: %v", d.Destination, err)
		}
		if got.Destination != d.Destination.Normalized() {
			t.Errorf("decoded %+v, again %+v", d.Destination.Normalized(), got.Destination)
		}
	})
}

func FuzzDecodeSyncDaemon(f *testing.F) {
	f.Add(hexBytes(f, syncSample))
	f.Add(hexBytes(f, `0800 0100 01000000 1400 0600 ff050000 00000000 00000000 00000008`))
	for _, v := range capturedNests(f, "daemons", attrDaemon) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d SyncDaemon
		if decodeSyncDaemon(b, &d) != nil || d.Validate() != nil {
			return
		}
		var got SyncDaemon
		if err := decodeSyncDaemon(appendSyncDaemon(nil, &d)[4:], &got); err != nil || got != d {
			t.Errorf("decoded %+v, again %+v, %v", d, got, err)
		}
	})
}

// FuzzDatagram walks over a datagram as the client does.
func FuzzDatagram(f *testing.F) {
	service, destination := encodedSamples(f)
	f.Add(append(service, destination...))
	for _, list := range readCaptures(f) {
		for _, c := range list {
			if len(c.data) < 1500 { // longer ones slow the fuzzer down
				f.Add(c.data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		messages := 0
		for rest := b; len(rest) > 0; {
			m, after, err := nextMessage(rest)
			if err != nil {
				return
			}
			if len(after) >= len(rest) {
				t.Fatalf("no progress: %d bytes, then %d", len(rest), len(after))
			}
			rest = after
			if messages++; messages > len(b)/nlHeaderLen {
				t.Fatalf("%d messages in %d bytes", messages, len(b))
			}
			_, _ = m.errno()
			_, _ = decodeTimeouts(&m)
			_, _ = decodeInfo(&m)
			_, _ = m.find(attrService)
		}
	})
}

// FuzzText feeds all text decoders; what they take must survive a round trip.
func FuzzText(f *testing.F) {
	for _, s := range []string{"tcp/192.0.2.1:80", "fwmark6/7", "masquerade", "5", "gue", "ops,sh-port,0x40", "add-service", "1.2.1", "master", "newer", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := ParseServiceKey(s); err == nil {
			if again, err := ParseServiceKey(k.String()); err != nil || again != k {
				t.Errorf("key %q: %v, then %v, %v", s, k, again, err)
			}
		}
		roundTrip[ForwardMethod](t, s)
		roundTrip[TunnelType](t, s)
		roundTrip[ServiceFlags](t, s)
		roundTrip[Op](t, s)
		roundTrip[Version](t, s)
		roundTrip[Protocol](t, s)
		roundTrip[SyncRole](t, s)
		roundTrip[Overhead](t, s)
	})
}

func roundTrip[T comparable, P interface {
	*T
	MarshalText() ([]byte, error)
	UnmarshalText([]byte) error
}](t *testing.T, s string) {
	t.Helper()
	var v, again T
	if P(&v).UnmarshalText([]byte(s)) != nil {
		return
	}
	text, err := P(&v).MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if err := P(&again).UnmarshalText(text); err != nil || again != v {
		t.Errorf("%T %q: %v writes %q, which reads as %v, %v", v, s, v, text, again, err)
	}
}
