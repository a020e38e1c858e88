package userspace

import (
	"net"
	"sync"
	"syscall"
)

// receiver reads datagrams and holds a buffer only while there is one, so
// that thousands of silent sessions cost no buffers.
type receiver struct {
	raw  syscall.RawConn
	pool *sync.Pool
	try  func(fd uintptr) bool // made once, for it would be allocated at each call
	buf  *datagram
	n    int
	err  error
}

func newReceiver(c *net.UDPConn, pool *sync.Pool) *receiver {
	r := &receiver{pool: pool}
	r.raw, r.err = c.SyscallConn()
	r.try = func(fd uintptr) bool {
		r.buf = r.pool.Get().(*datagram)
		for {
			r.n, r.err = syscall.Read(int(fd), r.buf[:])
			if r.err != syscall.EINTR {
				break
			}
		}
		if r.err != nil {
			r.release()
		}
		return r.err != syscall.EAGAIN
	}
	return r
}

// receive waits for a datagram; release gives it back.
func (r *receiver) receive() ([]byte, error) {
	if r.raw == nil {
		return nil, r.err
	}
	if err := r.raw.Read(r.try); err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.buf[:r.n], nil
}

func (r *receiver) release() {
	if r.buf != nil {
		r.pool.Put(r.buf)
		r.buf = nil
	}
}

func (r *receiver) close() { r.release() }
