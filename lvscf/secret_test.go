package lvscf

import (
	"strings"
	"testing"
)

// TestFindingsHideSecrets: what is found in a line is shown in logs and in
// reviews, and the line with it.
func TestFindingsHideSecrets(t *testing.T) {
	const text = "password = hunter2\nauth_pass=hunter2\n\tauth_pass  hunter2\nsecret hunter2=\nvirtual web {\n check a {\n  kind = mysql\n  secret = \"hunter2 two\" x\n }\n}\n"
	for _, dialect := range []Dialect{Lenient, Strict} {
		_, diags := Options{Dialect: dialect}.Load("lvs.cf", []byte(text))
		var log strings.Builder
		if err := diags.WriteSARIF(&log, "1"); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(log.String(), "hunter2") {
			t.Errorf("%v: the log holds the secret:\n%s", dialect, log.String())
		}
		seen := 0
		for _, d := range diags {
			if strings.Contains(d.Source, "hunter2") || strings.Contains(d.String(), "hunter2") {
				t.Errorf("%v: %v shows %q", dialect, d, d.Source)
			}
			if strings.Contains(d.Source, "*******") {
				seen++
			}
		}
		if seen == 0 {
			t.Errorf("%v: nothing was found, so nothing was hidden: %v", dialect, diags)
		}
	}
	for _, plain := range []string{
		"password_file = /etc/secret", "password_file /etc/secret", "  password", "keepalive 3", "virtual passage {", "# password = a", "",
	} {
		if got := hideSecret(plain); got != plain {
			t.Errorf("%q became %q", plain, got)
		}
	}
}

// TestFindingsHideSecretsInOddPlaces: passwords stand where other programs have
// them, and the value of a header may be one.
func TestFindingsHideSecretsInOddPlaces(t *testing.T) {
	vrrp := func(line string) string { return "vrrp web {\n\tvrid = 5\n\t" + line + "\n}\n" }
	check := func(line string) string {
		return "virtual web {\n\tcheck a {\n\t\tkind = http\n\t\t" + line + "\n\t}\n}\n"
	}
	for _, tt := range []struct{ name, text, shows string }{
		{"behind the kind", vrrp("auth = password hunter2"), "auth = password *******"},
		{"in place of the kind", vrrp("auth = hunter2"), "auth = *******"},
		{"without a sign", vrrp("auth password hunter2"), "auth password *******"},
		{"in quotes", vrrp(`auth = "hunter2"`), `auth = "********`},
		{"header without a colon", check(`header = "Authorization hunter2"`), `header = "Authorization ********`},
		{"header without a name", check("header = hunter2"), "header = *******"},
		{"header without quotes", check("header = Authorization: hunter2"), "header = Authorization: *******"},
		{"header without a sign", check(`header "Authorization: hunter2"`), `header "Authorization: ********`},
		{"header without its end", check(`header = "Authorization: hunter2`), `header = "Authorization: *******`},
		{"secret without its end", check(`password = "hunter2`), "password = ********"},
		{"behind characters of several bytes", check(`header = "Äö: hunter2" x`), `header = "Äö: ******** *`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, dialect := range []Dialect{Lenient, Strict} {
				_, ds := Options{Dialect: dialect}.Load("lvs.cf", []byte(tt.text))
				if !ds.HasErrors() {
					t.Fatal("nothing was found")
				}
				shown := false
				for _, d := range ds {
					if strings.Contains(d.Source+d.String(), "hunter") {
						t.Errorf("%v: %v shows %q", dialect, d, d.Source)
					}
					shown = shown || strings.TrimSpace(d.Source) == tt.shows
				}
				if !shown && dialect == Lenient { // Piranha has no such blocks
					t.Errorf("%v: no finding has the line %q: %v", dialect, tt.shows, ds)
				}
			}
		})
	}
	_, ds := Load("lvs.cf", []byte(vrrp("auth = pasword")))
	if text := ds.Err().Error(); !strings.Contains(text, `"pasword" is no auth: did you mean "password"?`) {
		t.Errorf("a misspelling is hidden: %s", text)
	}
}
