package dataplane

import (
	"os"
	"testing"
	"time"
)

func TestUsageOfThisProcess(t *testing.T) {
	self := processes{os.Getpid()}
	before, err := self.cpu()
	if err != nil {
		t.Fatal(err)
	}
	descriptors, err := self.descriptors()
	if err != nil {
		t.Fatal(err)
	}
	files := make([]*os.File, 7)
	for i := range files {
		if files[i], err = os.Open(os.DevNull); err != nil {
			t.Fatal(err)
		}
		defer files[i].Close()
	}
	if n, err := self.descriptors(); err != nil || n-descriptors != len(files) {
		t.Errorf("%d descriptors more, error %v; want %d", n-descriptors, err, len(files))
	}
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
	}
	if after, err := self.cpu(); err != nil || after <= before {
		t.Errorf("processor time went from %v to %v, error %v", before, after, err)
	}
	if n, err := self.memory(); err != nil || n < 1<<20 {
		t.Errorf("memory of a Go program: %d bytes, error %v", n, err)
	}
	if _, err := (processes{1 << 30}).cpu(); err == nil {
		t.Error("no error for a process that is not there")
	}
}

func TestTotalCalls(t *testing.T) {
	const text = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000030           3        10         2 read
 40.00    0.000020           2        10           write
------ ----------- ----------- --------- --------- ----------------
100.00    0.000050           2        20         2 total
`
	if n, err := totalCalls(text); n != 20 || err != nil {
		t.Errorf("%d, %v; want 20", n, err)
	}
	if _, err := totalCalls("strace: Process 1 attached\n"); err == nil {
		t.Error("no error where there is no total")
	}
}
