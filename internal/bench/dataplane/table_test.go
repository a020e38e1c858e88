package dataplane

import (
	"math"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	r := results{}
	for _, v := range []float64{3, 1, 2, 100} {
		r.note(keptRate, nameOurs, v)
	}
	r.note(keptRate, nameHA, 2)
	r.note(keptRate, nameSplice, 4)
	r.note(half99, nameOurs, 1.5)
	r.note(half99, nameHA, 1)
	r.note(half99, nameSplice, 2)
	r.note(udpRate, nameOurs, 7)
	r.note(udpRate, nameNginx, 14)
	r.note(newRate, nameNginx, 14)
	r.note(idleRSS, nameOurs, 9)
	r.note(idleFDs, nameOurs, 2.001)

	var words []string
	for line := range strings.Lines(r.write([]string{nameOurs, nameHA, nameSplice, nameNginx}, []string{nameHA, nameSplice}, nameNginx)) {
		words = append(words, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"median (least) lvskit HAProxy HAProxy splicing nginx stream ratio goal",
		"new connections, 1,000/s - - - 14.0 (14.0) -",
		"kept requests, 1,000/s 2.50 (1.00) 2.00 (2.00) 4.00 (4.00) - 0.62 at least 0.95, missed",
		"half load, 99th percentile ms 1.50 (1.50) 1.00 (1.00) 2.00 (2.00) - 1.50 at most 1.00, missed",
		"RSS MiB per 10,000 idle connections 9.00 (9.00) - - - - at most 8, missed",
		"descriptors per idle connection 2.00 (2.00) - - - - at most 2",
		"datagrams answered, 1,000/s 7.00 (7.00) - - 14.0 (14.0) 0.50 of nginx stream",
	}
	if got, want := strings.Join(words, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBestIsOfThoseMeasured(t *testing.T) {
	r := results{}
	if v := r.best(newCPU, nameHA, nameSplice); !math.IsNaN(v) {
		t.Errorf("best of nothing is %v", v)
	}
	r.note(newCPU, nameSplice, 3)
	if v := r.best(newCPU, nameHA, nameSplice); v != 3 {
		t.Errorf("best is %v, want the only one there is, 3", v)
	}
	if v, ok := r.ratio(newCPU, nameOurs, nameHA); ok {
		t.Errorf("a ratio of nothing: %v", v)
	}
}

func TestDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.01234: "0.0123", 0.5: "0.500", 1.234: "1.23", 12.34: "12.3", 1234.5: "1234"} {
		if got := digits(v); got != want {
			t.Errorf("digits(%v) = %q, want %q", v, got, want)
		}
	}
}
