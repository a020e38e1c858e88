package procfs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
)

var ap = netip.MustParseAddrPort

// equate compares what cmp cannot look into.
var equate = cmp.Options{cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })}

const (
	connHeading = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n"
	syncHeading = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n"
)

func connections(seq iter.Seq2[Connection, error]) (rows []Connection, errs []error) {
	for c, err := range seq {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rows = append(rows, c)
	}
	return rows, errs
}

func TestParseConnectionsRows(t *testing.T) {
	const v6 = "2001:0db8:0000:0000:0000:0000:0000:00"
	conn := func(p ipvs.Protocol, client, virtual, dest string, s State, seconds int) Connection {
		return Connection{Protocol: p, Client: ap(client), Virtual: ap(virtual), Destination: ap(dest), State: s, Expires: time.Duration(seconds) * time.Second}
	}
	tests := map[string]struct {
		heading, row string
		want         Connection
	}{
		"TCP over IPv4": {
			connHeading, "TCP C0000201 D152 0A000001 0050 0A010001 1F90 ESTABLISHED     897",
			conn(ipvs.TCP, "192.0.2.1:53586", "10.0.0.1:80", "10.1.0.1:8080", StateEstablished, 897),
		},
		"UDP over IPv6": {
			connHeading, "UDP " + v6 + "01 CCB5 " + v6 + "02 0035 " + v6 + "ff 0035 UDP             297",
			conn(ipvs.UDP, "[2001:db8::1]:52405", "[2001:db8::2]:53", "[2001:db8::ff]:53", StateUDP, 297),
		},
		"SCTP moves the columns": {
			connHeading, "SCTP C0000201 0FA0 0A000001 0063 0A010001 0063 S-ACK-SENT          1",
			conn(ipvs.SCTP, "192.0.2.1:4000", "10.0.0.1:99", "10.1.0.1:99", StateShutdownAckSent, 1),
		},
		"a destination of the other family": {
			connHeading, "UDP C0000201 842C 0A000001 0036 " + v6 + "01 0036 UDP             297",
			conn(ipvs.UDP, "192.0.2.1:33836", "10.0.0.1:54", "[2001:db8::1]:54", StateUDP, 297),
		},
		"a template": {
			connHeading, "TCP C0000200 0000 0A000001 0050 0A010001 1F90 ASSURED         297",
			conn(ipvs.TCP, "192.0.2.0:0", "10.0.0.1:80", "10.1.0.1:8080", StateAssured, 297),
		},
		"a template of a mark": {
			connHeading, "IP  C0000201 0000 00000007 0000 0A010001 0000 NONE             97",
			conn(0, "192.0.2.1:0", "0.0.0.7:0", "10.1.0.1:0", StateNone, 97),
		},
		"a protocol without a name": {
			connHeading, "IP_47 C0000201 0000 0A000001 0000 0A010001 0000 ERR!            60",
			conn(47, "192.0.2.1:0", "10.0.0.1:0", "10.1.0.1:0", StateError, 60),
		},
		"ICMP": {
			connHeading, "ICMP C0000201 0000 0A000001 0000 0A010001 0000 ?            60",
			conn(1, "192.0.2.1:0", "10.0.0.1:0", "10.1.0.1:0", StateUnnamed, 60),
		},
		"a state of tomorrow, longer than its column": {
			connHeading, "TCP C0000201 D152 0A000001 0050 0A010001 1F90 HALF-ESTABLISHED 10",
			conn(ipvs.TCP, "192.0.2.1:53586", "10.0.0.1:80", "10.1.0.1:8080", "HALF-ESTABLISHED", 10),
		},
		"tabs between fields and space at the end": {
			connHeading, "TCP\tC0000201\tD152 0A000001 0050 0A010001 1F90 CLOSE 10  ",
			conn(ipvs.TCP, "192.0.2.1:53586", "10.0.0.1:80", "10.1.0.1:8080", StateClose, 10),
		},
		"time that is up, printed as below zero": {
			connHeading, "TCP C0000201 D152 0A000001 0050 0A010001 1F90 CLOSE 184467440737095516",
			conn(ipvs.TCP, "192.0.2.1:53586", "10.0.0.1:80", "10.1.0.1:8080", StateClose, 0),
		},
		"an engine": {
			connHeading, "UDP C0000201 13C4 0A000001 13C4 0A010001 13C4 UDP             297 sip b84b4c76@pc33",
			func() Connection {
				c := conn(ipvs.UDP, "192.0.2.1:5060", "10.0.0.1:5060", "10.1.0.1:5060", StateUDP, 297)
				c.PEName, c.PEData = "sip", "b84b4c76@pc33"
				return c
			}(),
		},
		"an engine with white space in its data": {
			connHeading, "UDP C0000201 13C4 0A000001 13C4 0A010001 13C4 UDP             297 other  a b ",
			func() Connection {
				c := conn(ipvs.UDP, "192.0.2.1:5060", "10.0.0.1:5060", "10.1.0.1:5060", StateUDP, 297)
				c.PEName, c.PEData = "other", " a b "
				return c
			}(),
		},
		"the sync variant, local": {
			syncHeading, "TCP C0000201 D152 0A000001 0050 0A010001 1F90 ESTABLISHED LOCAL      897",
			func() Connection {
				c := conn(ipvs.TCP, "192.0.2.1:53586", "10.0.0.1:80", "10.1.0.1:8080", StateEstablished, 897)
				c.Origin = OriginLocal
				return c
			}(),
		},
		"the sync variant, from another director": {
			syncHeading, "TCP C0000201 D152 0A000001 0050 0A010001 1F90 ESTABLISHED SYNC       897",
			func() Connection {
				c := conn(ipvs.TCP, "192.0.2.1:53586", "10.0.0.1:80", "10.1.0.1:8080", StateEstablished, 897)
				c.Origin = OriginSync
				return c
			}(),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rows, errs := connections(ParseConnections(strings.NewReader(tt.heading + tt.row + "\n")))
			if errs != nil {
				t.Fatal(errs)
			}
			if diff := cmp.Diff([]Connection{tt.want}, rows, equate); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			text, err := json.Marshal(rows[0])
			if err != nil {
				t.Fatal(err)
			}
			var again Connection
			if err := json.Unmarshal(text, &again); err != nil || again != tt.want {
				t.Errorf("through JSON %s: %+v, %v", text, again, err)
			}
		})
	}
}

