package ipvsadm

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
)

// tableOf reads a text into a table.
func tableOf(tb testing.TB, text string) (ipvs.Table, error) {
	tb.Helper()
	commands, err := Parse(tb.Context(), text, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return Table(commands)
}

func TestTablePlaysTheCommands(t *testing.T) {
	got, err := tableOf(t, `
-A -t 192.0.2.9:9
-C
-A -t 192.0.2.2:80 -s rr
-a -t 192.0.2.2:80 -r 10.0.0.1 -m
-a -t 192.0.2.2:80 -r 10.0.0.2 -m -w 5
-a -t 192.0.2.2:80 -r 10.0.0.3 -m
--set 900 0 0
-A -t 192.0.2.1:80
-L -n
-A -t 192.0.2.3:80
-a -t 192.0.2.3:80 -r 10.0.0.9
-d -t 192.0.2.2:80 -r 10.0.0.1
-a -t 192.0.2.2:80 -r 10.0.0.4 -m
-e -t 192.0.2.2:80 -r 10.0.0.2 -w 7
-a -t 192.0.2.2:80 -r 10.0.0.1 -i
-E -t 192.0.2.2:80 -p 9
-D -t 192.0.2.3:80
-A -t 192.0.2.3:80 -s sh
-D -t 192.0.2.1:80
`)
	if err != nil {
		t.Fatal(err)
	}
	text, err := AppendTable(nil, got)
	if err != nil {
		t.Fatal(err)
	}
	want := `-A -t 192.0.2.2:80 -s wlc -p 9
-a -t 192.0.2.2:80 -r 10.0.0.2:80 -g -w 7
-a -t 192.0.2.2:80 -r 10.0.0.3:80 -m -w 1
-a -t 192.0.2.2:80 -r 10.0.0.4:80 -m -w 1
-a -t 192.0.2.2:80 -r 10.0.0.1:80 -i -w 1 --tun-type ipip
-A -t 192.0.2.3:80 -s sh
`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if first := got[0].Destinations[0].Key; first != ap("10.0.0.1:80") {
		t.Errorf("%v is first, want the newest", first)
	}
	// From nothing to the table is the text again.
	var lines []string
	for _, c := range ipvs.Diff(nil, got, nil) {
		lines = append(lines, Line(c)+"\n")
	}
	if diff := cmp.Diff(want, strings.Join(lines, "")); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestTableFindsWhatIsRefused(t *testing.T) {
	tests := []struct {
		text, want string
		is         error
	}{
		{"-A -t 192.0.2.110:80\n-a -t 192.0.2.11:80 -r 10.0.0.1 -m", "ipvsadm: line 2:7: service tcp/192.0.2.11:80 is not there: did you mean tcp/192.0.2.110:80, added at line 1:1?", ipvs.ErrServiceNotFound},
		{"-A -f 70\n-a -t 192.0.2.11:80 -r 10.0.0.1 -m", "ipvsadm: line 2:7: service tcp/192.0.2.11:80 is not there: add it first with -A", ipvs.ErrServiceNotFound},
		{"-E -t 192.0.2.1:80", "ipvsadm: line 1:7: service tcp/192.0.2.1:80 is not there: add it first with -A", fs.ErrNotExist},
		{"-A -t 192.0.2.1:80\n-D -t 192.0.2.1:80\n-D -t 192.0.2.1:80", "ipvsadm: line 3:7: service tcp/192.0.2.1:80 is not there: add it first with -A", ipvs.ErrServiceNotFound},
		{"-A -t 192.0.2.1:80\n-A -t 192.0.2.1:80", "ipvsadm: line 2:7: service tcp/192.0.2.1:80 is there already, added at line 1:1: change it with -E", ipvs.ErrServiceExists},
		{"-A -f 7\n-a -f 7 -r 10.0.0.1\n-a -f 7 -r 10.0.0.1:0 -m", "ipvsadm: line 3:12: server 10.0.0.1:0 of fwmark/7 is there already, added at line 2:1: change it with -e", ipvs.ErrDestinationExists},
		{"-A -f 7\n-a -f 7 -r 10.0.0.1:80\n-d -f 7 -r 10.0.0.1:81", "ipvsadm: line 3:12: server 10.0.0.1:81 is not there in fwmark/7: did you mean 10.0.0.1:80, added at line 2:1?", ipvs.ErrDestinationNotFound},
		{"-A -f 7\n-e -f 7 -r 10.0.0.1:81", "ipvsadm: line 2:12: server 10.0.0.1:81 is not there in fwmark/7: add it first with -a", ipvs.ErrDestinationNotFound},
	}
	for _, tt := range tests {
		table, err := tableOf(t, tt.text)
		if err == nil || err.Error() != tt.want || !errors.Is(err, tt.is) || table != nil {
			t.Errorf("%q:\n got %v\nwant %v", tt.text, err, tt.want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b        string
		limit, want int
	}{
		{"", "", 3, 0},
		{"abc", "abc", 3, 0},
		{"abc", "abd", 3, 1},
		{"abc", "ab", 3, 1},
		{"abc", "xabc", 3, 1},
		{"kitten", "sitting", 5, 3},
		{"kitten", "sitting", 2, 3},
		{"a", "abcdefg", 3, 4},
		{strings.Repeat("a", 99), "a", 200, 201},
	} {
		if got := editDistance(tt.a, tt.b, tt.limit); got != tt.want {
			t.Errorf("%q to %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
