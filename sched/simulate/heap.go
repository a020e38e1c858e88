package simulate

// event is something that will happen to one connection.
type event struct {
	// at is when, arrived when the connection came, in nanoseconds.
	at, arrived int64
	conn        uint32
	client      uint32
	// life is the server's life that the connection belongs to: one of an
	// earlier life is broken already.
	life   uint32
	server uint16
	what   step
}

// step is what will happen.
type step uint8

const (
	// answered: a worker is done with the connection.
	answered step = iota
	// closes: the connection is not held open any longer.
	closes
	// comes: a client of a closed loop has thought.
	comes
)

// events is a heap with four children to a node: half as deep as a binary one,
// and the children are next to each other in memory. It allocates only when it
// grows.
type events []event

func (h *events) push(e event) {
	*h = append(*h, e)
	q := *h
	i := len(q) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if q[parent].at <= e.at {
			break
		}
		q[i] = q[parent]
		i = parent
	}
	q[i] = e
}

// pop removes the first event; there has to be one.
func (h *events) pop() event {
	q := *h
	first := q[0]
	last := q[len(q)-1]
	q = q[:len(q)-1]
	*h = q
	if len(q) == 0 {
		return first
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= len(q) {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, len(q)); c++ {
			if q[c].at < q[least].at {
				least = c
			}
		}
		if q[least].at >= last.at {
			break
		}
		q[i] = q[least]
		i = least
	}
	q[i] = last
	return first
}

// ring is a queue that allocates only when it grows.
type ring[T any] struct {
	items       []T
	first, held int
}

func (r *ring[T]) push(v T) {
	if r.held == len(r.items) {
		grown := make([]T, max(16, 2*len(r.items)))
		n := copy(grown, r.items[r.first:])
		copy(grown[n:], r.items[:r.first])
		r.items, r.first = grown, 0
	}
	// The length is a power of two.
	r.items[(r.first+r.held)&(len(r.items)-1)] = v
	r.held++
}

// head returns the oldest item; there has to be one.
func (r *ring[T]) head() *T { return &r.items[r.first] }

func (r *ring[T]) pop() T {
	v := r.items[r.first]
	r.first = (r.first + 1) & (len(r.items) - 1)
	r.held--
	return v
}
