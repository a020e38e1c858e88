package convert

import (
	"bytes"
	"fmt"
	"testing"
)

// BenchmarkKeepalived takes over a file of 2,000 services with five servers
// each, and writes it again.
func BenchmarkKeepalived(b *testing.B) {
	var src bytes.Buffer
	for i := range 2000 {
		fmt.Fprintf(&src, "virtual_server 10.%d.%d.1 80 {\n lb_algo wrr\n lb_kind DR\n protocol TCP\n", i/200, i%200)
		for j := range 5 {
			fmt.Fprintf(&src, " real_server 172.16.%d.%d 80 {\n  weight 3\n  TCP_CHECK {\n   connect_timeout 3\n  }\n }\n", i%250, j+1)
		}
		src.WriteString("}\n")
	}
	cfg, _, err := FromKeepalived("k.conf", src.Bytes(), KeepalivedOptions{})
	if err != nil || len(cfg.Virtuals) != 2000 {
		b.Fatal(err)
	}
	b.Run("import", func(b *testing.B) {
		b.SetBytes(int64(src.Len()))
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := FromKeepalived("k.conf", src.Bytes(), KeepalivedOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("export", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if text, losses := ToKeepalived(cfg); len(losses) > 0 || len(text) < src.Len() {
				b.Fatal(losses)
			}
		}
	})
}
