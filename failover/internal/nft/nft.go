// Package nft keeps a machine from accepting what comes for some addresses, by
// a table of nf_tables that belongs to a socket and so dies with its process.
package nft

import (
	"os"
	"sync"
)

// Table is a table of nf_tables with nothing but that. It is safe for concurrent
// use.
type Table struct {
	namespace string
	name      string

	mu       sync.Mutex
	socket   *os.File
	sequence uint32 // of messages
}

// New returns a table, which is not there before Set. namespace is the path of a
// network namespace, empty the one of the process; name is that of the table.
func New(namespace, name string) *Table { return &Table{namespace: namespace, name: name} }
