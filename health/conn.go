package health

import (
	"context"
	"errors"
	"net"
	"time"
)

// errSelfConnect is what a connection to ourselves is: a simultaneous open of
// a port of the ephemeral range on this machine where nothing listens.
var errSelfConnect = errors.New("connected to itself; nothing listens there")

// dial opens the connection of a check. It goes through the textual address
// on purpose: net.Dialer.DialTCP with a zero local address binds the socket
// first, which takes one of some 28,000 local ports for all targets together
// rather than for each target.
func (a *attempt) dial(network string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1} // a check ends before a keepalive would
	c, err := d.DialContext(a.ctx, network, a.target.Addr.String())
	if err != nil {
		return nil, err
	}
	if network == "tcp" && c.LocalAddr().String() == c.RemoteAddr().String() {
		closeConn(c, false)
		return nil, errSelfConnect
	}
	return c, nil
}

// guard makes every blocked call on c return when ctx is done. The returned
// function must be called before c is used for anything else.
func guard(ctx context.Context, c net.Conn) (release func() bool) {
	if d, ok := ctx.Deadline(); ok {
		// Set even though AfterFunc follows: a busy runtime fires socket
		// deadlines without needing a goroutine.
		_ = c.SetDeadline(d)
	}
	return context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
}

// closeConn closes a connection. By default a TCP connection is closed with a
// RST (SO_LINGER of 0 s, socket(7)): it leaves no TIME_WAIT, and so never
// makes the kernel search for free ports. graceful sends a FIN instead.
func closeConn(c net.Conn, graceful bool) {
	if tcp, ok := c.(*net.TCPConn); ok && !graceful {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
