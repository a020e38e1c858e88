package convert

import (
	"strings"
	"testing"
)

// What is lost is shown on terminals and kept in logs.
func TestLossesTellNoSecretsOfLdirectord(t *testing.T) {
	const text = "passwd = hunter2\nvirtual=192.0.2.1:3306\n\treal=10.0.0.1:3306 masq\n\tservice=mysql\n\tchecktype=negotiate\n\tlogin=bob\n" +
		"\tpasswrd=\"hunter2\"\n\tradiussecret=hunter2\n\tpasswd hunter2\n\tpasswd = \"hunter2\n\tpasswd = hunter2 hunter2\n\tsecret=hunter2\n"
	_, losses, err := FromLdirectord("a.cf", []byte(text), ImportOptions{Device: "eth0"})
	if err != nil {
		t.Fatal(err)
	}
	got := losses.String()
	if strings.Contains(got, "hunter2") {
		t.Errorf("a secret is told:\n%s", got)
	}
	for _, word := range []string{"a.cf:1:1: passwd = ...", "passwrd = ...", "radiussecret = ...", "passwd = ...: no directive: there is no equals sign", "secret = ..."} {
		if !strings.Contains(got, word) {
			t.Errorf("%q is missing in\n%s", word, got)
		}
	}
}
