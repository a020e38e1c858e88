// Package director puts the pieces together into what "lvsctl run" runs: it
// reads a configuration, has the servers checked, takes part in the election
// and keeps the data plane's table as the three of them want it.
//
// One goroutine owns the state ([Director.Run]'s loop). Everything else sends
// it facts: a verdict, a role, a new file, an operator's order. From them it
// computes what the table should be with pure functions (plan), the whole of
// it for a role or a new file and one service for a verdict, and leaves it to
// an [ipvs.Reconciler] to make it so and to keep it so. Nothing depends on an
// event arriving exactly once.
package director
