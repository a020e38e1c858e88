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
