package lvscf

import (
	"bytes"
	"fmt"
	"testing"
)

// longFile returns a file of about 100,000 lines: 1,000 services of 20 servers.
func longFile() []byte {
	var b bytes.Buffer
	b.WriteString("serial_no = 1\nnetwork = direct\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "virtual v%d {\n     active = 1\n     address = 10.%d.%d.1 eth0:%d\n     port = %d\n", i, i/200, i%200, i, 1000+i)
		for j := range 20 {
			fmt.Fprintf(&b, "     server s%d {\n         address = 10.9.%d.%d\n         active = 1\n         weight = %d\n     }\n", j, i/250, 1+i%250, 1+j)
		}
		b.WriteString("}\n")
	}
	return b.Bytes()
}

// BenchmarkApply makes edits in a file of 100,000 lines.
func BenchmarkApply(b *testing.B) {
	src := longFile()
	f, ds := Parse("lvs.cf", src)
	if ds.HasErrors() {
		b.Fatal(ds)
	}
	for _, n := range []int{1, 1000} {
		var edits []Edit
		for i := range n {
			v := Path{}.Virtual(fmt.Sprintf("v%d", i))
			if i%2 == 0 {
				edits = append(edits, Set(v.Server("s7").Directive("weight"), "50"))
			} else {
				edits = append(edits, Add(v.Server("new")), Set(v.Server("new").Directive("address"), "10.8.0.1"))
			}
		}
		b.Run(fmt.Sprintf("edits=%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Apply(edits...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFormat formats a file of 100,000 lines.
func BenchmarkFormat(b *testing.B) {
	src := longFile()
	f, _ := Parse("lvs.cf", src)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Format(); err != nil {
			b.Fatal(err)
		}
	}
}
