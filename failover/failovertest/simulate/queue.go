package simulate

import "time"

// happening is something that is due at a time: a packet that arrives, or one
// of the things that take a machine some time.
type happening struct {
	at   time.Duration
	seq  uint32 // equal times happen in the order in which they were put in
	kind kind
	// A packet goes from one machine to another on a line. Everything else
	// happens at the machine to.
	from, to, line uint8
	priority       uint8 // of an advert
	what           int32 // the index of a heartbeat, or the number of an effect
}

type kind uint8

const (
	packetArrives kind = iota
	readerWakes        // the reader of a socket gets the processor
	stallEnds
	machineStops
	machineStarts
	clearanceAnswers // of a witness or a fence
	effectEnds       // addresses were taken or released
	holdEnds         // they need not be held any more
	servesOrNot      // a node learns whether it has its addresses
	announces        // one of a row of announcements
	othersLearn      // an announcement reaches the neighbours
	replayComes      // an attacker's copy of a heartbeat
)

// queue is a heap in a slice, with four children a node.
type queue []happening

func before(a, b *happening) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

func (q *queue) push(h happening) {
	*q = append(*q, h)
	s := *q
	i := len(s) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !before(&h, &s[up]) {
			break
		}
		s[i] = s[up]
		i = up
	}
	s[i] = h
}

func (q *queue) pop() happening {
	s := *q
	top := s[0]
	last := s[len(s)-1]
	s = s[:len(s)-1]
	*q = s
	if len(s) == 0 {
		return top
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= len(s) {
			break
		}
		best := child
		for c := child + 1; c < min(child+4, len(s)); c++ {
			if before(&s[c], &s[best]) {
				best = c
			}
		}
		if !before(&s[best], &last) {
			break
		}
		s[i] = s[best]
		i = best
	}
	s[i] = last
	return top
}
