package convert

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/lvscf"
)

func TestWhereNamesTheParts(t *testing.T) {
	pos := lvscf.Pos{Line: 3, Column: 5}
	for _, c := range []struct {
		name string
		in   Where
		want string
	}{
		{"nothing", Where{}, "the whole file"},
		{"file", Where{File: "a.conf"}, "a.conf"},
		{"place", Where{Pos: pos}, "line 3:5"},
		{"all", Where{File: "a.conf", Pos: pos, Path: "x / y"}, "a.conf:3:5, x / y"},
		{"path", Where{Path: `virtual "web"`}, `virtual "web"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.in.String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLedgerNumbersAndBounds(t *testing.T) {
	var l ledger
	if l.losses() != nil {
		t.Error("an empty ledger has losses")
	}
	for range MaxLosses + 7 {
		l.lose(Where{File: "a"}, "what\nelse", "why", strings.Repeat("é", 400))
	}
	got := l.losses()
	if len(got) != MaxLosses+1 {
		t.Fatalf("%d losses", len(got))
	}
	for i, loss := range got {
		if loss.Number != i+1 {
			t.Errorf("entry %d has number %d", i, loss.Number)
		}
		if strings.ContainsAny(loss.String(), "\n") || len(loss.Nearest) > 400 {
			t.Errorf("unbounded text %q", loss.String())
		}
	}
	want := "1001. a: and 7 more: only 1000 are listed one by one; nearest: see to the ones above, then convert again"
	if diff := cmp.Diff(want, got[MaxLosses].String()); diff != "" {
		t.Errorf("last entry (-want +got):\n%s", diff)
	}
}

func TestFaultsAreDiagnostics(t *testing.T) {
	var f faults
	if err := f.err(); err != nil {
		t.Errorf("no fault gives %v", err)
	}
	for range lvscf.MaxDiagnostics + 2 {
		f.add(Where{File: "k.conf", Pos: lvscf.Pos{Line: 1, Column: 2}}, "x", "bad", "mend it")
	}
	var invalid *lvscf.InvalidFileError
	if !errors.As(f.err(), &invalid) {
		t.Fatalf("got %v", f.err())
	}
	if n := len(invalid.Diagnostics); n != lvscf.MaxDiagnostics+1 {
		t.Errorf("%d diagnostics", n)
	}
	if got, want := invalid.Diagnostics[0].String(), "k.conf:1:2: bad: mend it"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCommentsAreCounted says of each form what counts as a comment.
func TestCommentsAreCounted(t *testing.T) {
	const three, none = "3 comments", ""
	for _, c := range []struct {
		name, want string
		read       func() (Losses, error)
	}{
		{"lvs.cf", three, func() (Losses, error) {
			f, ds := lvscf.Parse("x", []byte("# one\n####\nserial_no = 1 # two\n\n  #three\nprimary = 192.0.2.1\n"))
			return Comments(f), ds.Err()
		}},
		{"lvs.cf without", none, func() (Losses, error) {
			f, ds := lvscf.Parse("x", []byte("serial_no = 1\n#\n"))
			return Comments(f), ds.Err()
		}},
		{"keepalived.conf with an include", three, func() (Losses, error) {
			inc := func(string, string) ([]Included, error) { return []Included{{"y", []byte("! two\n")}}, nil }
			_, l, err := FromKeepalived("x", []byte("# one\ninclude y\n!!!!\nvrrp_instance a { # three\n virtual_router_id 1\n}\n"), KeepalivedOptions{Include: inc})
			return l, err
		}},
		{"ldirectord.cf", three, func() (Losses, error) {
			_, l, err := FromLdirectord("x", []byte("# one\nvirtual = 1 # two\n\treal = 10.0.0.1:80 gate # three\n\t#\n\tscheduler = rr\n"), ImportOptions{Device: "eth0"})
			return l, err
		}},
		{"rules", three, func() (Losses, error) {
			_, l, err := FromIPVSAdm(t.Context(), "x", []byte("#!/bin/sh\n# one\n-A -f 1 # two # still two\n#three\n#-------\n-a -f 1 -r 10.0.0.1\n"), RuleOptions{})
			return l, err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			losses, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			checkLosses(t, losses)
			got := ""
			if len(losses) > 0 {
				last := losses[len(losses)-1]
				if got = last.What; !last.Harmless || last.Where.File != "x" {
					t.Errorf("last entry %+v", last)
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if (Losses{{}}).Harmless() || !(Losses{{Harmless: true}}).Harmless() || !Losses(nil).Harmless() {
		t.Error("a list is as harmful as its worst entry")
	}
}

// TestLossesOfAGroupAreSummedUp reads a group of many addresses: what is lost
// of all of them is told once.
func TestLossesOfAGroupAreSummedUp(t *testing.T) {
	src := "virtual_server_group g {\n 192.0.2.1-250 80\n}\nvirtual_server group g {\n protocol TCP\n real_server 10.0.0.1 81 {\n }\n real_server 2001:db8::1 80 {\n }\n lb_kind DR\n}\n"
	cfg, losses, err := FromKeepalived("x", []byte(src), KeepalivedOptions{})
	if err != nil || len(cfg.Virtuals) != 250 {
		t.Fatalf("error %v", err)
	}
	checkLosses(t, losses)
	var what []string
	for _, l := range losses {
		what = append(what, l.What)
	}
	want := []string{"the server 2001:db8::1 of 192.0.2.1:80, and 249 more", "the address 192.0.2.1, and 249 more", "port 81 of the server 10.0.0.1, and 249 more"}
	if diff := cmp.Diff(want, what); diff != "" {
		t.Errorf("losses (-want +got):\n%s", diff)
	}
}

// TestLongNamesAreCut names blocks by a megabyte: no loss prints it whole, and
// two that differ at their ends are told apart by their number.
func TestLongNamesAreCut(t *testing.T) {
	long := strings.Repeat("n", 1<<20)
	cfg := lvscf.NewConfig()
	for _, end := range []string{"a", "b"} {
		v := lvscf.NewVirtual(long + end)
		v.Servers = []lvscf.Server{lvscf.NewServer(long, 80)}
		cfg.Virtuals = append(cfg.Virtuals, v)
	}
	_, keepalived := ToKeepalived(cfg)
	_, rules, err := ToIPVSAdm(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, imported, err := FromKeepalived("x", []byte("vrrp_instance "+long[:60000]+" {\n virtual_router_id 1\n debug 1\n}\n"), KeepalivedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for form, losses := range map[string]Losses{"keepalived": keepalived, "rules": rules, "imported": imported} {
		checkLosses(t, losses)
		if text := losses.String(); len(text) > 2000*len(losses) {
			t.Errorf("%s: %d losses of %d bytes", form, len(losses), len(text))
		}
		if form != "imported" && len(losses) < 2 {
			t.Errorf("%s: %d losses for two blocks", form, len(losses))
		}
	}
}

// TestNamesWithoutBracesAreTaught reads $VIP/24, where the name does not end.
func TestNamesWithoutBracesAreTaught(t *testing.T) {
	src := "$VIP=192.0.2.1\nvrrp_instance v {\n virtual_router_id 5\n virtual_ipaddress {\n $VIP/24\n }\n}\nvirtual_server $VIP-9 80 {\n}\n"
	_, losses, err := FromKeepalived("x", []byte(src), KeepalivedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"write ${VIP}/24, and define", "write ${VIP}-9, and define"} {
		if !strings.Contains(losses.String(), want) {
			t.Errorf("nothing says %q:\n%s", want, losses)
		}
	}
}
