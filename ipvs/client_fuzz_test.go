package ipvs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A play is what a scripted kernel answers, as fuzzed bytes: records of one
// byte of how, two bytes of length, and a datagram.
const (
	playPatchFirst = 1 << iota // the messages get the number of the request's first
	playPatchLast              // or of its last
	playOverflow               // a receive that ends with ENOBUFS instead
	playEnd                    // what follows answers the next request
)

// maxPlay bounds the datagrams of one play.
const maxPlay = 64

type played struct {
	how  byte
	data []byte
}

func appendPlay(b []byte, how byte, datagram []byte) []byte {
	b = binary.LittleEndian.AppendUint16(append(b, how), uint16(len(datagram)))
	return append(b, datagram...)
}

func splitPlay(b []byte) (list []played) {
	for len(b) >= 3 && len(list) < maxPlay {
		n := min(int(binary.LittleEndian.Uint16(b[1:])), len(b)-3)
		list = append(list, played{b[0], b[3 : 3+n]})
		b = b[3+n:]
	}
	return list
}

// answer is the next part of the play for one request. It begins again at the
// end, as a listing is read several times.
type answers struct {
	list []played
	next int
}

func (a *answers) to(requests []message) (datagrams [][]byte) {
	for n := 0; n < len(a.list); n++ {
		p := a.list[a.next]
		a.next = (a.next + 1) % len(a.list)
		switch {
		case p.how&playOverflow != 0:
			datagrams = append(datagrams, nil)
		case p.how&playPatchFirst != 0:
			datagrams = append(datagrams, patchSeq(p.data, requests[0].seq))
		case p.how&playPatchLast != 0:
			datagrams = append(datagrams, patchSeq(p.data, last(requests).seq))
		default:
			datagrams = append(datagrams, append([]byte{}, p.data...))
		}
		if p.how&playEnd != 0 {
			break
		}
	}
	return datagrams
}

// patchSeq gives all messages of a datagram a number, as far as its lengths
// make sense.
func patchSeq(b []byte, seq uint32) []byte {
	b = append([]byte{}, b...)
	for rest := b; len(rest) >= nlHeaderLen; {
		binary.NativeEndian.PutUint32(rest[8:], seq)
		n := int64(binary.NativeEndian.Uint32(rest)+3) &^ 3
		if n < nlHeaderLen || n > int64(len(rest)) {
			break
		}
		rest = rest[n:]
	}
	return b
}

// playCalls are calls of each kind. They return how many changes were asked
// for, if any.
var playCalls = []func(context.Context, *Client) (int, error){
	func(ctx context.Context, c *Client) (int, error) { return 0, lastError(ctx, c) },
	func(ctx context.Context, c *Client) (int, error) {
		for _, err := range c.Destinations(ctx, captureServices[0].Key) {
			if err != nil {
				return 0, err
			}
		}
		return 0, nil
	},
	func(ctx context.Context, c *Client) (int, error) {
		snap, err := c.Snapshot(ctx)
		_ = Diff(snap.Table(), nil, func(ServiceKey) bool { return true })
		return 0, err
	},
	func(ctx context.Context, c *Client) (int, error) {
		_, err := c.Service(ctx, captureServices[0].Key)
		return 0, err
	},
	func(ctx context.Context, c *Client) (int, error) { return 600, c.Apply(ctx, addChanges(600)) },
	func(ctx context.Context, c *Client) (int, error) { return 5, c.ApplyUntilFailure(ctx, addChanges(5)) },
	func(ctx context.Context, c *Client) (int, error) {
		return 0, c.AddService(ctx, Service{Key: MarkService(1)})
	},
	func(ctx context.Context, c *Client) (int, error) { _, err := c.Info(ctx); return 0, err },
	func(ctx context.Context, c *Client) (int, error) { _, err := c.Timeouts(ctx); return 0, err },
	func(ctx context.Context, c *Client) (int, error) { _, err := c.SyncDaemons(ctx); return 0, err },
	func(ctx context.Context, c *Client) (int, error) { return 0, c.StopSync(ctx, SyncMaster) },
	func(ctx context.Context, c *Client) (int, error) {
		return 0, c.UpdateService(ctx, captureServices[0].Key, ServiceUpdate{Scheduler: new("rr")})
	},
	func(ctx context.Context, c *Client) (int, error) {
		return 0, c.UpdateDestination(ctx, captureServices[0].Key, ap("10.0.0.1:8001"), DestinationUpdate{Weight: new(0)})
	},
}

