package failover

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"
)

// advertFrame is an advert of keepalived 2.2.7 with its IPv4 header.
const advertFrame = "45c0002000010000ff701899c0000201e000001231339601000ad3cbc0000264"

func FuzzCutIPv4(f *testing.F) {
	frame, err := hex.DecodeString(advertFrame)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frame)
	f.Add(append(bytes.Clone(frame), make([]byte, 14)...)) // as Ethernet pads it
	f.Add(frame[:19])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := cutIPv4(b)
		if ok && (len(p.Payload) > len(b)-20 || !p.Source.Is4() || !p.Destination.Is4()) {
			t.Errorf("%x gives %+v", b, p)
		}
	})
}

func TestCutIPv4(t *testing.T) {
	frame, err := hex.DecodeString(advertFrame)
	if err != nil {
		t.Fatal(err)
	}
	options := append(bytes.Clone(frame[:20]), make([]byte, 4)...)
	options = append(options, frame[20:]...)
	options[0], options[3] = 0x46, options[3]+4
	for name, b := range map[string][]byte{
		"plain": frame, "padded": append(bytes.Clone(frame), make([]byte, 14)...), "with options": options,
	} {
		p, ok := cutIPv4(b)
		if !ok || p.TTL != 255 || p.Source != netip.MustParseAddr("192.0.2.1") || p.Destination != netip.MustParseAddr("224.0.0.18") || !bytes.Equal(p.Payload, frame[20:]) {
			t.Errorf("%s: %+v, %v", name, p, ok)
		}
	}
	version, head, total, tall := bytes.Clone(frame), bytes.Clone(frame), bytes.Clone(frame), bytes.Clone(frame)
	version[0], head[0], total[3], tall[3] = 0x65, 0x44, 19, 33
	for name, b := range map[string][]byte{
		"nothing": nil, "short": frame[:19], "another version": version, "short header": head, "short in all": total, "cut": tall,
	} {
		if p, ok := cutIPv4(b); ok {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
