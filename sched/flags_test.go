package sched

import (
	"strings"
	"testing"
	"time"
)

func TestFlagsText(t *testing.T) {
	tests := []struct {
		text, want string
		flags      Flags
	}{
		{"", "", 0},
		{"fallback", "fallback", FlagFallback},
		{"port", "port", FlagPort},
		{"port,fallback", "fallback,port", FlagFallback | FlagPort},
		{"sh-fallback,sh-port", "fallback,port", FlagFallback | FlagPort},
		{"mh-port,port", "port", FlagPort},
	}
	for _, tt := range tests {
		f := Flags(0xff)
		if err := f.UnmarshalText([]byte(tt.text)); err != nil || f != tt.flags {
			t.Errorf("%q became %v, %v", tt.text, f, err)
		}
		text, err := f.MarshalText()
		if err != nil || string(text) != tt.want {
			t.Errorf("%q marshals to %q, %v", tt.text, text, err)
		}
	}
	f := FlagPort
	for _, text := range []string{",", "ports", "port,", "none"} {
		if err := f.UnmarshalText([]byte(text)); err == nil || f != FlagPort {
			t.Errorf("%q became %v, %v", text, f, err)
		}
	}
	if got := (FlagPort | 0x40).String(); got != "port,flags(0x40)" {
		t.Errorf("String of an unknown flag = %q", got)
	}
	if _, err := Flags(4).MarshalText(); err == nil {
		t.Error("an unknown flag was marshalled")
	}
}

func TestWrongOptions(t *testing.T) {
	tests := []struct {
		opts Options
		want string
	}{
		{Options{DHBits: 3}, "DHBits 3: want 4..20, or 0 for 8"},
		{Options{SHBits: 21}, "SHBits 21: want 4..20, or 0 for 8"},
		{Options{SHBits: -1}, "SHBits -1"},
		{Options{MHIndex: 18}, "MHIndex 18: want 8..17, or 0 for 12"},
		{Options{LBLCExpiration: -time.Second}, "LBLCExpiration -1s"},
		{Options{LBLCRExpiration: -time.Second}, "LBLCRExpiration -1s"},
		{Options{Rules: 7}, "scheduler rules 7"},
	}
	for _, tt := range tests {
		_, err := New("rr", &tt.opts)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.opts, err, tt.want)
		}
	}
}
