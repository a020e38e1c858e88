package health

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// The numbers of a remote procedure call, version 2 (RFC 5531, section 9).
const (
	rpcVersion      = 2
	rpcCall         = 0
	rpcReply        = 1
	rpcAccepted     = 0
	rpcDenied       = 1
	rpcSuccess      = 0
	rpcNoProgram    = 1
	rpcMismatch     = 2
	rpcNoProcedure  = 3
	rpcGarbage      = 4
	rpcSystemError  = 5
	rpcMaxAuth      = 400 // the longest verifier, in bytes
	rpcFirstRetry   = time.Second / 2
	rpcLastRetry    = 4 * time.Second
	portmapProgram  = 100000
	portmapVersion  = 2
	portmapGetPort  = 3
	portmapperPort  = 111
	protocolUDP     = 17
	portmapReplyLen = 4
)

// rpcError is a refusal by a server that speaks the protocol.
type rpcError struct {
	status uint32 // the accept status, or rpcRefused
	text   string
	// low and high are the versions that the server has, where it says so.
	low, high uint32
}

// rpcRefused marks a call that was denied as a whole.
const rpcRefused = ^uint32(0)

func (e *rpcError) Error() string { return e.text }

// xdr takes the words of a message off its beginning (RFC 4506). Behind the
// end there are only zeros, and short is set.
type xdr struct {
	b     []byte
	short bool
}

func (x *xdr) word() uint32 {
	if len(x.b) < 4 {
		x.b, x.short = nil, true
		return 0
	}
	w := binary.BigEndian.Uint32(x.b)
	x.b = x.b[4:]
	return w
}

// skip passes over n words.
func (x *xdr) skip(n uint32) {
	if uint64(n)*4 > uint64(len(x.b)) {
		x.b, x.short = nil, true
		return
	}
	x.b = x.b[4*n:]
}

// appendCall writes a call without credentials (AUTH_NONE, RFC 5531, section
// 10.1).
func appendCall(b []byte, xid, program, version, procedure uint32, args ...uint32) []byte {
	for _, w := range append([]uint32{xid, rpcCall, rpcVersion, program, version, procedure, 0, 0, 0, 0}, args...) {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

// parseReply returns what a reply to the call xid carries. errOther is a
// datagram that is none; an *rpcError is a refusal.
func parseReply(b []byte, xid uint32) ([]byte, error) {
	x := &xdr{b: b}
	if id, kind := x.word(), x.word(); x.short || id != xid || kind != rpcReply {
		return nil, errOther
	}
	switch stat := x.word(); {
	case x.short:
	case stat == rpcDenied:
		return nil, denied(x)
	case stat != rpcAccepted:
		return nil, unwanted("the reply is neither accepted nor denied (%d)", stat)
	}
	x.word() // the flavour of the verifier
	length := x.word()
	if length > rpcMaxAuth {
		return nil, unwanted("the reply has a verifier of %d bytes, at most %d are allowed", length, rpcMaxAuth)
	}
	x.skip((length + 3) / 4)
	status := x.word()
	if x.short {
		return nil, unwanted("the reply is cut off after %d bytes", len(b))
	}
	bad := &rpcError{status: status}
	switch status {
	case rpcSuccess:
		return x.b, nil
	case rpcNoProgram:
		bad.text = "the server does not have this program"
	case rpcMismatch:
		bad.low, bad.high = x.word(), x.word()
		bad.text = fmt.Sprintf("the server has versions %d to %d of the program only", bad.low, bad.high)
		if x.short {
			bad.low, bad.high = 0, 0
			bad.text = "the server has other versions of the program only"
		}
	case rpcNoProcedure:
		bad.text = "the server does not have this procedure"
	case rpcGarbage:
		bad.text = "the server could not read the arguments"
	case rpcSystemError:
		bad.text = "the server failed within itself"
	default:
		bad.text = fmt.Sprintf("the server refuses with status %d", status)
	}
	return nil, bad
}

// denied reads why a call was denied.
func denied(x *xdr) error {
	bad := &rpcError{status: rpcRefused}
	switch reason := x.word(); {
	case x.short:
		bad.text = "the call was denied"
	case reason == 0:
		bad.text = fmt.Sprintf("the server speaks other versions of RPC: %d to %d, not %d", x.word(), x.word(), rpcVersion)
	case reason == 1:
		bad.text = fmt.Sprintf("the server wants credentials (auth status %d)", x.word())
	default:
		bad.text = fmt.Sprintf("the call was denied for reason %d", reason)
	}
	return bad
}

// rpc calls one procedure of the attempt's target over UDP and returns what
// the reply carries. The call is sent again with the same number while no
// answer comes, at first after half a second, then after twice as long each
// time. Only the address that was asked can answer: the socket is connected.
func (a *attempt) rpc(d *Dial, program, version, procedure uint32, args ...uint32) ([]byte, error) {
	conn, err := a.open("udp", d)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn, true)
	defer guard(a.ctx, conn)()
	readErrors(conn)
	end := time.Time{}
	if own, ok := a.ctx.Deadline(); ok {
		end = own
	}
	if bound := time.Now().Add(d.AnswerTimeout); d.AnswerTimeout > 0 && (end.IsZero() || bound.Before(end)) {
		end = bound
	}
	xid := rand.Uint32()
	call := appendCall(nil, xid, program, version, procedure, args...)
	buf := make([]byte, maxDatagram)
	for wait := rpcFirstRetry; ; wait = min(2*wait, rpcLastRetry) {
		if _, err := conn.Write(call); err != nil {
			return nil, err
		}
		until := time.Now().Add(wait)
		last := !end.IsZero() && end.Before(until)
		if last {
			until = end
		}
		body, err := a.rpcAnswer(conn, buf, xid, until)
		var timeout net.Error
		if err != nil && !last && a.ctx.Err() == nil && errors.As(err, &timeout) && timeout.Timeout() {
			continue
		}
		return body, err
	}
}

// rpcAnswer reads until the answer comes, or the time is over.
func (a *attempt) rpcAnswer(conn net.Conn, buf []byte, xid uint32, until time.Time) ([]byte, error) {
	_ = conn.SetReadDeadline(until)
	if a.ctx.Err() != nil { // it may have come before that
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	}
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		body, err := parseReply(buf[:n], xid)
		if errors.Is(err, errOther) {
			continue
		}
		a.see(buf[:n])
		return body, err
	}
}

// getPort asks the target's portmapper (RFC 1833, section 3) for the UDP port
// of a program. 0 means that it is not registered.
func (a *attempt) getPort(d *Dial, program, version uint32) (uint16, error) {
	body, err := a.rpc(d, portmapProgram, portmapVersion, portmapGetPort, program, version, protocolUDP, 0)
	if err != nil {
		return 0, err
	}
	return parsePort(body)
}

// parsePort reads the answer of a portmapper.
func parsePort(body []byte) (uint16, error) {
	x := &xdr{b: body}
	port := x.word()
	if x.short || port > 65535 {
		return 0, unwanted("the answer is no port: %x", body[:min(len(body), portmapReplyLen)])
	}
	return uint16(port), nil
}
