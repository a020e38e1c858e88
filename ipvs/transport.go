package ipvs

import "context"

// transport carries datagrams to the kernel and back: a netlink socket, or a
// script in tests.
type transport interface {
	// send hands one datagram to the kernel, which carries it out and queues
	// the answers before send returns. An error means that nothing was sent;
	// it is never a bare syscall.Errno, which is what the kernel answers.
	send(b []byte) error
	// tryReceive reads one datagram into b if there is one.
	tryReceive(b []byte) (n int, ok bool, err error)
	// receive waits for one datagram.
	receive(ctx context.Context, b []byte) (n int, err error)
	// Close ends a waiting receive with an error.
	Close() error
}