func lastError(ctx context.Context, c *Client) (last error) {
	for _, err := range c.Services(ctx) {
		last = err
	}
	return last
}

// playTo makes one call against a play. It must come to an end with an error
// of ours or with none, and leave a client that works.
func playTo(t *testing.T, play []byte, call uint8) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		c, err := newClient(t.Context(), s, 1<<20, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		a := answers{list: splitPlay(play)}
		s.answer = a.to
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n, err := playCalls[int(call)%len(playCalls)](ctx, c)
		if err != nil {
			var op *OpError
			var apply *ApplyError
			switch {
			case errors.As(err, &apply):
				if apply.Applied < 0 || apply.Unknown < 0 || apply.Unsent < 0 || apply.Applied+len(apply.Failed)+apply.Unknown+apply.Unsent != n {
					t.Errorf("of %d changes %d applied, %d failed, %d unknown, %d unsent", n, apply.Applied, len(apply.Failed), apply.Unknown, apply.Unsent)
				}
				seen := map[DestinationKey]bool{}
				for _, f := range apply.Failed {
					if seen[f.Destination] {
						t.Errorf("%v failed twice", f.Destination)
						break
					}
					seen[f.Destination] = true
				}
			case !errors.As(err, &op):
				t.Errorf("error is %T %v", err, err)
			}
			if err.Error() == "" {
				t.Error("an error without words")
			}
		}
		works(t, c, s)
		works(t, c, s)
		if len(s.queue) != 0 {
			t.Errorf("%d datagrams are left", len(s.queue))
		}
	})
}

// FuzzClient hands fuzzed datagrams to calls of each kind.
func FuzzClient(f *testing.F) {
	for _, p := range samplePlays(f) {
		f.Add(p.bytes, p.call)
	}
	f.Fuzz(playTo)
}

type samplePlay struct {
	name  string
	bytes []byte
	call  uint8
}

// samplePlays are the captured answers, whole and spoiled, and answers in
// places where a kernel gives none.
func samplePlays(t testing.TB) (plays []samplePlay) {
	t.Helper()
	add := func(name string, call uint8, records ...played) {
		var b []byte
		for _, r := range records {
			b = appendPlay(b, r.how, r.data)
		}
		plays = append(plays, samplePlay{name, b, call})
	}
	var listing []byte
	for file, list := range readCaptures(t) {
		for i, c := range list {
			call := uint8(i % len(playCalls))
			switch {
			case c.name == "services":
				call = 0
			case bytes.HasPrefix([]byte(c.name), []byte("destinations")):
				call = 1
				listing = c.data
			case bytes.HasPrefix([]byte(c.name), []byte("service ")):
				call = 3
			case bytes.HasPrefix([]byte(c.name), []byte("error")), c.name == "ack":
				call = 4
			case c.name == "info":
				call = 7
			case c.name == "config":
				call = 8
			case c.name == "daemons":
				call = 9
			}
			add(file+" "+c.name, call, played{playPatchFirst | playEnd, c.data})
			for name, data := range spoiled(c.data) {
				add(file+" "+c.name+" "+name, call, played{playPatchFirst | playEnd, data})
			}
		}
	}
	for call := range uint8(len(playCalls)) {
		add("nothing", call, played{})
		add("an overflow", call, played{playOverflow, nil})
		add("an overflow, then the answer", call, played{playOverflow, nil}, played{playPatchFirst, ack(0, 0)})
		add("a foreign listing", call, played{0, listing}, played{0, done(77)}, played{playPatchLast, ack(0, 0)})
		add("a foreign listing in ours", call, played{playPatchLast, listing[:len(listing)-20]}, played{0, listing}, played{playPatchLast, done(0)})
		add("a listing without end", call, played{playPatchFirst, listing[:len(listing)-20]})
		add("an error in a listing", call, played{playPatchLast, append(slices.Clone(listing[:len(listing)-20]), ack(0, syscall.ENOMEM)...)})
		add("errors twice", call, played{playPatchFirst, append(ack(0, syscall.EEXIST), ack(0, syscall.ESRCH)...)}, played{playPatchLast, append(ack(0, 0), ack(0, syscall.ENOMEM)...)})
		add("an error many times", call, played{playPatchFirst, bytes.Repeat(ack(0, syscall.EEXIST), 1000)}, played{playPatchLast, ack(0, 0)})
		add("success for the first alone", call, played{playPatchFirst, ack(0, 0)})
		add("a positive code", call, played{playPatchLast, endMessage(append(control(nlError, 0, 0)[:nlHeaderLen], 5, 0, 0, 0), 0)})
		add("the least code", call, played{playPatchLast, control(nlError, 0, 1<<31)})
		add("an end with an error", call, played{playPatchLast, control(nlDone, 0, syscall.EINTR)})
		add("no operation", call, played{playPatchFirst, control(1, 0, 0)}, played{playPatchLast, ack(0, 0)})
		add("an overrun", call, played{playPatchFirst, control(nlOverrun, 0, 0)}, played{playPatchLast, done(0)})
		add("a reserved type", call, played{playPatchFirst, control(9, 0, 0)}, played{playPatchLast, done(0)})
		add("another family's message", call, played{playPatchFirst, reply(0x77, 0, appendUint32(nil, infoVersion, 1))}, played{playPatchLast, done(0)})
		add("an empty datagram", call, played{playPatchFirst, []byte{}}, played{playPatchLast, ack(0, 0)})
	}
	return plays
}

