// Package director puts the pieces together into what "lvsctl run" runs: it
// reads a configuration, has the servers checked, takes part in the election
// and keeps the data plane's table as the three of them want it.
//
// One goroutine owns the state ([Director.Run]'s loop). Everything else sends
// it facts: a verdict, a role, a new file, an operator's order. From them it
// computes the whole wanted table with one pure function (plan), and applies
// the difference. Nothing depends on an event arriving exactly once.
package director
