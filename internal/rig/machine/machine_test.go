package machine

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestKernelText(t *testing.T) {
	for _, k := range []Kernel{Debian, Own, Qemu} {
		b, err := k.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got Kernel
		if err := got.UnmarshalText(b); err != nil || got != k {
			t.Errorf("%s came back as %q, %v", k, got, err)
		}
	}
	var k Kernel
	if err := k.UnmarshalText([]byte("hurd")); err == nil || !strings.Contains(err.Error(), "debian, own or qemu") {
		t.Errorf("hurd: %v, want an error that names the kernels", err)
	}
}

func TestErrorSaysWhy(t *testing.T) {
	err := error(&Error{Kernel: Own, After: 1500 * time.Millisecond, Err: ErrDied, Exit: "its process: exit status 134", Console: "one\ntwo"})
	want := "guest own: guest ended without a result after 1.5s (its process: exit status 134)\nlast words on its console:\n\tone\n\ttwo"
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	if !errors.Is(err, ErrDied) {
		t.Error("is not ErrDied")
	}
}

func TestTail(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"short":                 {"a\r\nb\n", "a\nb"},
		"from a line on":        {"first line\nsecond\nthird", "... second\nthird"},
		"one endless line":      {strings.Repeat("x", 30) + "end", "... " + strings.Repeat("x", 13) + "end"},
		"no terminal commands":  {"\x1b[31mred\x07\x00", "[31mred"},
		"a panic and its trace": {"boot\nKernel panic - why\ntrace", "Kernel panic - w ..."},
		"cut within a letter":   {"ab\n" + strings.Repeat("é", 9), "... " + strings.Repeat("é", 8)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tail([]byte(tt.in), 16); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestModuleClosure(t *testing.T) {
	dep := "kernel/net/ipvs/ip_vs.ko.xz: kernel/net/nf/nf_conntrack.ko.xz kernel/lib/crc.ko.xz\n" +
		"kernel/net/nf/nf_conntrack.ko.xz: kernel/lib/crc.ko.xz\n" +
		"kernel/lib/crc.ko.xz:\n" +
		"kernel/drivers/net/veth.ko.xz:\n" +
		"kernel/drivers/scsi/big.ko.xz: kernel/drivers/scsi/other.ko.xz\n" +
		"kernel/drivers/scsi/other.ko.xz: kernel/drivers/scsi/big.ko.xz\n"
	got, err := moduleClosure(dep, []string{"kernel/net/ipvs/", "kernel/drivers/net/veth."})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"kernel/drivers/net/veth.ko.xz", "kernel/lib/crc.ko.xz", "kernel/net/ipvs/ip_vs.ko.xz", "kernel/net/nf/nf_conntrack.ko.xz"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	if got, err := moduleClosure(dep, []string{"kernel/drivers/scsi/"}); err != nil || len(got) != 2 {
		t.Errorf("a circle: %q, %v", got, err)
	}
	if _, err := moduleClosure("no colon\n", nil); err == nil {
		t.Error("accepted a line without a colon")
	}
}

func TestArchive(t *testing.T) {
	var b bytes.Buffer
	a := newArchive(&b)
	for _, f := range []struct{ name, text string }{{"/a/b/c", "hello"}, {"/a/b/d", ""}, {"/a/b/c", "twice"}} {
		if err := a.file(f.name, 0o755, int64(len(f.text)), strings.NewReader(f.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.folder("/a/e"); err != nil {
		t.Fatal(err)
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"040755 a", "040755 a/b", "100755 a/b/c hello", "100755 a/b/d", "040755 a/e", "000000 TRAILER!!!"}
	if diff := cmp.Diff(want, listArchive(t, b.Bytes())); diff != "" {
		t.Errorf("archive (-want +got):\n%s", diff)
	}
	if err := newArchive(&b).file("/x", 0o644, 10, strings.NewReader("short")); err == nil {
		t.Error("accepted a file that is shorter than it said")
	}
}

// listArchive reads what the kernel would.
func listArchive(t *testing.T, b []byte) []string {
	t.Helper()
	number := func(i int) (n int) {
		for _, c := range b[6+8*i : 14+8*i] {
			n = n<<4 | strings.IndexByte("0123456789abcdef", c)
		}
		return n
	}
	round := func(n int) int { return (n + 3) &^ 3 }
	var out []string
	for len(b) > 0 {
		if string(b[:6]) != "070701" {
			t.Fatalf("no entry begins at %q", b[:min(len(b), 20)])
		}
		mode, size, nameLen := number(1), number(6), number(11)
		name := string(b[110 : 110+nameLen-1])
		data := round(110 + nameLen)
		line := ""
		for shift := 15; shift >= 0; shift -= 3 {
			line += string("01234567"[mode>>shift&7])
		}
		line += " " + name
		if size > 0 {
			line += " " + string(b[data:data+size])
		}
		out = append(out, line)
		b = b[data+round(size):]
	}
	return out
}