func TestParseConnectionsStates(t *testing.T) {
	states := []State{
		StateNone, StateEstablished, StateSynSent, StateSynRecv, StateFinWait, StateTimeWait, StateClose, StateCloseWait,
		StateLastAck, StateListen, StateSynAck, StateUDP, StateInit1, StateInit, StateCookieSent, StateCookieReplied, StateCookieWait,
		StateCookie, StateCookieEchoed, StateShutdownSent, StateShutdownRecv, StateShutdownAckSent, StateRejected, StateClosed,
		StateAssured, StateError, StateBug, StateUnnamed, "NEW",
	}
	var table strings.Builder
	table.WriteString(connHeading)
	for _, s := range states {
		fmt.Fprintf(&table, "TCP C0000201 D152 0A000001 0050 0A010001 1F90 %-11s %7d\n", s, 10)
	}
	rows, errs := connections(ParseConnections(strings.NewReader(table.String())))
	if errs != nil {
		t.Fatal(errs)
	}
	got := make([]State, len(rows))
	for i, c := range rows {
		got[i] = State(c.State.String())
	}
	if diff := cmp.Diff(states, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func TestParseConnectionsFaults(t *testing.T) {
	const good = "TCP C0000201 D152 0A000001 0050 0A010001 1F90 CLOSE 10"
	tests := map[string]struct{ heading, row, want string }{
		"an empty line":           {connHeading, "", `line 3: nothing in it: ""`},
		"a protocol":              {connHeading, "tcp C0000201", `line 3: unknown protocol "tcp": "tcp C0000201"`},
		"a protocol's number":     {connHeading, "IP_256 C0000201", `line 3: unknown protocol "IP_256": "IP_256 C0000201"`},
		"a client's address":      {connHeading, "TCP C000020G 0001", `line 3: client address "C000020G": want 8 hexadecimal digits, or 8 groups of 4: "TCP C000020G 0001"`},
		"a short IPv6 address":    {connHeading, "TCP 2001::1 0001", `line 3: client address "2001::1": want 8 hexadecimal digits, or 8 groups of 4: "TCP 2001::1 0001"`},
		"dots in an IPv6 address": {connHeading, "TCP 2001.0db8:0000:0000:0000:0000:0000:0001 0001", `line 3: client address "2001.0db8:0000:0000:0000:0000:0000:0001": want 8 hexadecimal digits, or 8 groups of 4: "TCP 2001.0db8:0000:0000:0000:0000:0000:0001 0001"`},
		"a port":                  {connHeading, "TCP C0000201 12345", `line 3: client port "12345": want 4 hexadecimal digits: "TCP C0000201 12345"`},
		"no port":                 {connHeading, "TCP C0000201 D152 0A000001", `line 3: virtual port "": want 4 hexadecimal digits: "TCP C0000201 D152 0A000001"`},
		"no destination":          {connHeading, "TCP C0000201 D152 0A000001 0050", `line 3: destination address "": want 8 hexadecimal digits, or 8 groups of 4: "TCP C0000201 D152 0A000001 0050"`},
		"two families":            {connHeading, "TCP C0000201 D152 2001:0db8:0000:0000:0000:0000:0000:0001 0050 0A010001 1F90 CLOSE 10", `line 3: client and virtual address are of two families: "TCP C0000201 D152 2001:0db8:0000:0000:0000:0000:0000:0001 0050 0A010001 1F90 CLOSE 10"`},
		"no state":                {connHeading, "TCP C0000201 D152 0A000001 0050 0A010001 1F90", `line 3: no state: "TCP C0000201 D152 0A000001 0050 0A010001 1F90"`},
		"no time":                 {connHeading, "TCP C0000201 D152 0A000001 0050 0A010001 1F90 CLOSE", `line 3: time left "": want seconds: "TCP C0000201 D152 0A000001 0050 0A010001 1F90 CLOSE"`},
		"time beyond 64 bits":     {connHeading, "TCP C0000201 D152 0A000001 0050 0A010001 1F90 CLOSE 18446744073709551616", `line 3: time left "18446744073709551616": want seconds: "TCP C0000201 D152 0A000001 0050 0A010001 1F90 CLOSE 18446744073709551616"`},
		"no origin":               {syncHeading, good, `line 3: origin "10": want LOCAL or SYNC: "TCP C0000201 D152 0A000001 0050 0A010001 1F90 CLOSE 10"`},
		"an engine after sync":    {syncHeading, "TCP C0000201 D152 0A000001 0050 0A010001 1F90 CLOSE SYNC 10 sip x", `line 3: "sip" behind the last column: "TCP C0000201 D152 0A000001 0050 0A010001 1F90 CLOSE SYNC 10 sip x"`},
		"a line without end":      {connHeading, good + strings.Repeat(" ", 3*lineBuffer), "line 3: longer than 2048 bytes: " + fmt.Sprintf("%q", good+strings.Repeat(" ", maxQuoted-len(good))+"...")},
		"a line just too long":    {connHeading, strings.Repeat("x", maxLine+1), "line 3: longer than 2048 bytes: " + fmt.Sprintf("%q", strings.Repeat("x", maxQuoted)+"...")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			around := good
			if tt.heading == syncHeading {
				around = strings.Replace(good, " 10", " LOCAL 10", 1)
			}
			text := tt.heading + around + "\n" + tt.row + "\n" + around + "\n"
			for how, r := range map[string]io.Reader{"at once": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text))} {
				rows, errs := connections(ParseConnections(r))
				if len(rows) != 2 || len(errs) != 1 {
					t.Fatalf("%s: %d rows, errors %q; want the rows around it and one error", how, len(rows), errs)
				}
				var le *LineError
				if !errors.As(errs[0], &le) || le.Line != 3 {
					t.Errorf("%s: %#v is no LineError of line 3", how, errs[0])
				}
				if diff := cmp.Diff(tt.want, errs[0].Error()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}

func TestParseConnectionsEnds(t *testing.T) {
	const row = "TCP C0000201 D152 0A000001 0050 0A010001 1F90 CLOSE 10\n"
	broken := errors.New("disk on fire")
	tests := map[string]struct {
		r    io.Reader
		rows int
		is   error
		text string
	}{
		"empty table":     {strings.NewReader(connHeading), 0, nil, ""},
		"empty file":      {strings.NewReader(""), 0, ErrFormat, "empty"},
		"another file":    {strings.NewReader("IP Virtual Server version 1.2.1 (size=4096)\n" + row), 0, ErrFormat, `got "IP Virtual`},
		"no heading":      {strings.NewReader(row), 0, ErrFormat, "heading"},
		"no line at all":  {strings.NewReader(strings.Repeat("x", 10*lineBuffer)), 0, ErrFormat, "longer than"},
		"cut in a row":    {strings.NewReader(connHeading + row + row[:len(row)-2]), 1, io.ErrUnexpectedEOF, "line 3: cut off"},
		"a reader fails":  {io.MultiReader(strings.NewReader(connHeading+row), iotest.ErrReader(broken)), 1, broken, "disk on fire"},
		"fails at once":   {iotest.ErrReader(broken), 0, broken, ""},
		"gives nothing":   {io.MultiReader(strings.NewReader(connHeading+row), idle{}), 1, io.ErrNoProgress, ""},
		"fails in a line": {io.MultiReader(strings.NewReader(connHeading+strings.Repeat("x", maxLine+1)), iotest.ErrReader(broken)), 0, broken, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rows, errs := connections(ParseConnections(tt.r))
			if len(rows) != tt.rows {
				t.Errorf("%d rows, want %d", len(rows), tt.rows)
			}
			if tt.is == nil {
				if errs != nil {
					t.Error(errs)
				}
				return
			}
			if len(errs) == 0 {
				t.Fatal("no error")
			}
			if err := errs[len(errs)-1]; !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q, want %v with %q in it", err, tt.is, tt.text)
			}
		})
	}
}

// idle gives neither data nor an error.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestParseConnectionsStops(t *testing.T) {
	table := connHeading + "bad\nTCP C0000201 D152 0A000001 0050 0A010001 1F90 CLOSE 10\n"
	for n := 1; n <= 2; n++ {
		seen := 0
		for range ParseConnections(strings.NewReader(table)) {
			if seen++; seen == n {
				break
			}
		}
		if seen != n {
			t.Errorf("%d rows before a break at %d", seen, n)
		}
	}
}

func TestConnectionKinds(t *testing.T) {
	tests := map[string]struct {
		c        Connection
		template bool
		mark     uint32
		text     string
	}{
		"a connection": {
			Connection{Protocol: ipvs.TCP, Client: ap("192.0.2.1:4000"), Virtual: ap("10.0.0.1:80"), Destination: ap("10.1.0.1:80"), State: StateEstablished, Expires: 15 * time.Minute, Origin: OriginSync},
			false, 0, "tcp 192.0.2.1:4000 -> 10.0.0.1:80 -> 10.1.0.1:80 ESTABLISHED expires in 15m0s origin SYNC",
		},
		"a template": {
			Connection{Protocol: ipvs.TCP, Client: ap("192.0.2.0:0"), Virtual: ap("10.0.0.1:80"), Destination: ap("10.1.0.1:80"), State: StateAssured},
			true, 0, "tcp 192.0.2.0:0 -> 10.0.0.1:80 -> 10.1.0.1:80 ASSURED expires in 0s",
		},
		"a template of a mark": {
			Connection{Client: ap("192.0.2.0:0"), Virtual: ap("0.0.1.7:0"), Destination: ap("10.1.0.1:0"), State: StateNone},
			true, 263, "any 192.0.2.0:0 -> fwmark 263 -> 10.1.0.1:0 NONE expires in 0s",
		},
		"a template of a mark in IPv6": {
			Connection{Client: ap("[2001:db8::]:0"), Virtual: ap("[0:7::]:0"), Destination: ap("[2001:db8::9]:0"), State: StateNone},
			true, 7, "any [2001:db8::]:0 -> fwmark 7 -> [2001:db8::9]:0 NONE expires in 0s",
		},
		"passive FTP waits for its client": {
			Connection{Protocol: ipvs.TCP, Client: ap("192.0.2.1:0"), Virtual: ap("10.0.0.1:3000"), Destination: ap("10.1.0.1:3000"), State: StateListen},
			false, 0, "tcp 192.0.2.1:0 -> 10.0.0.1:3000 -> 10.1.0.1:3000 LISTEN expires in 0s",
		},
		"a client sends from port 0": {
			Connection{Protocol: ipvs.UDP, Client: ap("192.0.2.1:0"), Virtual: ap("10.0.0.1:53"), Destination: ap("10.1.0.1:53"), State: StateUDP, PEName: "sip", PEData: "a b"},
			false, 0, `udp 192.0.2.1:0 -> 10.0.0.1:53 -> 10.1.0.1:53 UDP expires in 0s sip "a b"`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.c.IsTemplate(); got != tt.template {
				t.Errorf("IsTemplate is %v", got)
			}
			if mark, ok := tt.c.Mark(); mark != tt.mark || ok != (tt.mark != 0) {
				t.Errorf("Mark is %d, %v", mark, ok)
			}
			if got := tt.c.String(); got != tt.text {
				t.Errorf("String is %q", got)
			}
		})
	}
	if _, ok := new(Connection).Mark(); ok {
		t.Error("a zero connection has a mark")
	}
}

