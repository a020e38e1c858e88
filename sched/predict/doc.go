// Package predict tells where clients go under a virtual service, and which of
// them move when a server is drained, removed, added or given another weight.
//
// It asks the schedulers of package sched, which pick as the kernel does. Some
// of them, the hashing ones, answer for a client alone: sh, mh and, for a
// virtual address, dh, and also fo, which always takes the heaviest server. For these the answer is certain, and [Compare] says
// exactly which clients move. The others answer by what came before, the
// connections that are open or the place in a round. Of these there are shares:
// what each server gets when every client of a list has one connection open. Their open connections
// stay where they are in any case, except those of a server that is removed.
//
// Persistence comes before the scheduler: the first client of a group of
// addresses decides for the group, in the order of the list of clients. While its template lives, a
// group stays where it is even if the scheduler would answer otherwise.
//
// Nothing here reads a table or a file: a [Service] is made by the caller.
package predict
