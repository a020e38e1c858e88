package healthtest

import (
	"net"
	"net/netip"
	"sync"
	"testing"
)

// UDPServer answers datagrams on 127.0.0.1.
type UDPServer struct {
	conn *net.UDPConn

	mu       sync.Mutex
	received int
}

// NewUDPServer starts a server that sends back what answer makes of a
// datagram, or nothing if that is nil. It ends with the test.
func NewUDPServer(tb testing.TB, answer func(datagram []byte) []byte) *UDPServer {
	tb.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatalf("healthtest: %v", err)
	}
	s := &UDPServer{conn: conn}
	var running sync.WaitGroup
	running.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.received++
			s.mu.Unlock()
			if reply := answer(buf[:n]); reply != nil {
				_, _ = conn.WriteToUDPAddrPort(reply, from)
			}
		}
	})
	tb.Cleanup(func() { conn.Close(); running.Wait() })
	return s
}

// Addr is where the server listens.
func (s *UDPServer) Addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Received is how many datagrams have come.
func (s *UDPServer) Received() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received
}
