// Package ipvs speaks with the kernel's IP Virtual Server: it reads and
// changes the table of virtual services and their destinations.
//
// Keys ([ServiceKey], [DestinationKey]) identify, [Service] and [Destination]
// configure, [ServiceState] and [DestinationState] observe. A [Table] is a
// whole configuration; the difference of two tables is a list of changes.
//
// Health checks, failover and lvs.cf live elsewhere: this package knows the
// kernel and nothing of them.
package ipvs
