// Package checks measures the health checks of package health beside the
// checker of keepalived, Debian's, in one guest with one kernel: memory,
// processor time and how soon the death of a server takes it out of the
// kernel's table.
package checks
