package guest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShows(t *testing.T) {
	tests := map[string]struct {
		paths, want []string
	}{
		"a test binary and its folder":  {[]string{"/tmp/go-build1/b001/x.test", "/tmp/src/pkg"}, []string{"/tmp/go-build1", "/tmp/src"}},
		"twice the same":                {[]string{"/tmp/a/b", "/tmp/a/c/d"}, []string{"/tmp/a"}},
		"not hidden":                    {[]string{"/home/u/src", "/tmpfoo/x", "/"}, nil},
		"the hidden place itself":       {[]string{"/tmp", "/run/"}, nil},
		"shared memory and runtime dir": {[]string{"/dev/shm/x/y", "/run/user/0/z"}, []string{"/dev/shm/x", "/run/user"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Shows(tt.paths...)); diff != "" {
				t.Errorf("Shows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSpecRoundTrip(t *testing.T) {
	want := &Spec{
		Args: []string{"/x y", "a \"b\" 'c'", "", "\n\t\\", "é"},
		Env:  []string{"A=1", "B=x y=z"}, Dir: "/d", Modules: []string{"ip_vs"}, ModuleDir: "/m", Show: []string{"/tmp/a"}, Packed: true,
	}
	b, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseSpec(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
}

func TestSpecRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"not JSON":         "{",
		"no command":       `{"dir":"/"}`,
		"relative program": `{"args":["x"],"dir":"/"}`,
		"relative folder":  `{"args":["/x"],"dir":"y"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseSpec([]byte(s)); err == nil {
				t.Errorf("accepted as %+v", got)
			}
		})
	}
}

func FuzzParseSpec(f *testing.F) {
	f.Add([]byte(`{"args":["/x"],"dir":"/","env":["A=b"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSpec(b)
		if err != nil {
			return
		}
		again, err := s.Marshal()
		if err != nil {
			t.Fatalf("accepted but cannot be written: %v", err)
		}
		s2, err := ParseSpec(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, s2); diff != "" {
			t.Errorf("second reading differs:\n%s", diff)
		}
	})
}
