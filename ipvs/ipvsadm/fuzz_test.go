package ipvsadm

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
)

// FuzzParse reads anything; what can be read is printed and read again.
func FuzzParse(f *testing.F) {
	f.Add(everythingText)
	f.Add(baseline)
	f.Add("sudo ipvsadm -A -t 'a.b':http -p # x\\\n\r\n--set 1 2 3\n--start-daemon=master --mcast-interface lo\n")
	for _, v := range verdicts(f) {
		f.Add(strings.Join(v.args, " "))
	}
	f.Fuzz(func(t *testing.T, text string) {
		commands, err := Parse(t.Context(), text, Options{Resolver: hosts{}})
		if err != nil {
			if commands != nil {
				t.Error("commands and an error")
			}
			if len(err.Error()) > 20<<10 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		checkCommands(t, commands)
	})
}

// FuzzRoundTrip prints generated tables and reads them again, and lists them.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(5))
	f.Fuzz(func(t *testing.T, seed uint64, services, destinations uint8) {
		want := randomTable(rand.New(rand.NewPCG(seed, 7)), int(services%20), 1+int(destinations%20))
		text, err := AppendTable(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tableOf(t, string(text))
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if diff := cmp.Diff(want, got, equate); diff != "" {
			t.Fatalf("-want +got:\n%s\n%s", diff, text)
		}
		var snap ipvs.Snapshot
		for _, e := range want {
			s := ipvs.EntryState{Service: ipvs.ServiceState{Service: e.Service}}
			for _, d := range e.Destinations {
				s.Destinations = append(s.Destinations, ipvs.DestinationState{Destination: d})
			}
			snap = append(snap, s)
		}
		lines := 3 + len(want)
		for _, e := range want {
			lines += len(e.Destinations)
		}
		var list bytes.Buffer
		if err := WriteList(&list, ListOptions{}, snap, ipvs.Info{}); err != nil || bytes.Count(list.Bytes(), []byte("\n")) != lines {
			t.Errorf("%v: want %d lines:\n%s", err, lines, list.Bytes())
		}
		if err := WriteList(io.Discard, ListOptions{TunInfo: true}, snap, ipvs.Info{}); err != nil {
			t.Error(err)
		}
	})
}
