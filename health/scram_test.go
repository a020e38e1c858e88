package health

import "testing"

// The example of RFC 7677, section 3, but for the user, whom PostgreSQL does
// not look for there; the proofs are computed anew for an empty one below.
func TestSCRAM(t *testing.T) {
	const server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	s := &scram{password: "pencil", nonce: "rOprNGfwEbeRWgbNEkqO"}
	if got := s.first(); got != "n,,n=,r=rOprNGfwEbeRWgbNEkqO" {
		t.Errorf("first %q", got)
	}
	got, err := s.final(server)
	if want := "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=qvT2SWdEH5Q06albL+hjSYuUhCG7VndFyzIb7CK4n9k="; err != nil || got != want {
		t.Errorf("final %q, %v, want %q", got, err, want)
	}
	if err := s.verify("v=3HO6Qt1M4MKJrmlKaoOqLAI0/0TV0HZe7J9H3MBtSOg="); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "v=", "v=AAAA", "e=other-error", "x=1"} {
		if s.verify(bad) == nil {
			t.Errorf("%q is believed", bad)
		}
	}
	if (&scram{}).verify("v=") == nil {
		t.Error("a proof without a question is believed")
	}
	if a, b := newSCRAM("x").nonce, newSCRAM("x").nonce; a == b || len(a) < 20 {
		t.Errorf("nonces %q and %q", a, b)
	}
}
