package convert

import (
	"strings"
	"testing"

	"github.com/lvskit/lvskit/lvscf"
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

func TestLossesTellNoSecretsOfHeaders(t *testing.T) {
	const text = "network = direct\nvirtual web {\n\tactive = 1\n\taddress = 192.0.2.1 eth0:1\n\tcheck a {\n\t\tkind = http\n" +
		"\t\theader = \"Authorization: Basic hunter2\"\n\t\theader = \"X-Probe: hunter2\"\n\t}\n\tserver one {\n\t\taddress = 10.0.0.1\n\t\tactive = 1\n\t}\n}\n"
	cfg, ds := lvscf.Load("lvs.cf", []byte(text))
	if err := ds.Err(); err != nil {
		t.Fatal(err)
	}
	out, losses := ToKeepalived(cfg)
	got := losses.String()
	if strings.Contains(got+string(out), "hunter2") {
		t.Errorf("a secret is told:\n%s", got)
	}
	if !strings.Contains(got, `header = "Authorization: ...", "X-Probe: ..."`) {
		t.Errorf("the headers are missing in\n%s", got)
	}
}
