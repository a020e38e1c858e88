package procfs

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// appendRow writes a row as the kernel does.
func appendRow(b []byte, c *Connection, synced bool) []byte {
	addr := func(a netip.AddrPort) string {
		if ip := a.Addr(); ip.Is6() {
			return fmt.Sprintf("%s %04X", ip.StringExpanded(), a.Port())
		}
		return fmt.Sprintf("%X %04X", a.Addr().AsSlice(), a.Port())
	}
	proto := strings.ToUpper(c.Protocol.String())
	if proto == "0" {
		proto = "IP"
	} else if proto[0] <= '9' {
		proto = "IP_" + proto
	}
	b = fmt.Appendf(b, "%-3s %s %s %s %-11s", proto, addr(c.Client), addr(c.Virtual), addr(c.Destination), c.State)
	if synced {
		b = fmt.Appendf(b, " %-6s", c.Origin)
	}
	b = fmt.Appendf(b, " %7d", int(c.Expires.Seconds()))
	if c.PEName != "" {
		b = fmt.Appendf(b, " %s %s", c.PEName, c.PEData)
	}
	return append(b, '\n')
}

func FuzzParseConnections(f *testing.F) {
	for _, rows := range benchmarkRows {
		f.Add([]byte(connHeading + strings.Join(rows, "")))
	}
	f.Add([]byte(connHeading + "SCTP 7F000001 0FA0 7F000002 0063 7F000001 0063 REJECTED          1\nIP  7F000001 0000 00000007 0000 7F000001 0000 NONE             97\n"))
	f.Add([]byte(connHeading + "UDP 7F000001 13C4 7F000002 13C4 7F000001 13C4 UDP             297 sip a@b\nbad\nIP_47 1"))
	f.Add([]byte(syncHeading + "UDP 7F000001 842C 7F000002 0036 0000:0000:0000:0000:0000:0000:0000:0001 0036 UDP         LOCAL      297\n"))
	f.Add([]byte(syncHeading + "TCP 7F000001 842C 7F000002 0036 7F000001 0036 NONE SYNC 9\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		synced := bytes.Contains(bytes.SplitN(b, []byte("\n"), 2)[0], []byte("Origin"))
		var again []byte
		var rows []Connection
		n := 0
		for c, err := range ParseConnections(bytes.NewReader(b)) {
			n++
			if err != nil {
				if c != (Connection{}) {
					t.Errorf("%v with an error", c)
				}
				_ = err.Error()
				continue
			}
			_, _, _ = c.String(), c.IsTemplate(), c.Expires
			again = appendRow(again, &c, synced)
			rows = append(rows, c)
		}
		if lines := bytes.Count(b, []byte("\n")) + 1; n > lines {
			t.Errorf("%d rows and errors from %d lines", n, lines)
		}
		heading := connHeading
		if synced {
			heading = syncHeading
		}
		i := 0
		for c, err := range ParseConnections(bytes.NewReader(append([]byte(heading), again...))) {
			if err != nil {
				t.Fatalf("written again: %v", err)
			}
			if i == len(rows) || c != rows[i] {
				t.Fatalf("row %d written again is %+v", i, c)
			}
			i++
		}
		if i != len(rows) {
			t.Fatalf("%d rows written again are %d", len(rows), i)
		}
	})
}

func FuzzParseStats(f *testing.F) {
	f.Add([]byte(statsFile))
	f.Add([]byte(perCPUFile))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStats(bytes.NewReader(b))
		if err != nil {
			_ = err.Error()
			return
		}
		text := fmt.Sprintf("%s%8X %8X %8X %16X %16X\n\n Conns/s\n%8X %8X %8X %16X %16X\n", statsHeading,
			s.Connections, s.InPackets, s.OutPackets, s.InBytes, s.OutBytes, s.CPS, s.InPPS, s.OutPPS, s.InBPS, s.OutBPS)
		if again, err := ParseStats(strings.NewReader(text)); err != nil || again != s {
			t.Errorf("%+v written again is %+v, %v", s, again, err)
		}
	})
}

func FuzzParseStatsPerCPU(f *testing.F) {
	f.Add([]byte(perCPUFile))
	f.Add([]byte(statsFile))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStatsPerCPU(bytes.NewReader(b))
		if err != nil {
			_ = err.Error()
			return
		}
		if lines := bytes.Count(b, []byte("\n")); len(s.CPUs) > lines {
			t.Errorf("%d processors in %d lines", len(s.CPUs), lines)
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("Conns:\t2\nConn buckets:\t256 (8 bits, lfactor -4)\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStatus(bytes.NewReader(b))
		if err != nil {
			return
		}
		var text strings.Builder
		for _, l := range s {
			fmt.Fprintf(&text, "%s:\t%s\n", l.Name, l.Value)
		}
		again, err := ParseStatus(strings.NewReader(text.String()))
		if err != nil || len(again) != len(s) {
			t.Fatalf("%q written again is %q, %v", s, again, err)
		}
		for i := range s {
			if s[i] != again[i] {
				t.Errorf("%q written again is %q", s[i], again[i])
			}
		}
	})
}

func FuzzParseApps(f *testing.F) {
	f.Add([]byte("prot port    usecnt name\nTCP  21      0      ftp              \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		apps, err := ParseApps(bytes.NewReader(b))
		if err != nil {
			_ = err.Error()
			return
		}
		for _, a := range apps {
			if a.Name == "" || a.Users < 0 {
				t.Errorf("%+v", a)
			}
		}
	})
}
