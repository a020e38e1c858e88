package demo

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// A server of the tour can die and come back on the port it had.
type server interface {
	name() string
	addr() string
	start() error
	kill()
}

// webServer answers every request with its own name.
type webServer struct {
	label string
	mu    sync.Mutex
	at    string
	srv   *http.Server
}

func (w *webServer) name() string { return w.label }
func (w *webServer) addr() string { return w.at }

func (w *webServer) start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, err := listenAgain(func() (net.Listener, error) { return net.Listen("tcp", w.at) })
	if err != nil {
		return fmt.Errorf("web server %s: %w", w.label, err)
	}
	w.at = l.Addr().String()
	w.srv = &http.Server{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			io.WriteString(rw, w.label)
		}),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	go w.srv.Serve(l)
	return nil
}

func (w *webServer) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.srv != nil {
		w.srv.Close()
		w.srv = nil
	}
}

// echoServer answers each datagram with its own name.
type echoServer struct {
	label string
	mu    sync.Mutex
	at    string
	conn  net.PacketConn
}

func (e *echoServer) name() string { return e.label }
func (e *echoServer) addr() string { return e.at }

func (e *echoServer) start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := listenAgain(func() (net.PacketConn, error) { return net.ListenPacket("udp", e.at) })
	if err != nil {
		return fmt.Errorf("udp server %s: %w", e.label, err)
	}
	e.at, e.conn = c.LocalAddr().String(), c
	go func() {
		buf := make([]byte, 2048)
		for {
			_, from, err := c.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				c.WriteTo([]byte(e.label), from)
			}
		}
	}()
	return nil
}

func (e *echoServer) kill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != nil {
		e.conn.Close()
		e.conn = nil
	}
}

// listenAgain waits a moment for a port that another program borrowed for an
// outgoing connection while our server was dead.
func listenAgain[T any](listen func() (T, error)) (T, error) {
	for try := 0; ; try++ {
		l, err := listen()
		if err == nil || try == 20 {
			return l, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}
