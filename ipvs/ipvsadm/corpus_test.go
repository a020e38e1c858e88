package ipvsadm

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// corpusVariable names a folder of rule texts and command scripts of other
// people. It is read as it is, with all folders below; nothing is written.
const corpusVariable = "LVSKIT_IPVSADM_CORPUS"

// TestCorpus reads every file of the folder in LVSKIT_IPVSADM_CORPUS: each
// has to be read and played, and what is printed of it has to be the same
// table. In a file with "broken" in its name something is wrong: it has to be
// refused, with the place and the reason.
func TestCorpus(t *testing.T) {
	folder := os.Getenv(corpusVariable)
	if folder == "" {
		t.Skip("no folder with rule texts of others in " + corpusVariable)
	}
	files := 0
	err := filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		commands, err := Parse(t.Context(), string(text), Options{File: e.Name(), Resolver: net.DefaultResolver})
		if err == nil {
			_, err = Table(commands)
		}
		if strings.Contains(e.Name(), "broken") {
			if err == nil || !strings.Contains(err.Error(), e.Name()+":") {
				t.Errorf("%s: error %v, want one with its place", path, err)
			}
			t.Logf("refused: %v", err)
			return nil
		}
		if err != nil {
			t.Errorf("%v", err)
			return nil
		}
		checkCommands(t, commands)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Errorf("no file in %s", folder)
	}
	t.Logf("%d files", files)
}

// checkCommands prints commands that were parsed and reads them again.
func checkCommands(t *testing.T, commands []Command) {
	t.Helper()
	for _, c := range commands {
		var text []byte
		var err error
		switch {
		case c.Change.Op != 0:
			text, err = AppendChange(nil, c.Change)
		case c.Timeouts != nil:
			text, err = AppendTimeouts(nil, *c.Timeouts)
		case c.Verb == StartDaemon:
			text, err = AppendDaemon(nil, *c.Daemon)
		default:
			continue
		}
		if err != nil {
			// Deeds on what no kernel holds can be read and not be written.
			t.Errorf("%+v cannot be printed: %v", c, err)
			continue
		}
		again, err := Parse(t.Context(), string(text), Options{})
		if err != nil || len(again) != 1 {
			t.Errorf("%s: read again: %v", text, err)
			continue
		}
		if a, b := c, again[0]; a.Change != b.Change || a.Timeouts != nil && *a.Timeouts != *b.Timeouts || a.Daemon != nil && *a.Daemon != *b.Daemon {
			t.Errorf("%s: read again as %+v, was %+v", text, b, a)
		}
	}
	table, err := Table(commands)
	if err != nil {
		return
	}
	text, err := AppendTable(nil, table)
	if err != nil {
		t.Errorf("print %+v: %v", table, err)
		return
	}
	back, err := Parse(t.Context(), string(text), Options{})
	if err != nil {
		t.Errorf("%v in:\n%s", err, text)
		return
	}
	again, err := Table(back)
	if err != nil {
		t.Errorf("%v in:\n%s", err, text)
		return
	}
	second, err := AppendTable(nil, again)
	if err != nil || string(second) != string(text) {
		t.Errorf("%v: printed\n%s and then\n%s", err, text, second)
	}
}

// TestLargeText has a bound on what a text can cost.
func TestLargeText(t *testing.T) {
	for name, text := range map[string]string{
		"one long word":       "-A -t " + strings.Repeat("x", 1<<20),
		"many words":          strings.Repeat("-A ", 1<<18),
		"many options":        "-A" + strings.Repeat("-sort --", 1<<17),
		"a bundle":            "-" + strings.Repeat("6", 1<<20),
		"many lines":          strings.Repeat("x\n", 1<<18),
		"many commas":         "-A -f 1 -b " + strings.Repeat(",", 1<<20) + "x",
		"an open quote":       strings.Repeat("'x\n", 1<<17),
		"joined lines":        strings.Repeat("\\\n", 1<<18) + "x",
		"services not there":  strings.Repeat("-D -t 192.0.2.1:80\n", 1<<15),
		"many colons":         "-A -t " + strings.Repeat(":", 1<<20),
		"bracket and nothing": "-A -t " + strings.Repeat("[", 1<<20),
	} {
		start := time.Now()
		commands, err := Parse(t.Context(), text, Options{})
		if err == nil {
			_, err = Table(commands)
		}
		if err == nil || len(err.Error()) > 20<<10 {
			t.Errorf("%s: error of %d bytes", name, len(err.Error()))
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}
