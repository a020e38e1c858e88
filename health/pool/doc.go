// Package pool decides for a group of servers behind one service who takes
// clients, with which weight, and why. It knows quorum with hysteresis, sorry
// servers in order, failed servers that leave or stay with weight 0, drain and
// maintenance, weights that agents tell, that follow the load and that climb
// in a slow start, waves of failures that may be our own fault, and the
// verdicts of a peer that checks the same servers.
//
// All of it is arithmetic on plain values: facts and the time go in, decisions
// come out. There are no clocks, no goroutines and no network here; package
// health finds the facts out, and who owns a table carries the decisions out.
// Nothing depends on the order in which facts arrive, nor on how often they do.
//
// # Precedence
//
// The sources of a weight never fight. Each is asked in this order, and the
// first that says no ends it: the operator ([Admin]), the checks (a server that
// is down), the quorum (sorry servers serve), the agent (a weight of 0). What is
// left is a product: the told weight, or the configured one where nobody
// tells any, times the share that an agent tells, times the factor for the load, times the progress of the slow
// start, times [Policy.Unit]. It is rounded to the nearest whole number, but a
// server that may have clients never falls below 1 by rounding.
//
// # What is not known
//
// A server without a verdict stays as it was found: in the table with its
// weight if it is there, out if it is not. So a program that starts again
// changes nothing before it has asked. The quorum is not decided before it is
// sure either: gained when the servers known to live are enough, lost when
// they would not be even if all the others turned out to live.
//
// # Emptying a pool
//
// A pool is never kept full by rule of thumb. When servers fail, they go; what
// to do then is policy that is written down: sorry servers, Policy.Panic, and
// [Alarm] for the case that it is not the servers that are sick.
package pool
