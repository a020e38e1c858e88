package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Source answers the service's questions and takes its orders; the director is
// one.
type Source interface {
	Status(context.Context) (*Status, error)
	List(context.Context) (*List, error)
	// Yield orders the service to be handed over to the partner. It returns
	// when the order is given, with the status after it.
	Yield(context.Context) (*Status, error)
	// Reclaim ends what Yield began: where its priority is higher, this router
	// takes over again. It is for VRRP.
	Reclaim(context.Context) (*Status, error)
}

// maxPath is the room for a path in a socket's address: 104 bytes with the
// last one zero on macOS, 108 on Linux.
const maxPath = 103

// Listen opens the daemon's socket at path with access for its owner and
// group. A socket that a dead daemon left there is replaced; one that a
// living daemon answers on is an error.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("control socket %s: a path of %d bytes is too long for a socket, %d are possible; choose another place with --socket", path, len(path), maxPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("control socket: %w; choose another place with --socket", err)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("control socket %s: a file that is no socket is in the way; move it, or choose another place with --socket", path)
		}
		// Only a refusal says that nobody listens; a daemon may be too busy
		// to answer.
		c, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			c.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("control socket %s: another daemon answers there; stop it, or choose another place with --socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket %s: %w", path, err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w; choose another place with --socket", path, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	return l, nil
}

// Serve answers on l until ctx ends, then closes it.
func Serve(ctx context.Context, l net.Listener, src Source) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", answer(src.Status))
	mux.HandleFunc("GET /v1/list", answer(src.List))
	mux.HandleFunc("POST /v1/yield", answer(src.Yield))
	mux.HandleFunc("POST /v1/reclaim", answer(src.Reclaim))
	srv := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	err := srv.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("control socket: %w", err)
}

func answer[T any](ask func(context.Context) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		doc, err := ask(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		// An error here is the reader's going away.
		_ = enc.Encode(doc)
	}
}
