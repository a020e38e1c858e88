package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"
)

// ErrNoDaemon tells that nobody listens on the socket.
var ErrNoDaemon = errors.New("no daemon")

// maxAnswer bounds what a client reads; the largest tables in the field are
// far below it.
const maxAnswer = 256 << 20

// patience is how long a daemon may take to answer.
const patience = 10 * time.Second

// Client asks a daemon over its socket.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a client of the daemon whose socket is at path. It opens
// nothing until it is asked.
func NewClient(path string) *Client {
	return &Client{path: path, http: http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", path)
			},
			DisableKeepAlives: true,
		},
	}}
}

// Status asks for the daemon's status. The error is [ErrNoDaemon] when none
// runs there.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "status")
}

// List asks for the data plane's table.
func (c *Client) List(ctx context.Context) (*List, error) {
	return ask[List](ctx, c, http.MethodGet, "list")
}

// Yield orders the daemon to hand over to its partner. It returns the status
// right after the order, not what came of it.
func (c *Client) Yield(ctx context.Context) (*Status, error) {
	return ask[Status](ctx, c, http.MethodPost, "yield")
}

// Reclaim orders the daemon to take over again where its priority is higher,
// after a Yield. It returns the status right after the order.
func (c *Client) Reclaim(ctx context.Context) (*Status, error) {
	return ask[Status](ctx, c, http.MethodPost, "reclaim")
}

func ask[T any](ctx context.Context, c *Client, method, what string) (*T, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://lvskit/v1/"+what, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	var dial *net.OpError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("control socket %s: permission denied: ask as root, or as a member of the socket's group", c.path)
	case errors.As(err, &dial) && dial.Op == "dial":
		return nil, fmt.Errorf("%w answers on %s: start one with \"lvsctl run\", or name its socket with --socket", ErrNoDaemon, c.path)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("control socket %s: interrupted", c.path)
	case os.IsTimeout(err):
		return nil, fmt.Errorf("control socket %s: the daemon does not answer within %v: is its process stopped?", c.path, patience)
	case err != nil:
		return nil, fmt.Errorf("control socket %s: %w", c.path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", c.path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("daemon at %s: %s", c.path, bytes.TrimSpace(body))
	}
	var doc T
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("daemon at %s: answer is not the document asked for: %w", c.path, err)
	}
	return &doc, nil
}
