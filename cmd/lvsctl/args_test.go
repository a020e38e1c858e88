package main

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFlagsAnywhere(t *testing.T) {
	app := fakeHost().newApp(io.Discard, io.Discard)
	for _, test := range []struct{ name, args, want string }{
		{"flags after arguments", "lvsctl server add A B -w 5 --forward nat", "lvsctl server add -w 5 --forward nat A B"},
		{"flags between arguments", "lvsctl server add A --weight=5 B --dry-run", "lvsctl server add --weight=5 --dry-run A B"},
		{"a flag before the verb", "lvsctl --help server add A", "lvsctl --help server add A"},
		{"a value that looks like a flag", "lvsctl server add A B -w -1", "lvsctl server add -w -1 A B"},
		{"a value that is a verb", "lvsctl service add A -s del", "lvsctl service add -s del A"},
		{"an argument that is a verb", "lvsctl service add A del", "lvsctl service add A del"},
		{"help after arguments", "lvsctl server add A B --help", "lvsctl server add --help"},
		{"help before arguments", "lvsctl service del -h A", "lvsctl service del -h"},
		{"a value that is the help flag", "lvsctl service add A -s --help", "lvsctl service add -s --help A"},
		{"standard input", "lvsctl check - -o json", "lvsctl check -o json -"},
		{"arguments after two hyphens", "lvsctl check -o json -- -x -y", "lvsctl check -o json -- -x -y"},
		{"short flags together", "lvsctl service del A -yo json", "lvsctl service del -yo json A"},
		{"an unknown flag", "lvsctl service del A --what B", "lvsctl service del --what A B"},
		{"a value that is missing", "lvsctl service add A -s", "lvsctl service add -s A"},
		{"an unknown command", "lvsctl chekc A -o json", "lvsctl chekc A -o json"},
		{"completion", "lvsctl server add A --wei --generate-bash-completion", "lvsctl server add A --wei --generate-bash-completion"},
		{"nothing", "lvsctl", "lvsctl"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(reorder(app, strings.Fields(test.args)), " ")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// No verb may bring down the program, whatever it is called with.
func FuzzArgs(f *testing.F) {
	f.Add("server add tcp/192.0.2.1:80 10.0.0.1 -w 5 -f nat")
	f.Add("service edit fwmark/7 --set-flags sh-port --clear-flags 4")
	f.Add("syncd start master -i sync0 --group ff02::81")
	f.Add("timeouts --tcp 1h -o json")
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Fields(line)
		// The verbs of daemons and files are not for this.
		if len(args) == 0 || !strings.Contains(" service server zero flush timeouts syncd ", " "+args[0]+" ") {
			return
		}
		var errs strings.Builder
		code := fakeHost().run(t.Context(), append([]string{"lvsctl"}, args...), io.Discard, &errs)
		if text := strings.TrimSpace(errs.String()); (code == exitDone) != (text == "" || text == nothingToChange) {
			t.Errorf("exit code %d with %q", code, errs.String())
		}
	})
}
