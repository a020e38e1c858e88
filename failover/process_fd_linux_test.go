package failover

import (
	"errors"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openFiles returns how many this process has, and the highest.
func openFiles(t *testing.T) (n, top int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		top = max(top, fd)
	}
	return len(entries), top
}

// Processes that come and go leave no descriptor behind.
func TestBeatProcessesLeaveNoDescriptors(t *testing.T) {
	_, highest := openFiles(t)
	var before int
	for i := range 6 {
		p, err := spawnBeat(&BeatConfig{NormalPriority: true})
		if err != nil {
			t.Fatal(err)
		}
		// It works: it says that it is ready.
		if n, err := p.link.read(); err != nil || n.Kind != noteHello {
			t.Fatalf("first message %+v, %v", n, err)
		}
		if _, top := openFiles(t); top <= highest {
			t.Fatalf("the socket is number %d, below %d others", top, highest)
		}
		if i%2 == 0 {
			p.kill()
		}
		if i%2 == 1 { // it ends by itself
			p.link.close()
		} else if _, err := p.link.read(); !errors.Is(err, io.EOF) {
			t.Errorf("the end of the process is %v", err)
		}
		if err := p.wait(); (err != nil) != (i%2 == 0) {
			t.Errorf("process %d: %v", i, err)
		}
		if p.stopped(true) {
			t.Error("a process that has ended is stopped")
		}
		p.link.close()
		n, _ := openFiles(t)
		if i == 0 {
			before = n
		} else if n > before+2 { // the runtime's own may come
			t.Fatalf("%d descriptors after %d processes, %d after the first", n, i+1, before)
		}
	}
}

// A log that nobody reads does not keep the process from its end.
func TestLastWordsWaitForNoReader(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	fd := int(w.Fd()) // blocks
	room, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, make([]byte, room)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		newKeeper(&oneWay{}).write(fd, 1, nil)
	}()
	select {
	case <-done:
	case <-time.After(30 * obituaryLimit):
		t.Error("it waits for the reader")
	}
	r.Close() // ends the write
	<-done
}
