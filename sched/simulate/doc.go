// Package simulate plays a virtual service before it is built: connections
// arrive, a scheduler of package sched places them, servers answer, fail and
// return, health checks notice late, and feedback moves weights. What comes
// out is the load of each server over time, how unequal it is, how long
// answers take, and which connections were moved or lost: as numbers, as a table, CSV and JSON,
// and as a picture.
//
// A [Scenario] says what happens, [Simulate] plays it with each scheduler that
// it names, and the [Result] writes itself with [Result.WriteTable],
// [Result.WriteCSV], [Result.WriteJSON] and [Result.WriteSVG]. [Decode] reads a scenario from
// JSON.
//
// # The model
//
// It is a simulation of discrete events: time jumps from one to the next, and
// nothing here reads a clock or starts a goroutine. All chance comes from
// Scenario.Seed; the same scenario gives the same result. The n-th connection
// has the same time, client, service time and holding time in all runs of a
// scenario, so that a difference between schedulers is one of the schedulers. (A closed loop
// answers back: there the times differ.)
//
// A connection comes from one of a number of clients. If persistence has no
// template for its group of addresses, the scheduler picks a server; what it picks is what the
// kernel would, see package sched. A server is a queue in order of arrival
// before a number of workers; its queue has an end, and behind that it
// refuses. The service time is drawn from the server's distribution and is
// longer while its caches are cold. After the answer the connection may be
// held open, which costs no worker but counts in the table, and after that it
// stays as an inactive one for a while.
//
// A server that fails breaks what is open on it. Until the health check
// notices, the scheduler still picks it, and what it picks is refused. One
// that returns enters the table when the check has seen it, as a new server
// without connections. Weights set by feedback go through the same table.
//
// # What it leaves out
//
// The network takes no time and loses nothing. Clients do not retry, but those of
// a closed loop come back after thinking. Packets are not counted, so a
// scheduler sees connections alone, as the kernel's do. A worker works for one
// connection until it is done; servers that share their time among all
// connections finish short ones sooner and long ones later. A connection that
// hangs stays in the table until its server leaves it.
package simulate
