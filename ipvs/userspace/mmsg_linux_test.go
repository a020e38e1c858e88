package userspace

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/ipvs"
)

// fdOf runs f with the descriptor of a socket.
func fdOf(t *testing.T, c *net.UDPConn, f func(fd int)) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { f(int(fd)) }); err != nil {
		t.Fatal(err)
	}
}

// pair returns a socket and one that is connected to it.
func udpPair(t *testing.T) (at, from *net.UDPConn) {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	c, err := net.Dial("udp4", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return pc.(*net.UDPConn), c.(*net.UDPConn)
}

// What is queued together goes in as few messages as the rules allow, and
// arrives as it was: cut by the system, or one by one where it will not.
func TestBatchJoinsAndCuts(t *testing.T) {
	tests := []struct {
		name     string
		sizes    []int
		messages int
	}{
		{"equal ones", []int{500, 500, 500}, 1},
		{"a shorter end", []int{500, 500, 20}, 1},
		{"nothing behind a shorter one", []int{500, 20, 20, 500}, 3},
		{"a longer one begins anew", []int{500, 501, 501}, 2},
		{"empty ones stay alone", []int{0, 0, 500, 0, 500}, 5},
		{"not beyond the largest", []int{30000, 30000, 30000}, 2},
	}
	for _, tt := range tests {
		for _, singly := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, singly %v", tt.name, singly), func(t *testing.T) {
				at, from := udpPair(t)
				b := newBatch()
				for i, size := range tt.sizes {
					copy(b.bufs[i][:size], strings.Repeat(string(rune('a'+i)), size))
					b.in[i].n = uint32(size)
					if n, bytes := b.queue(i, nil, true); n != 1 || bytes != size {
						t.Errorf("buffer %d: %d datagrams of %d bytes, want 1 of %d", i, n, bytes, size)
					}
				}
				if b.queued != tt.messages || b.left(0) != len(tt.sizes) {
					t.Errorf("%d messages of %d datagrams, want %d of %d", b.queued, b.left(0), tt.messages, len(tt.sizes))
				}
				fdOf(t, from, func(fd int) {
					if !singly {
						if n, err := b.send(fd, 0); n != b.queued || err != nil {
							t.Errorf("sent %d of %d messages: %v", n, b.queued, err)
						}
						return
					}
					for j := range b.queued {
						if b.about[j].size == 0 {
							if err := sendOne(fd, nil, nil); err != nil {
								t.Error(err)
							}
						} else if n, bytes := b.sendSingly(fd, j); n != b.about[j].segments || bytes != b.about[j].bytes {
							t.Errorf("message %d: sent %d datagrams of %d bytes of %+v", j, n, bytes, b.about[j])
						}
					}
				})
				at.SetDeadline(time.Now().Add(patience))
				buf := make([]byte, 64<<10)
				for i, size := range tt.sizes {
					n, err := at.Read(buf)
					if want := strings.Repeat(string(rune('a'+i)), size); err != nil || string(buf[:n]) != want {
						t.Fatalf("datagram %d has %d bytes, %v, want %d", i, n, err, size)
					}
				}
			})
		}
	}
}

// A message that nobody can send says so, and the system's refusal to cut is
// told from others.
func TestCannotSegment(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.EINVAL: true, syscall.EMSGSIZE: true, syscall.EIO: true,
		syscall.ECONNREFUSED: false, syscall.EAGAIN: false, syscall.EPERM: false,
	} {
		if cannotSegment(err) != want {
			t.Errorf("%v: %v, want %v", err, !want, want)
		}
	}
}

// Clients whose datagrams the system joins are served as any others, also
// when each is scheduled by itself.
func TestUDPJoinedDatagrams(t *testing.T) {
	for name, flags := range map[string]ipvs.ServiceFlags{"session": 0, "one packet": ipvs.OnePacket} {
		t.Run(name, func(t *testing.T) {
			a, bb := echoUDP(t, "a"), echoUDP(t, "b")
			b := newOneLoop(t, nil)
			s := udpService(t, b, "rr", dest(addrOf(a), 1), dest(addrOf(bb), 1))
			s.Flags = flags
			apply(t, b, change(ipvs.OpSetService, s, ipvs.Destination{}))
			c := dialUDP(t, s)
			fdOf(t, c, func(fd int) {
				if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 100); err != nil {
					t.Fatal(err)
				}
			})
			var text string
			for i := range 6 {
				text += strings.Repeat(fmt.Sprint(i), 100)
			}
			text += "end"
			if _, err := c.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(patience))
			got := map[string]int{}
			servers := map[byte]int{}
			buf := make([]byte, 2048)
			for range 7 {
				n, err := c.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				servers[buf[0]]++
				got[string(buf[1:n])]++
			}
			for i := range 7 {
				if piece := text[i*100 : min(i*100+100, len(text))]; got[piece] != 1 {
					t.Errorf("datagram %d came back %d times", i, got[piece])
				}
			}
			if flags == 0 && servers['b'] != 7 || flags != 0 && (servers['a'] != 3 || servers['b'] != 4) {
				t.Errorf("answers by %v", servers)
			}
			eventually(t, "each datagram is counted", func() bool {
				st := entry(t, b, s.Key).Service.Stats
				return st.InPackets == 7 && st.OutPackets == 7 && st.InBytes == 603 && st.OutBytes == 610
			})
		})
	}
}
