package lvscf

import (
	"strings"
	"testing"
)

const twoServices = `network = direct
# the shop
virtual shop {
	active = 1
	address = 192.0.2.10 eth0:1
	scheduler = rr
	server one {
		address = 192.0.2.21
		active = 1
	}
	server two {
		address = 192.0.2.22
		active = 1
		weight = 2
	}
}

virtual mail {
	scheduler = wlc
	active = 1
	port = smtp
	address = 192.0.2.11 eth0:2
	send = "HELO me\r\n"
	server one {
		address = 192.0.2.31
		active = 1
	}
}
keepalive = 6
deadtime = 18
`

// TestOneSlipGivesOneError makes one slip after the other in a good file: the
// parser must find its way back, and report each cause once.
func TestOneSlipGivesOneError(t *testing.T) {
	lines := strings.SplitAfter(twoServices, "\n")
	if cfg, ds := strict.Load("good.cf", []byte(twoServices)); cfg == nil || len(ds) > 0 {
		t.Fatal(ds)
	}
	for i, line := range lines {
		trimmed := strings.TrimSpace(line)
		slips := map[string]string{}
		switch {
		case trimmed == "}":
			slips["brace missing"] = ""
			slips["brace doubled"] = line + line
			slips["two braces on a line"] = "}}\n"
			slips["comment after the brace"] = "} # end\n"
		case strings.HasSuffix(trimmed, "{"):
			slips["brace not opened"] = strings.Replace(line, " {", "", 1)
			slips["brace glued"] = strings.Replace(line, " {", "{", 1)
			slips["brace on the next line"] = strings.Replace(line, " {", "\n{", 1)
			slips["comment after the brace"] = strings.Replace(line, "{", "{ # here", 1)
			slips["name missing"] = strings.SplitN(line, " ", 2)[0] + " {\n"
			slips["name of two words"] = strings.Replace(line, " {", " too {", 1)
			slips["word misspelt"] = strings.Replace(strings.Replace(line, "virtual", "virtaul", 1), "server", "servre", 1)
			if strings.HasPrefix(trimmed, "virtual") {
				slips["line missing"] = ""
			}
		case trimmed != "" && trimmed[0] != '#':
			slips["brace at the end"] = strings.TrimSuffix(line, "\n") + " {\n"
			slips["no blanks around the sign"] = strings.ReplaceAll(line, " = ", "=")
			slips["comment"] = strings.TrimSuffix(line, "\n") + " # here\n"
			slips["word misspelt"] = strings.Replace(line, " =", "x =", 1)
			slips["open quote"] = strings.Replace(line, "= ", "= '", 1)
			slips["no value"] = line[:strings.Index(line, "=")+1] + "\n"
			if i == 0 {
				slips["byte order mark"] = "\ufeff" + line
			}
		}
		for name, slip := range slips {
			src := strings.Join(lines[:i], "") + slip + strings.Join(lines[i+1:], "")
			cfg, ds := strict.Load("slip.cf", []byte(src))
			errors := 0
			for _, d := range ds {
				if d.Severity == Error {
					errors++
				}
			}
			if cfg != nil || errors != 1 {
				t.Errorf("%s on line %d (%q): %d errors, want 1", name, i+1, trimmed, errors)
				for _, d := range ds {
					t.Log("   ", d)
				}
			}
		}
	}
}

// TestHalfAFile cuts a good file at every byte. The only error may be about
// the cut, unless it falls between two directives of the global section.
func TestHalfAFile(t *testing.T) {
	for n := 1; n < len(twoServices); n++ {
		src := twoServices[:n]
		checkIdentity(t, []byte(src))
		cfg, ds := strict.Load("half.cf", []byte(src))
		var errors []string
		for _, d := range ds {
			if d.Severity == Error {
				errors = append(errors, d.String())
			}
		}
		open := strings.Count(src, "{") - strings.Count(src, "}")
		if open > 0 && (len(errors) != 1 || !strings.Contains(errors[0], "unexpected end of file")) {
			t.Errorf("cut in a block, after %d bytes %q: %v", n, src[max(0, n-20):], errors)
		}
		if len(errors) > 1 || (cfg == nil) != (len(errors) == 1) {
			t.Errorf("cut after %d bytes %q: %v", n, src[max(0, n-20):], errors)
		}
	}
}

func TestBlocksKnowTheirLines(t *testing.T) {
	f, ds := strict.Parse("b.cf", []byte("# top\nvirtual a {\n\tserver b {\n\t\t# in\n\t}\n}\n"))
	if len(ds) > 0 || len(f.Body) != 2 {
		t.Fatal(ds, len(f.Body))
	}
	v := f.Body[1].(*Block)
	if v.Kind != VirtualBlock || v.Name != "a" || v.Open.Number != 2 || v.Close.Number != 6 || len(v.Body) != 1 {
		t.Errorf("virtual block %+v", v)
	}
	s := v.Body[0].(*Block)
	if s.Kind != ServerBlock || s.Name != "b" || s.Open.Number != 3 || s.Close.Number != 5 || len(s.Body) != 1 {
		t.Errorf("server block %+v", s)
	}
	if l := s.Body[0].(*Line); l.Kind != CommentLine || l.Text != "\t\t# in" {
		t.Errorf("comment %+v", l)
	}
}
