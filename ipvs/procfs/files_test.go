package procfs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
)

const (
	statsHeading = "   Total Incoming Outgoing         Incoming         Outgoing\n" +
		"   Conns  Packets  Packets            Bytes            Bytes\n"
	statsFile = statsHeading +
		"       7        A        7              32B FFFFFFFFFFFFFFFF\n\n" +
		" Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n" +
		"       1        2        3               65               58\n"
	perCPUFile = "       Total Incoming Outgoing         Incoming         Outgoing\n" +
		"CPU    Conns  Packets  Packets            Bytes            Bytes\n" +
		"  0        5        A        7              32B              2BF\n" +
		" 1F        3 123456789        1               10               11\n" +
		"  ~        7        B        8              33B              2D0\n\n" +
		"     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n" +
		"           1        2        3               65               58\n"
)

func TestParseStats(t *testing.T) {
	got, err := ParseStats(strings.NewReader(statsFile))
	if err != nil {
		t.Fatal(err)
	}
	want := ipvs.Stats{
		Connections: 7, InPackets: 10, OutPackets: 7, InBytes: 0x32b, OutBytes: 1<<64 - 1,
		CPS: 1, InPPS: 2, OutPPS: 3, InBPS: 0x65, OutBPS: 0x58,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseStatsPerCPU(t *testing.T) {
	got, err := ParseStatsPerCPU(strings.NewReader(perCPUFile))
	if err != nil {
		t.Fatal(err)
	}
	want := StatsPerCPU{
		CPUs: []CPUStats{
			{0, ipvs.Stats{Connections: 5, InPackets: 10, OutPackets: 7, InBytes: 0x32b, OutBytes: 0x2bf}},
			{31, ipvs.Stats{Connections: 3, InPackets: 0x123456789, OutPackets: 1, InBytes: 16, OutBytes: 17}},
		},
		Total: ipvs.Stats{
			Connections: 7, InPackets: 11, OutPackets: 8, InBytes: 0x33b, OutBytes: 0x2d0,
			CPS: 1, InPPS: 2, OutPPS: 3, InBPS: 0x65, OutBPS: 0x58,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseStatus(t *testing.T) {
	got, err := ParseStatus(strings.NewReader("Conns:\t2\nConn buckets:\t256 (8 bits, lfactor -4)\n\nConn buckets empty:\t254 (99%)\nMore: of: this\nNothing:\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Status{
		{"Conns", "2"},
		{"Conn buckets", "256 (8 bits, lfactor -4)"},
		{"Conn buckets empty", "254 (99%)"},
		{"More", "of: this"},
		{"Nothing", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if v, ok := got.Get("Conn buckets"); !ok || v != want[1].Value {
		t.Errorf("Get is %q, %v", v, ok)
	}
	if _, ok := got.Get("Services"); ok {
		t.Error("Get finds what is not there")
	}
}

func TestParseApps(t *testing.T) {
	got, err := ParseApps(strings.NewReader("prot port    usecnt name\nTCP  21      3      ftp              \n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]App{{ipvs.TCP, 21, 3, "ftp"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseFilesFaults(t *testing.T) {
	stats := func(r io.Reader) (any, error) { return ParseStats(r) }
	perCPU := func(r io.Reader) (any, error) { return ParseStatsPerCPU(r) }
	status := func(r io.Reader) (any, error) { return ParseStatus(r) }
	apps := func(r io.Reader) (any, error) { return ParseApps(r) }
	tests := map[string]struct {
		parse func(io.Reader) (any, error)
		text  string
		is    error
		want  string
	}{
		"stats, empty":              {stats, "", ErrFormat, "empty"},
		"stats, another file":       {stats, connHeading, ErrFormat, `"Pro FromIP`},
		"stats without rates":       {stats, strings.Split(statsFile, "\n\n")[0] + "\n", ErrFormat, "ends before"},
		"stats, decimal point":      {stats, strings.Replace(statsFile, "32B", "3.2", 1), nil, `line 3: column 4 is "3.2": want a hexadecimal number`},
		"stats, a number too many":  {stats, strings.Replace(statsFile, "32B", "32B 1", 1), nil, `"FFFFFFFFFFFFFFFF" behind the last column`},
		"stats, a number too few":   {stats, strings.Replace(statsFile, "32B", "", 1), nil, `column 5 is ""`},
		"stats, beyond 64 bits":     {stats, strings.Replace(statsFile, "FFFFFFFFFFFFFFFF", "10000000000000000", 1), nil, "column 5"},
		"stats, a third block":      {stats, statsFile + "1 2 3 4 5\n", nil, "line 7: a third line of numbers"},
		"stats, cut":                {stats, statsFile[:len(statsFile)-2], io.ErrUnexpectedEOF, "line 6: cut off"},
		"per CPU, empty":            {perCPU, "", ErrFormat, "empty"},
		"per CPU without the total": {perCPU, strings.Split(perCPUFile, "  ~")[0], ErrFormat, "ends before"},
		"per CPU without rates":     {perCPU, strings.Split(perCPUFile, "\n\n")[0] + "\n", ErrFormat, "ends before"},
		"per CPU, not a number":     {perCPU, strings.Replace(perCPUFile, " 1F ", " G ", 1), nil, `line 4: processor "G"`},
		"per CPU, more rates":       {perCPU, perCPUFile + "1 2 3 4 5\n", nil, "line 9: a second line of rates"},
		"per CPU, bad counters":     {perCPU, strings.Replace(perCPUFile, "123456789", "-", 1), nil, `line 4: column 2 is "-"`},
		"status, no colon":          {status, "Conns:\t1\nwhat\n", nil, `line 2: want NAME: VALUE: "what"`},
		"status, no name":           {status, " : 1\n", nil, "line 1: want NAME: VALUE"},
		"status, endless":           {status, strings.Repeat("a: abc\n\n", maxFile), errTooLarge, "longer than"},
		"apps, empty":               {apps, "", ErrFormat, "empty"},
		"apps, a protocol":          {apps, "prot port\nXCP 1 1 x\n", nil, `line 2: unknown protocol "XCP"`},
		"apps, a port":              {apps, "prot port\nTCP 65536 1 x\n", nil, `port "65536": want 0..65535`},
		"apps, a use count":         {apps, "prot port\nTCP 21 -1 x\n", nil, `use count "-1"`},
		"apps, no name":             {apps, "prot port\nTCP 21 1 \n", nil, "no name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := tt.parse(strings.NewReader(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			if tt.is != nil {
				if !errors.Is(err, tt.is) {
					t.Errorf("%v is not %v", err, tt.is)
				}
				return
			}
			var le *LineError
			if !errors.As(err, &le) {
				t.Errorf("%v is no LineError", err)
			}
		})
	}
}

func ExampleParseConnections() {
	table := strings.NewReader(`Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0000201 D152 0A000001 0050 0A010001 1F90 ESTABLISHED     897
TCP C0000200 0000 0A000001 0050 0A010001 1F90 ASSURED         297
`)
	for c, err := range ParseConnections(table) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(c, c.IsTemplate())
	}
	// Output:
	// tcp 192.0.2.1:53586 -> 10.0.0.1:80 -> 10.1.0.1:8080 ESTABLISHED expires in 14m57s false
	// tcp 192.0.2.0:0 -> 10.0.0.1:80 -> 10.1.0.1:8080 ASSURED expires in 4m57s true
}

func TestStatsJSON(t *testing.T) {
	want, err := ParseStatsPerCPU(strings.NewReader(perCPUFile))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got StatsPerCPU
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("through %s (-want +got):\n%s", text, diff)
	}
}