// tableReader writes the same rows again and again, as a file of n rows.
type tableReader struct {
	heading string
	rows    []string
	left    int
	at      int
	rest    string
}

func (r *tableReader) Read(b []byte) (n int, err error) {
	if r.heading != "" {
		r.rest, r.heading = r.heading, ""
	}
	for n < len(b) {
		if r.rest == "" {
			if r.left == 0 {
				break
			}
			r.left--
			r.rest = r.rows[r.at]
			r.at = (r.at + 1) % len(r.rows)
		}
		c := copy(b[n:], r.rest)
		n, r.rest = n+c, r.rest[c:]
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

var benchmarkRows = map[string][]string{
	"IPv4": {
		"TCP C0000201 D152 0A000001 0050 0A010001 1F90 ESTABLISHED     897\n",
		"UDP C0000202 CCB5 0A000001 0035 0A010002 0035 UDP             297\n",
		"TCP C0000203 D153 0A000001 0050 0A010003 1F90 TIME_WAIT        97\n",
		"TCP C0000200 0000 0A000001 0050 0A010001 1F90 ASSURED         297\n",
	},
	"IPv6": {
		"TCP 2001:0db8:0000:0000:0000:0000:0000:0001 D152 2001:0db8:0000:0000:0000:0000:0000:0002 0050 2001:0db8:0000:0000:0000:0000:0000:0003 1F90 ESTABLISHED     897\n",
	},
}

func TestParseConnectionsMemory(t *testing.T) {
	read := func(rows int) float64 {
		return testing.AllocsPerRun(5, func() {
			n := 0
			for c, err := range ParseConnections(&tableReader{heading: connHeading, rows: append(benchmarkRows["IPv4"], benchmarkRows["IPv6"]...), left: rows}) {
				if err != nil || c.State == "" {
					t.Fatal(c, err)
				}
				n++
			}
			if n != rows {
				t.Fatalf("%d rows of %d", n, rows)
			}
		})
	}
	if few, many := read(100), read(100_000); many != few {
		t.Errorf("%v allocations for 100 rows, %v for 100000", few, many)
	}
}

// BenchmarkParseConnections reads a file of a million rows in each turn. Its
// allocations are those of a whole reading.
func BenchmarkParseConnections(b *testing.B) {
	const rows = 1_000_000
	for _, family := range []string{"IPv4", "IPv6"} {
		b.Run(family, func(b *testing.B) {
			file, err := os.Create(filepath.Join(b.TempDir(), "ip_vs_conn"))
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			size, err := io.Copy(file, &tableReader{heading: connHeading, rows: benchmarkRows[family], left: rows})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := file.Seek(0, io.SeekStart); err != nil {
					b.Fatal(err)
				}
				n := 0
				for _, err := range ParseConnections(file) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != rows {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
