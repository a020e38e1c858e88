package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"syscall"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// wantBuffer is the receive buffer to ask for: room beyond what a batch that
// fails as a whole needs. Without the rights the default stays, and batches
// are smaller.
const wantBuffer = 1 << 20

// Dial opens a netlink socket in the network namespace of cfg and looks IPVS
// up. The look-up makes the kernel load the module where it may.
//
// Its error is [ErrNoIPVS] if the kernel has none, and [errors.ErrUnsupported]
// on systems other than Linux. Missing rights show with the first command, as
// [ErrNotPermitted], because the look-up needs none.
func Dial(ctx context.Context, cfg *Config) (*Client, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t, buffer, err := openNetlink(cfg, log)
	if err != nil {
		return nil, &OpError{Op: OpDial, Err: err}
	}
	return newClient(ctx, t, buffer, log)
}

// netlinkSocket is the real transport. It stands on mdlayher/socket, which
// mdlayher/netlink stands on as well, and not on the latter: a netlink.Conn
// turns the first error of a datagram into a Go error without the sequence
// number by which a batch finds the command that failed, and it sizes each
// receive by a peek, which doubles the system calls of a listing.
type netlinkSocket struct {
	conn *socket.Conn
	raw  syscall.RawConn

	// Made once, as a closure for each call would be garbage; the fields
	// below are their arguments and results. The client's turn guards them.
	write, read func(fd uintptr) bool
	buf         []byte
	n           int
	err         error
}

func newNetlinkSocket(conn *socket.Conn, raw syscall.RawConn) *netlinkSocket {
	s := &netlinkSocket{conn: conn, raw: raw}
	s.write = func(fd uintptr) bool {
		for {
			_, s.err = unix.Write(int(fd), s.buf)
			if s.err != unix.EINTR {
				return s.err != unix.EAGAIN
			}
		}
	}
	s.read = func(fd uintptr) bool { // the socket does not block
		for {
			s.n, s.err = unix.Read(int(fd), s.buf)
			if s.err != unix.EINTR {
				return true
			}
		}
	}
	return s
}

func openNetlink(cfg *Config, log *slog.Logger) (t *netlinkSocket, buffer int, err error) {
	ns := cfg.NetNSFile
	if ns != nil && cfg.NetNS != "" {
		return nil, 0, fmt.Errorf("network namespace %s: given by path and by descriptor: %w", cfg.NetNS, syscall.EINVAL)
	}
	if cfg.NetNS != "" {
		if ns, err = os.Open(cfg.NetNS); err != nil {
			// Wrapped without its errno, which would be taken for the
			// kernel's word on IPVS.
			return nil, 0, &netnsError{cfg.NetNS, err}
		}
		defer ns.Close()
	}
	var enter socket.Config
	if ns != nil {
		enter.NetNS = int(ns.Fd())
	}
	conn, err := socket.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_GENERIC, "genetlink", &enter)
	if err != nil {
		if ns != nil {
			return nil, 0, &netnsError{ns.Name(), err}
		}
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	if err := conn.Bind(&unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, 0, err
	}
	// Connecting makes the kernel the only sender whose messages pass.
	if _, err := conn.Connect(context.Background(), &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, 0, err
	}
	// Both only save room in the receive buffer, so they may fail.
	if err := conn.SetsockoptInt(unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1); err != nil {
		log.Debug("ipvs: errors come with a copy of the request", "error", err)
	}
	if err := conn.SetsockoptInt(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, wantBuffer); err != nil {
		log.Debug("ipvs: the receive buffer stays as it is", "error", err)
	}
	if buffer, err = conn.GetsockoptInt(unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil {
		return nil, 0, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, 0, err
	}
	return newNetlinkSocket(conn, raw), buffer, nil
}

// netnsError is a namespace that cannot be entered. It hides the errno from
// the table of IPVS errors, in which ENOENT means something else, and shows
// it to callers that ask for it by name.
type netnsError struct {
	path string
	err  error
}

func (e *netnsError) Error() string {
	err, cure := e.err, ""
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		cure = ": entering one needs CAP_SYS_ADMIN"
	case errors.Is(err, fs.ErrNotExist):
		cure = ": ip netns lists those that have a name"
	case errors.Is(err, syscall.EINVAL):
		cure = ": the file is no network namespace"
	}
	return fmt.Sprintf("network namespace %s: %v%s", e.path, err, cure)
}

func (e *netnsError) Is(target error) bool { return errors.Is(e.err, target) }

func (s *netlinkSocket) send(b []byte) error {
	s.buf = b
	if err := s.raw.Write(s.write); err != nil {
		return err
	}
	return os.NewSyscallError("send", s.err)
}

func (s *netlinkSocket) tryReceive(b []byte) (n int, ok bool, err error) {
	s.buf = b
	if err := s.raw.Read(s.read); err != nil {
		return 0, false, err
	}
	switch s.err {
	case nil:
		return s.n, true, truncated(s.n, b)
	case unix.EAGAIN:
		return 0, false, nil
	}
	return 0, false, os.NewSyscallError("receive", s.err)
}

func (s *netlinkSocket) receive(ctx context.Context, b []byte) (int, error) {
	n, err := s.conn.ReadContext(ctx, b)
	if err != nil {
		return 0, err
	}
	return n, truncated(n, b)
}

// truncated tells of a datagram that fills the buffer, which is larger than
// any that the kernel makes.
func truncated(n int, b []byte) error {
	if n == len(b) {
		return fmt.Errorf("%w: %d bytes or more", errMalformed, n)
	}
	return nil
}

func (s *netlinkSocket) Close() error { return s.conn.Close() }
