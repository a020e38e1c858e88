package health_test

import (
	"io"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// What goes wrong in HTTP/2 is named.
func TestHTTP2SaysWhatIsWrong(t *testing.T) {
	web := must(health.NewHTTP(&health.HTTPConfig{HTTP2: true}))
	table := map[string]conversation{}
	for name, reason := range map[string]string{
		"answers a request not made": "read: the server answers request 3, which was not made",
		"pushes":                     "read: the server pushes, though it is not to",
		"data without headers":       "read: the answer has a body, but no headers before it",
		"a bomb of headers":          "read: more than 65536 bytes of headers",
		"a header without an end":    "read: ",
		"headers without a status":   "read: the answer has no status",
		"interim answers for ever":   "read: more than 100 frames, and no answer",
		"pings for ever":             "read: more than 100 frames, and no answer",
		"settles and closes":         "read: ",
		"a frame of 16 MiB":          "read: the answer is no HTTP/2",
		"ends the request":           "read: the server ends the request: INTERNAL_ERROR",
		"sends the client away":      "read: the server ends the connection: ENHANCE_YOUR_CALM too many",
	} {
		table[name] = conversation{web, healthtest.HTTP2Misbehaviors()[name], health.Fail, reason}
	}
	play(t, table)
}

// A body that nobody asked about may go on for ever, in both versions.
func TestHTTPDoesNotWaitForTheBody(t *testing.T) {
	stream := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
	}
	play(t, map[string]conversation{
		"HTTP/1.1": {must(health.NewHTTP(nil)), healthtest.Say("HTTP/1.1 200 OK\r\n\r\nevent"), health.OK, "status 200"},
		"HTTP/2":   {must(health.NewHTTP(&health.HTTPConfig{HTTP2: true})), grpcServer(nil, stream), health.OK, "status 200"},
	})
}

// Neither a zone nor the form of a mapped address is for a server to see.
func TestRequestsNameTheTarget(t *testing.T) {
	hosts := make(chan string, 1)
	answer := func(w http.ResponseWriter, r *http.Request) {
		hosts <- r.Host
		_, _ = io.WriteString(w, "x")
	}
	s := healthtest.NewServer(t, grpcServer(nil, answer))
	mapped := netip.AddrPortFrom(netip.AddrFrom16(s.Addr().Addr().As16()), s.Addr().Port())
	for _, c := range []health.Checker{must(health.NewHTTP(nil)), must(health.NewHTTP(&health.HTTPConfig{HTTP2: true}))} {
		want(t, check(t, c, mapped, short), health.OK, "status 200")
		if got := <-hosts; got != s.Addr().String() {
			t.Errorf("host %q, want %v", got, s.Addr())
		}
	}
}
