package sched

import "testing"

// A pick that comes while the list is being changed belongs to the new list:
// made on the old one it would be forgotten, and the next be the same again.
func TestPicksWaitForAChange(t *testing.T) {
	s := mustNew(t, "rr", nil)
	play(t, s, "+a1 +b1 +c1 1")
	r := s.bound.Load().algorithm.(*rr)
	old := r.now.Load()
	mark := r.freeze()
	if mark != 1 || old.mark.Load() != frozen {
		t.Fatalf("the mark was %d and is %d after the freeze", mark, old.mark.Load())
	}
	picked := make(chan *Server)
	go func() { picked <- s.Pick(Flow{}) }()
	r.start(&turn{view: old.view}, mark)
	if got := nameOf(<-picked) + nameOf(s.Pick(Flow{})); got != "ba" {
		t.Errorf("picked %s, want ba", got)
	}
}
