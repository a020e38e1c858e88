package health

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// maxDatagram is the longest answer over UDP that is read.
const maxDatagram = 4 << 10

// errOther is the judgement on a datagram that is not the answer to our
// question: too late, of another question, or forged.
var errOther = errors.New("not the answer to this question")

// exchange sends one datagram and reads until one comes that judge takes for
// the answer. A judge that returns errOther is asked again with the next one;
// any other error is as in [channel.converse].
func exchange(ctx context.Context, t Target, d *Dial, question []byte, judge func(answer []byte) (string, error)) Result {
	a, cancel := begin(ctx, t)
	defer cancel()
	conn, err := a.open("udp", d)
	if err != nil {
		return a.failed("connect", err)
	}
	defer closeConn(conn, true)
	defer guard(a.ctx, conn)()
	readErrors(conn)
	a.done("connect")
	a.allow(conn, d.AnswerTimeout)
	if _, err := conn.Write(question); err != nil {
		return a.failed("send", err)
	}
	a.done("send")
	return a.answer(conn, judge)
}

// answer reads datagrams until one is the answer, and closes the attempt.
func (a *attempt) answer(conn net.Conn, judge func(answer []byte) (string, error)) Result {
	buf := make([]byte, maxDatagram)
	strangers := 0
	for {
		n, err := conn.Read(buf)
		if err != nil {
			r := a.failed("read", err)
			if strangers > 0 {
				r.Reason = oneLine(fmt.Sprintf("%s, but for %d datagrams that answer another question", r.Reason, strangers), MaxReason)
			}
			return r
		}
		what, err := judge(buf[:n])
		if errors.Is(err, errOther) {
			strangers++
			continue
		}
		a.see(buf[:n])
		var bad unexpected
		switch {
		case err == nil:
			return a.ok("read", what)
		case errors.As(err, &bad):
			return a.wrong("read", "%s", string(bad))
		}
		return a.failed("read", err)
	}
}
