package ipvs

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"syscall"
)

// Apply carries out changes in their order. They travel up to 256 in one
// send (fewer with a small receive buffer), so that ten thousand cost some
// eighty system calls; that is no
// transaction: a change that fails does not stop the others, nothing is
// undone, and other programs may come between two changes. Between two sends
// a context that has ended stops it. A change that [Change.Validate] refuses
// is not sent and counts as failed.
//
// The error is nil if all changes were carried out, else an [*ApplyError]. If
// that is [ErrStateUnknown], answers were lost: read the table again and
// apply the difference.
func (c *Client) Apply(ctx context.Context, changes []Change) error {
	if len(changes) == 0 {
		return ctx.Err()
	}
	var result ApplyError
	if err := c.begin(ctx); err != nil {
		result.Cause, result.Unsent = &OpError{Op: OpApply, Err: err}, len(changes)
		return &result
	}
	defer c.end()
	sent := make([]*Change, 0, min(len(changes), c.batch))
	for rest := changes; len(rest) > 0; {
		if err := ctx.Err(); err != nil {
			result.Cause, result.Unsent = &OpError{Op: OpApply, Err: err}, len(rest)
			break
		}
		n := min(len(rest), c.batch)
		err := c.applyBatch(ctx, rest[:n], sent, &result)
		rest = rest[n:]
		if err != nil {
			result.Unsent += len(rest)
			result.Cause = &OpError{Op: OpApply, Err: err}
			break
		}
	}
	result.Applied = len(changes) - len(result.Failed) - result.Unknown - result.Unsent
	if len(result.Failed) == 0 && result.Cause == nil {
		return nil
	}
	return &result
}

// ApplyUntilFailure carries out changes in their order like [Client.Apply],
// but tries none after the first that fails; those are counted as unsent. The
// kernel knows no such stop within a send, so every change travels and is
// answered alone: ten thousand cost twenty thousand system calls.
func (c *Client) ApplyUntilFailure(ctx context.Context, changes []Change) error {
	if len(changes) == 0 {
		return ctx.Err()
	}
	var result ApplyError
	if err := c.begin(ctx); err != nil {
		result.Cause, result.Unsent = &OpError{Op: OpApply, Err: err}, len(changes)
		return &result
	}
	defer c.end()
	sent := make([]*Change, 0, 1)
	for i := range changes {
		err := ctx.Err()
		if err == nil {
			err = c.applyBatch(ctx, changes[i:i+1], sent, &result)
		}
		if err == nil && len(result.Failed) == 0 {
			continue
		}
		if err != nil {
			result.Cause = &OpError{Op: OpApply, Err: err}
		}
		result.Applied = i
		result.Unsent = len(changes) - i - len(result.Failed) - result.Unknown
		return &result
	}
	return nil
}

// applyBatch sends one datagram of changes and collects their answers in
// result. Its error is one of the whole batch.
func (c *Client) applyBatch(ctx context.Context, changes []Change, sent []*Change, result *ApplyError) (err error) {
	var failed []failure
	defer func() {
		slices.SortStableFunc(failed, func(a, b failure) int { return cmp.Compare(a.index, b.index) })
		for _, f := range failed {
			result.Failed = append(result.Failed, f.err)
		}
	}()
	if c.seq > math.MaxUint32-maxBatch {
		c.seq = 0 // the numbers of a batch have to follow one another
	}
	c.wbuf = c.wbuf[:0]
	first, start := c.seq+1, 0
	var index [maxBatch]int // of the sent ones within changes
	for i := range changes {
		at := len(c.wbuf)
		if c.wbuf, err = appendChange(c.wbuf, c.family, c.seq+1, &changes[i]); err != nil {
			failed = append(failed, failure{i, changeError(&changes[i], err)})
			continue
		}
		c.seq++
		start = at
		index[len(sent)] = i
		sent = append(sent, &changes[i])
	}
	if len(sent) == 0 {
		return nil
	}
	setAck(c.wbuf, start)
	answered := 0
	var told [maxBatch]bool
	refused := func(seq uint32, errno syscall.Errno) {
		n := seq - first
		if told[n] {
			return // one answer counts, whatever comes after it
		}
		told[n] = true
		answered++
		failed = append(failed, failure{index[n], changeError(sent[n], errno)})
	}
	err = c.exchangeBatch(ctx, first, c.seq, untilAck, nil, refused)
	if err == nil {
		return nil
	}
	if errno, ok := err.(syscall.Errno); ok {
		refused(c.seq, errno)
		return nil
	}
	if _, ok := errors.AsType[*unanswered](err); ok {
		result.Unknown += len(sent) - answered
	} else {
		result.Unsent += len(sent)
	}
	return outcome(err)
}

// failure is a refused change with its place in the batch.
type failure struct {
	index int
	err   *OpError
}
