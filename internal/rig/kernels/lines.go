package kernels

import (
	"bytes"
	"io"
	"sync/atomic"
)

// lineCounter counts the lines that pass through it.
type lineCounter struct {
	w io.Writer
	n atomic.Int64
}

// Write passes on and counts.
func (l *lineCounter) Write(b []byte) (int, error) {
	l.n.Add(int64(bytes.Count(b, []byte{'\n'})))
	return l.w.Write(b)
}

func (l *lineCounter) count() int64 { return l.n.Load() }