// spoiled returns what can be wrong with an answer.
func spoiled(b []byte) map[string][]byte {
	n := min(int(binary.NativeEndian.Uint32(b)), len(b))
	first := b[:n]
	edit := func(f func([]byte) []byte) []byte {
		e := f(append([]byte{}, first...))
		if len(e) >= 4 {
			binary.NativeEndian.PutUint32(e, uint32(len(e)))
		}
		return append(e, b[n:]...)
	}
	const attr = nlHeaderLen + genlHeaderLen
	m := map[string][]byte{
		"truncated":           b[:len(b)-len(b)/3],
		"cut in a message":    edit(func(e []byte) []byte { return e[:len(e)-len(e)/3] }),
		"cut in a header":     edit(func(e []byte) []byte { return e[:nlHeaderLen+2] }),
		"misaligned":          edit(func(e []byte) []byte { return append(e, 0) }),
		"a length of nothing": append([]byte{0, 0, 0, 0}, b[4:]...),
		"a length of all":     append([]byte{255, 255, 255, 255}, b[4:]...),
	}
	if len(first) < attr+4 {
		return m
	}
	m["an unknown attribute"] = edit(func(e []byte) []byte { return append(e, 8, 0, 99, 0, 1, 2, 3, 4) })
	m["a repeated attribute"] = edit(func(e []byte) []byte { return append(e, first[attr:]...) })
	m["an empty attribute"] = edit(func(e []byte) []byte { return append(e, 4, 0, 1, 0) })
	m["an attribute past the end"] = edit(func(e []byte) []byte { return append(e, 0xff, 0xff, 1, 0) })
	m["an attribute shorter than its header"] = edit(func(e []byte) []byte { return append(e, 3, 0, 1, 0) })
	m["an attribute cut short"] = edit(func(e []byte) []byte { e[attr] -= 4; return e })
	// The first attribute within the nest, with its length changed.
	if len(first) >= attr+8 {
		m["a nested attribute past its nest"] = edit(func(e []byte) []byte { e[attr+5] = 0x7f; return e })
		m["a nested attribute of no bytes"] = edit(func(e []byte) []byte { e[attr+4] = 4; return e })
	}
	// As large as attributes get, many times over.
	m["oversized"] = edit(func(e []byte) []byte { return append(e, bytes.Repeat([]byte{0xfc, 0x7f, 12, 0x80}, 2000)...) })
	return m
}

// TestSpoiledAnswers plays what FuzzClient begins with, named.
func TestSpoiledAnswers(t *testing.T) {
	for _, p := range samplePlays(t) {
		t.Run(p.name, func(t *testing.T) { playTo(t, p.bytes, p.call) })
	}
}

// TestAPlayReachesTheClient keeps the other tests from proving nothing.
func TestAPlayReachesTheClient(t *testing.T) {
	play := appendPlay(nil, playPatchLast, control(nlError, 0, syscall.EEXIST))
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		c, err := newClient(t.Context(), s, 1<<20, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		a := answers{list: splitPlay(play)}
		s.answer = a.to
		err = c.AddDestination(t.Context(), MarkService(1), Destination{Key: netip.MustParseAddrPort("10.0.0.1:80")})
		if !errors.Is(err, ErrDestinationExists) {
			t.Errorf("error %v, want %v: the play does not reach the client", err, ErrDestinationExists)
		}
	})
}
