package lvscf

import (
	"encoding"
	"strings"
	"testing"
)

func TestNumbersOfC(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"0", 0, true},
		{"80", 80, true},
		{"-5", -5, true},
		{"+5", 5, true},
		{"0x10", 16, true},
		{"0XfF", 255, true},
		{"-0x1", -1, true},
		{"010", 8, true},
		{"00", 0, true},
		{"-010", -8, true},
		{"9223372036854775808", 9223372036854775807, true},
		{"", 0, false},
		{"-", 0, false},
		{"--5", 0, false},
		{"+-5", 0, false},
		{"0x", 0, false},
		{"0x-1", 0, false},
		{"08", 0, false},
		{"1_000", 0, false},
		{"0b1", 0, false},
		{"0o7", 0, false},
		{"1x", 0, false},
		{" 1", 0, false},
		{"1.5", 0, false},
		{"1e3", 0, false},
		{"١", 0, false},
	} {
		if n, _, ok := cNumber(tt.in); ok != tt.ok || ok && n != tt.want {
			t.Errorf("cNumber(%q) = %d, %v; want %d, %v", tt.in, n, ok, tt.want, tt.ok)
		}
	}
}

func TestAddressesOfInetAton(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		note     bool
	}{
		{"192.0.2.1", "192.0.2.1", false},
		{"0.0.0.0", "0.0.0.0", false},
		{"10.1", "10.0.0.1", true},
		{"10.1.515", "10.1.2.3", true},
		{"10.0x010203", "10.1.2.3", true},
		{"3221225985", "192.0.2.1", true},
		{"0xc0000201", "192.0.2.1", true},
		{"010.0.0.1", "8.0.0.1", true},
		{"10.0.0.07", "10.0.0.7", false},
		{"4294967296", "", false},
		{"10.16777216", "", false},
		{"256.0.0.1", "", false},
		{"1.2.3.256", "", false},
		{"1.2.3.4.5", "", false},
		{"", "", false},
		{"1..2", "", false},
		{"1.2.3.", "", false},
		{".1", "", false},
		{"-1", "", false},
		{"1.-2", "", false},
		{"1.2.3.4 ", "", false},
		{"a.b.c.d", "", false},
		{"::1", "", false},
	} {
		addr, note, ok := inetAton(tt.in)
		if got := addr.String(); ok != (tt.want != "") || ok && (got != tt.want || (note != "") != tt.note) {
			t.Errorf("inetAton(%q) = %v, %q, %v; want %q, note %v", tt.in, addr, note, ok, tt.want, tt.note)
		}
	}
}

func TestHostNames(t *testing.T) {
	long := strings.Repeat("a.", 127)
	for name, want := range map[string]bool{
		"lb1": true, "lb1.example.net": true, "lb1.example.net.": true, "my_host": true, "3com.com": true, "x-y": true,
		long + "ab": false, long[:250]: true, strings.Repeat("a", 64): false,
		"": false, ".": false, "-a": false, "a-": false, "a..b": false, "1.2.3": false, "10.0.0.256": false, "a b": false, "münchen": false, "a/b": false,
	} {
		if got := isHostName(name); got != want {
			t.Errorf("isHostName(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestNearestWord(t *testing.T) {
	names := directiveNames(inGlobal | inVirtual | inServer)
	for word, want := range map[string]string{
		"adress": "address", "wieght": "weight", "SCHEDULER": "scheduler", "serial": "serial_no", "timout": "timeout",
		"addr": "address", "addre": "address", "sched": "scheduler", "back": "backup", "prot": "port", "net": "network", "tun": "",
		"virtual_server": "", "x": "", "": "", "frobnicate": "", strings.Repeat("a", 1000): "",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestNetmasks(t *testing.T) {
	for n := range 129 {
		var back Netmask
		if err := back.UnmarshalText([]byte(Netmask(n).String())); err != nil || back.Bits() != n {
			t.Errorf("mask %d is written %q and read as %d, error %v", n, Netmask(n), back, err)
		}
	}
	for _, text := range []string{"", "129", "-1", "255.0.255.0", "0.0.0.1", "::", "255.255.255.0/24"} {
		var m Netmask
		if err := m.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("mask %q is read as %v, want an error", text, m)
		}
	}
}

func TestEnumsReadWhatTheyWrite(t *testing.T) {
	type enum interface {
		encoding.TextMarshaler
		encoding.TextUnmarshaler
	}
	service, network, protocol, conflict, severity, scheduler := FOS, Tunnel, UDP, ReservationPreempt, Warning, SourceHash
	future, unset := Protocol(99), ReservationUnset
	for want, e := range map[string]enum{
		"fos": &service, "tunnel": &network, "udp": &protocol, "preempt": &conflict, "warning": &severity, "sh": &scheduler,
		"99": &future, "unset": &unset,
	} {
		text, err := e.MarshalText()
		if err != nil || string(text) != want {
			t.Errorf("%T writes %q, error %v; want %q", e, text, err, want)
		}
		if err := e.UnmarshalText(text); err != nil {
			t.Errorf("%T does not read %q: %v", e, text, err)
		}
		if again, _ := e.MarshalText(); string(again) != want {
			t.Errorf("%T reads %q as %q", e, want, again)
		}
	}
	var n Network
	if err := n.UnmarshalText([]byte("dr")); err == nil || !strings.Contains(err.Error(), "direct") {
		t.Errorf("reading network dr: %v, want an error that names the words", err)
	}
}
