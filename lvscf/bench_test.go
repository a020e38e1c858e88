package lvscf

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// largeFile is a file of 100,000 lines as the web tool writes them, with
// comments.
func largeFile() []byte {
	const lines = 100_000
	var b strings.Builder
	b.WriteString("serial_no = 102\nprimary = 192.0.2.1\nservice = lvs\nbackup_active = 1\nbackup = 192.0.2.2\nheartbeat = 1\n" +
		"heartbeat_port = 539\nkeepalive = 6\ndeadtime = 18\nnetwork = direct\ndebug_level = NONE\n")
	n := 11
	for i := 0; n+23+12*6+1 <= lines; i++ {
		fmt.Fprintf(&b, "# service %d\nvirtual web%d {\n     active = 1\n     address = 10.%d.%d.%d eth0:%d\n     vip_nmask = 255.255.255.255\n     port = 80\n"+
			"     persistent = 300\n     send = \"GET /up?service=%d HTTP/1.0\\r\\n\\r\\n\"\n     expect = \"HTTP/1.0 200\"\n     use_regex = 0\n     load_monitor = none\n"+
			"     scheduler = wlc\n     protocol = tcp\n     timeout = 5\n     reentry = 15\n     quiesce_server = 0\n",
			i, i, i>>16&255, i>>8&255, i&255, i, i)
		n += 16
		for j := range 13 {
			fmt.Fprintf(&b, "     server app%d-%d {\n         address = 172.%d.%d.%d\n         active = 1\n         port = 80\n         weight = %d\n     }\n", i, j, 16+i>>8&15, i&255, j+1, j+1)
			n += 6
		}
		b.WriteString("}\n")
		n++
	}
	for ; n < lines; n++ {
		b.WriteString("# the end\n")
	}
	return []byte(b.String())
}

// BenchmarkRead100000Lines reads a file with positions into a configuration,
// and the same configuration from JSON, which has no positions.
func BenchmarkRead100000Lines(b *testing.B) {
	src := largeFile()
	cfg, ds := Load("large.cf", src)
	if cfg == nil || len(ds) > 0 || strings.Count(string(src), "\n") != 100_000 {
		b.Fatal(len(ds), ds[:min(3, len(ds))])
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		b.Fatal(err)
	}
	perLine := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/line")
	}
	for _, dialect := range []Dialect{Lenient, Strict} {
		b.Run("lvscf/"+dialect.String(), func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if got, ds := (Options{Dialect: dialect}).Load("large.cf", src); got == nil || len(got.Virtuals) != len(cfg.Virtuals) {
					b.Fatal(ds)
				}
			}
			perLine(b)
		})
	}
	b.Run("lvscf/parse", func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		b.ReportAllocs()
		for b.Loop() {
			if f, _ := Parse("large.cf", src); len(f.Body) == 0 {
				b.Fatal("empty")
			}
		}
		perLine(b)
	})
	b.Run("json", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			got := NewConfig()
			if err := json.Unmarshal(text, got); err != nil || len(got.Virtuals) != len(cfg.Virtuals) {
				b.Fatal(err)
			}
		}
		perLine(b)
	})
}
