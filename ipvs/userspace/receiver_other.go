//go:build !linux

package userspace

import (
	"net"
	"sync"
)

// receiver reads datagrams into a buffer that it holds all the time.
type receiver struct {
	sock *net.UDPConn
	pool *sync.Pool
	buf  *datagram
}

func newReceiver(c *net.UDPConn, pool *sync.Pool) *receiver {
	return &receiver{sock: c, pool: pool, buf: pool.Get().(*datagram)}
}

// receive waits for a datagram; it is valid until the next call.
func (r *receiver) receive() ([]byte, error) {
	n, err := r.sock.Read(r.buf[:])
	return r.buf[:n], err
}

func (r *receiver) release() {}

func (r *receiver) close() { r.pool.Put(r.buf) }
