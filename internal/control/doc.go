// Package control is the daemon's own voice: the documents in which it
// describes itself, and the HTTP service on a unix socket that hands them
// out. The documents are a contract with scripts: a field keeps its name and
// meaning for as long as its schema string does.
package control
