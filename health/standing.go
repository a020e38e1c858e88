package health

import (
	"context"
	"errors"
)

// ErrNoSession is wrapped by the error of [Standing.Stand] when the target can
// only be asked by turns, and there is no use in trying again.
var ErrNoSession = errors.New("the target can only be asked by turns")

// Standing is a [Checker] whose question can be left open: a session that
// tells of a change at once, where a check by turns would need an interval to
// notice it.
//
// A [Monitor] keeps one such session for each question, beside its turns: a
// report is an answer like any other and counts at once, and while a session
// stands the turns take its newest report for the answer instead of asking
// again. While there is none, the turns call Check.
type Standing interface {
	Checker
	// Stand leaves the question open until ctx is done. It calls report, from
	// one goroutine at a time, for the first answer and for each change, and
	// never after it has returned. It returns nil when ctx is done; an error
	// means that the session has ended, or cannot be had, and is tried again
	// later, unless it is [ErrNoSession].
	Stand(ctx context.Context, t Target, report func(Result)) error
}
