// Package feedback turns what is known of a server into the weight that it
// should have: slow start for one that returns, and weights that follow the
// load.
//
// Two laws are here. [Piranha] is that of Red Hat's daemon, number for number,
// for those who need the old behaviour or want to compare with it. [Gradual]
// is the one to use: it knows how many cores a server has, keeps its weight
// between two bounds, moves it slowly, and lets a returning server in by many
// small steps.
//
// A law is a pure function: the state of one server and a sample go in, the
// next state with its weight comes out. There are no clocks and no goroutines
// here; the caller samples every [Piranha.Interval] or [Gradual.Interval],
// and puts the weight into the table when it has changed. What follows from a law is
// shown by package simulate, which runs it against simulated servers.
//
// # Why a slow start needs fine weights and small steps
//
// A least-connection scheduler (wlc, lc, sed) looks at connections per weight.
// A server that returns has none, so it gets every new connection until it has
// its part, whatever its weight. Weight w of a full weight W makes that part
// w/W of the whole, and each later step brings a burst of its own: a weight that
// doubles from half to full sends half of the server's connections at once.
// Weights of 1 and 2 have no steps at all. So Gradual writes weights in a
// finer unit, the same for all servers of a service, and climbs in a straight
// line. With connections that last D and a climb of S the new connections of
// the returning server are then at most 1 + D/S times what is usual, apart from
// the steps themselves.
//
// Where a weight means something else than a ratio, a finer unit changes that
// meaning: ovf fills a server up to its weight, lblc and lblcr call one with
// more active connections than its weight overloaded, and sh gives each server as many of its 256 buckets in a
// row as its weight says. Use Unit 1 there. With the hashing ones, sh and mh,
// every change of a weight moves clients besides: they are better left alone.
package feedback
