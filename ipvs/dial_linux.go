package ipvs

import (
	"context"
	"errors"
	"fmt"
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
	t, buffer, err := openNetlink(cfg.NetNS, log)
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
}

func openNetlink(netns string, log *slog.Logger) (t *netlinkSocket, buffer int, err error) {
	var cfg socket.Config
	if netns != "" {
		f, err := os.Open(netns)
		if err != nil {
			// Wrapped without its errno, which would be taken for the
			// kernel's word on IPVS.
			return nil, 0, &netnsError{netns, err}
		}
		defer f.Close()
		cfg.NetNS = int(f.Fd())
	}
	conn, err := socket.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_GENERIC, "genetlink", &cfg)
	if err != nil {
		if netns != "" {
			return nil, 0, &netnsError{netns, err}
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
	return &netlinkSocket{conn, raw}, buffer, nil
}

// netnsError is a namespace that cannot be entered. It hides the errno from
// the table of IPVS errors, in which ENOENT means something else, and shows
// it to callers that ask for it by name.
type netnsError struct {
	path string
	err  error
}

func (e *netnsError) Error() string {
	return fmt.Sprintf("network namespace %s: %v (entering one needs CAP_SYS_ADMIN)", e.path, e.err)
}

func (e *netnsError) Is(target error) bool { return errors.Is(e.err, target) }

func (s *netlinkSocket) send(b []byte) error {
	var err error
	werr := s.raw.Write(func(fd uintptr) bool {
		for {
			_, err = unix.Write(int(fd), b)
			if err != unix.EINTR {
				break
			}
		}
		return err != unix.EAGAIN
	})
	if werr != nil {
		return werr
	}
	return os.NewSyscallError("send", err)
}

func (s *netlinkSocket) tryReceive(b []byte) (n int, ok bool, err error) {
	var flags int
	rerr := s.raw.Read(func(fd uintptr) bool {
		for {
			n, _, flags, _, err = unix.Recvmsg(int(fd), b, nil, unix.MSG_DONTWAIT)
			if err != unix.EINTR {
				return true
			}
		}
	})
	switch {
	case rerr != nil:
		return 0, false, rerr
	case err == unix.EAGAIN:
		return 0, false, nil
	case err != nil:
		return 0, false, os.NewSyscallError("receive", err)
	}
	return n, true, truncated(flags)
}

func (s *netlinkSocket) receive(ctx context.Context, b []byte) (int, error) {
	n, _, flags, _, err := s.conn.Recvmsg(ctx, b, nil, 0)
	if err != nil {
		return 0, err
	}
	return n, truncated(flags)
}

func (s *netlinkSocket) Close() error { return s.conn.Close() }

func truncated(flags int) error {
	if flags&unix.MSG_TRUNC != 0 {
		return fmt.Errorf("%w: longer than %d bytes", errMalformed, readSize)
	}
	return nil
}
