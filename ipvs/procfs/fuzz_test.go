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
