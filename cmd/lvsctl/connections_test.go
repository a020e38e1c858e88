package main

import (
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/procfs"
)

const connectionTable = `Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP CB00710B C354 C0000201 0050 0A000001 1F90 ESTABLISHED     897
UDP CB00710B 8AE0 C0000201 0035 0A000002 0035 UDP             290
this is no row
TCP 2001:0db8:0000:0000:0000:0000:0000:0011 C354 2001:0db8:0000:0000:0000:0000:0000:0001 0050 2001:0db8:0000:0000:0000:0000:0000:0002 0050 FIN_WAIT        100
IP  CB007100 0000 00000007 0000 0A000001 0000 NONE            298
`

func connectionHost(table string) host {
	h := fakeHost()
	h.connections = func(string) iter.Seq2[procfs.Connection, error] {
		return procfs.ParseConnections(strings.NewReader(table))
	}
	return h
}

func TestListConnections(t *testing.T) {
	for _, test := range []struct{ name, args, want string }{
		{"all, and the row that cannot be read", "", `PROTOCOL  EXPIRES  STATE        CLIENT                 SERVICE                SERVER
tcp        14m57s  ESTABLISHED  203.0.113.11:50004     192.0.2.1:80           10.0.0.1:8080
udp         4m50s  UDP          203.0.113.11:35552     192.0.2.1:53           10.0.0.2:53
tcp         1m40s  FIN_WAIT     [2001:db8::11]:50004   [2001:db8::1]:80       [2001:db8::2]:80
any         4m58s  NONE         203.0.113.0:0          fwmark/7               10.0.0.1:0
! lvsctl: connection table: line 4: unknown protocol "this": "this is no row"
exit 1
`},
		{"of one service", " udp/192.0.2.1:53", `PROTOCOL  EXPIRES  STATE        CLIENT                 SERVICE                SERVER
udp         4m50s  UDP          203.0.113.11:35552     192.0.2.1:53           10.0.0.2:53
! lvsctl: connection table: line 4: unknown protocol "this": "this is no row"
exit 1
`},
		{"of a mark", " fwmark/7", "! lvsctl: the connection table does not tell firewall marks: leave fwmark/7 out\nexit 2\n"},
		{"with another view", " --stats", "! lvsctl: --connections and --stats are two listings: ask for one\nexit 2\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := playCommand(t, connectionHost(connectionTable), "lvsctl list --connections"+test.args)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("nothing is shown of what is no table", func(t *testing.T) {
		got := playCommand(t, connectionHost("something else\n"), "lvsctl list -c")
		if !strings.HasPrefix(got, "! lvsctl: ") || !strings.HasSuffix(got, "exit 1\n") {
			t.Errorf("shows %q", got)
		}
	})
	t.Run("json", func(t *testing.T) {
		rows := strings.Join(strings.Split(connectionTable, "\n")[:3], "\n") + "\n"
		got := playCommand(t, connectionHost(rows), "lvsctl list --conns -o json tcp/192.0.2.1:80")
		want := `{
  "schema": "lvskit.connections/v1",
  "connections": [
    {"protocol":"tcp","client":"203.0.113.11:50004","virtual":"192.0.2.1:80","destination":"10.0.0.1:8080","state":"ESTABLISHED","expires_seconds":897}
  ]
}
`
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestCarries(t *testing.T) {
	for row, err := range procfs.ParseConnections(strings.NewReader(connectionTable)) {
		if err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]bool{"tcp/192.0.2.1:80": true, "tcp/192.0.2.1:0": true, "udp/192.0.2.1:80": false, "tcp/192.0.2.1:81": false, "tcp/192.0.2.2:80": false} {
			key, err := ipvs.ParseServiceKey(text)
			if err != nil {
				t.Fatal(err)
			}
			if got := carries(key, &row); got != want {
				t.Errorf("%s carries %v: %v", text, row, got)
			}
		}
		break
	}
}

func BenchmarkListConnections(b *testing.B) {
	head, row, _ := strings.Cut(connectionTable, "\n")
	row, _, _ = strings.Cut(row, "\n")
	const rows = 100_000
	table := head + "\n" + strings.Repeat(row+"\n", rows)
	for _, args := range []string{"", "-ojson"} {
		b.Run("rows"+args, func(b *testing.B) {
			h := connectionHost(table)
			command := []string{"lvsctl", "list", "--connections"}
			if args != "" {
				command = append(command, "-o", "json")
			}
			b.ReportAllocs()
			for b.Loop() {
				if code := h.run(b.Context(), command, io.Discard, io.Discard); code != exitDone {
					b.Fatal(code)
				}
			}
			b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
