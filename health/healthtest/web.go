package healthtest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Web answers HTTP requests as told at the moment. Its method Serve is a
// [Behavior]; the zero value answers 200 with an empty body. It is safe for
// concurrent use.
type Web struct {
	mu       sync.Mutex
	status   int
	delay    time.Duration
	body     string
	header   http.Header
	requests []*http.Request
}

// SetStatus changes the status code; 0 means 200.
func (w *Web) SetStatus(code int) { w.set(func() { w.status = code }) }

// SetDelay changes the time between a request and its answer.
func (w *Web) SetDelay(d time.Duration) { w.set(func() { w.delay = d }) }

// SetBody changes the body.
func (w *Web) SetBody(body string) { w.set(func() { w.body = body }) }

// SetHeader changes the headers of the answer.
func (w *Web) SetHeader(h http.Header) { w.set(func() { w.header = h.Clone() }) }

func (w *Web) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// Requests returns the requests so far, at most the last 100, without bodies.
func (w *Web) Requests() []*http.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*http.Request(nil), w.requests...)
}

// Serve answers one request and closes.
func (w *Web) Serve(ctx context.Context, c net.Conn) {
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	w.mu.Lock()
	if w.requests = append(w.requests, req); len(w.requests) > 100 {
		w.requests = w.requests[1:]
	}
	status, delay, body, header := w.status, w.delay, w.body, w.header.Clone()
	w.mu.Unlock()
	if delay > 0 && !sleep(ctx, delay) {
		return
	}
	if status == 0 {
		status = http.StatusOK
	}
	fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\nConnection: close\r\n", status, http.StatusText(status), len(body))
	_ = header.Write(c)
	fmt.Fprintf(c, "\r\n%s", body)
}
