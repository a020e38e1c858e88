package lvscf

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The manual page is made of the text below and the table of directives.
const (
	manualPage = "lvs.cf.5"

	manualHead = `.\" Made of the table of directives: go test ./lvscf -update
.Dd $Mdocdate$
.Dt LVS.CF 5
.Os
.Sh NAME
.Nm lvs.cf
.Nd configuration of a Linux Virtual Server balancer
.Sh DESCRIPTION
.Nm
says which virtual services a balancer has, which real servers they spread
their connections over, how these are checked, and which two routers stand in
for each other.
It is the language of the Piranha load balancer, with extensions.
Both routers should have the same file.
.Pp
One directive stands on each line, as a name, the sign
.Ql = ,
and a value, with blanks or tabs between.
The last of repeated directives counts, except where this page says that they
add up.
A line whose first mark is
.Ql #
is a comment.
Values with blanks are put in double or single quotes.
Names and words are written in lower case.
.Pp
Blocks are opened by a line with the kind of the block, its name and
.Ql { ,
and closed by a line with
.Ql }
alone:
.Bd -literal -offset indent
virtual web {
        server a {
                address = 10.0.0.1
        }
}
.Ed
.Pp
The blocks
.Ic virtual ,
.Ic failover
and
.Ic vrrp
stand in the global section,
.Ic server
in a virtual block, and
.Ic check
in a virtual, server or vrrp block.
Names are labels of one word.
.Pp
The kinds of value are:
.Bl -tag -width Ds
.It Ar boolean
1 for yes and 0 for no.
.It Ar integer
As in C: a leading 0x is hexadecimal, and in the strict dialect a leading 0
octal.
.It Ar seconds
A whole number.
.It Ar duration
A number of seconds, also with a fraction, or a number with a unit, as in
.Ql 500ms ,
.Ql 1.5s
or
.Ql 2m .
.It Ar host
An IPv4 or IPv6 address, or a name that is looked up when the file is loaded.
.It Ar netmask
A dotted mask such as 255.255.255.0, or the length of a prefix.
.It Ar text
One word, or several in quotes.
.It Ar command
A program and its arguments in quotes.
There is no shell: the text is split at blanks.
.El
.Ss Extensions
Directives and values that Piranha's daemons do not know are marked with the
version of lvskit that brought them.
The strict dialect of the reader, which is Piranha's own grammar, refuses them.
Extensions are also IPv6 addresses, prefix lengths in place of masks, the protocol
.Ql sctp ,
a
.Ic port
of 0 (every port), the schedulers
.Ql sed ,
.Ql nq ,
.Ql fo ,
.Ql ovf ,
.Ql mh
and
.Ql twos ,
and the blocks
.Ic check
and
.Ic vrrp .
`

	manualTail = `.Sh FILES
.Bl -tag -width Ds
.It Pa /etc/sysconfig/ha/lvs.cf
The place where Piranha kept it.
.El
.Sh EXAMPLES
Two servers behind one address, reached directly, with an HTTP check:
.Bd -literal -offset indent
%s.Ed
.Pp
The same for routers that must not take over when they are cut off themselves:
before the place of a silent partner is taken the gateway is asked, and a
program switches the partner off, whose address is in place of
.Ql %%h .
Three global lines more do it:
.Bd -literal -offset indent
%s.Ed
.Pp
Two routers that agree by VRRP, with keepalived on one of them if need be.
The one with nginx and the way to the gateway is preferred: without nginx its
priority falls below that of the other one, and without the gateway it is
faulty.
.Bd -literal -offset indent
%s.Ed
.Sh SEE ALSO
.Xr ipvsadm 8 ,
.Xr lvsctl 8
.Sh CAVEATS
Directives that are read but have no effect yet are named when the file is
loaded.
`

	manualExample = `primary = 192.0.2.1
backup = 192.0.2.2
backup_active = 1
heartbeat_key_file = /etc/lvs/heartbeat.key
network = direct

virtual web {
        active = 1
        address = 192.0.2.10 eth0:1
        port = 80
        interval = 2
        fall = 3
        check page {
                kind = http
                path = /health
                status = 200
        }
        server a {
                active = 1
                address = 10.0.0.1
        }
        server b {
                active = 1
                address = 10.0.0.2
                weight = 2
        }
}
`
)

// manualClearance are the lines that are added to the first example, and
// manualVRRP is another file.
const (
	manualClearance = `heartbeat_path = 10.9.0.1 10.9.0.2
witness = 192.0.2.254
fence_cmd = "/usr/local/sbin/fence-partner %h"
`

	manualVRRP = `primary = 192.0.2.1
backup = 192.0.2.2
failover_mode = vrrp
network = direct

vrrp outside {
        interface = eth0
        vrid = 51
        priority = 150
        backup_priority = 140
        advert_interval = 100ms
        check nginx {
                kind = script
                command = "/usr/bin/pgrep -x nginx"
                weight = -20
        }
        check gateway {
                kind = ping
                address = 192.0.2.254
                fall = 3
        }
}

virtual web {
        active = 1
        address = 192.0.2.10 eth0:1
        server a {
                active = 1
                address = 10.0.0.1
        }
}
`
)

// manualPlaces are the sections of the page.
var manualPlaces = []struct{ place, title, text string }{
	{"global", "GLOBAL DIRECTIVES", "These stand outside of all blocks."},
	{"virtual", "VIRTUAL BLOCKS", "These stand in virtual blocks.\nA failover block has the same ones; of these\n.Ic start_cmd\nand\n.Ic stop_cmd\ncount there alone."},
	{"server", "SERVER BLOCKS", "These stand in server blocks, within a virtual block."},
	{"check", "CHECK BLOCKS", "These stand in check blocks, in a virtual block for all of its servers, in a\nserver block for this one alone, or in a vrrp block for what the router itself\ndepends on: while such a check fails the router is faulty, or has another\npriority by\n.Ic weight .\nThe checks of a server take the place of those of the virtual block; all of them\nmust be good.\nWithout any,\n.Ic send ,\n.Ic expect\nand\n.Ic send_program\nof the virtual block say what to ask."},
	{"vrrp", "VRRP BLOCKS", "These stand in vrrp blocks, which count with\n.Ic failover_mode\nof\n.Ql vrrp ."},
}

// roff escapes a text for the manual page and breaks it into lines.
func roff(text string) string {
	var out strings.Builder
	width := 0
	for i, word := range strings.Fields(strings.ReplaceAll(text, `\`, `\e`)) {
		switch {
		case i == 0:
		case width+1+len(word) > 76:
			out.WriteString("\n")
			width = 0
		default:
			out.WriteString(" ")
			width++
		}
		if width == 0 && (word[0] == '.' || word[0] == '\'') {
			out.WriteString(`\&`)
		}
		out.WriteString(word)
		width += len(word)
	}
	return out.String() + "\n"
}

// argument quotes a text as one argument of a macro.
func argument(text string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\e`), `"`, `""`) + `"`
}

func manual() string {
	var out strings.Builder
	out.WriteString(manualHead)
	for _, p := range manualPlaces {
		fmt.Fprintf(&out, ".Sh %s\n%s\n.Bl -tag -width Ds\n", p.title, p.text)
		for _, d := range Directives() {
			if d.Block == p.place {
				manualItem(&out, d)
			}
		}
		out.WriteString(".El\n")
	}
	fmt.Fprintf(&out, manualTail, strings.ReplaceAll(manualExample, `\`, `\e`), manualClearance, manualVRRP)
	return out.String()
}

func manualItem(out *strings.Builder, d Directive) {
	fmt.Fprintf(out, ".It Ic %s = Ar %s\n", d.Name, argument(d.Type))
	out.WriteString(roff(sentence(d.Doc)))
	if d.Words != nil && !strings.Contains(d.Type, d.Words[0]) {
		out.WriteString(roff("One of " + strings.Join(d.Words, ", ") + "."))
	}
	if d.Repeats {
		out.WriteString("Several lines add up.\n")
	}
	if d.Kinds != nil {
		var kinds []string
		for _, k := range d.Kinds {
			kinds = append(kinds, k.String())
		}
		out.WriteString(roff("Read by the kinds " + strings.Join(kinds, ", ") + "."))
	}
	if d.Default != "" {
		fmt.Fprintf(out, "The default is\n.Ql %s .\n", argument(d.Default))
	}
	if d.Since != "" {
		fmt.Fprintf(out, "Extension, since lvskit %s.\n", d.Since)
	}
	fmt.Fprintf(out, ".Pp\nExample:\n.Dl %s\n", argument(d.Name+" = "+d.Example))
}

func TestManualPage(t *testing.T) {
	page := manual()
	generated(t, manualPage, []byte(page))
	for _, d := range Directives() {
		if !strings.Contains(page, ".It Ic "+d.Name+" = ") {
			t.Errorf("%s is not in the page", d.Name)
		}
	}
	// What the page shows must be good.
	for _, example := range []string{manualExample, manualClearance + manualExample, manualVRRP} {
		if cfg, ds := Load("example.cf", []byte(example)); cfg == nil || len(ds) > 0 {
			t.Errorf("the example %s: %v", example, ds)
		}
	}
}

// TestManualPageShowsExamplesWhole renders the page: an example must be shown as
// it is to be written, with its quotes and the blanks beside brackets.
func TestManualPageShowsExamplesWhole(t *testing.T) {
	program, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("mandoc is not installed: internal/tools/deps.sh host")
	}
	path := filepath.Join(t.TempDir(), manualPage)
	if err := os.WriteFile(path, []byte(manual()), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "-T", "ascii", "-O", "width=200", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	for line := range strings.Lines(overstrike.ReplaceAllString(string(out), "")) {
		lines[strings.TrimSpace(line)] = true
	}
	for _, d := range Directives() {
		if want := d.Name + " = " + d.Example; !lines[want] {
			t.Errorf("the page does not show %s", want)
		}
	}
}

// overstrike is how a terminal is told of bold and underlined letters.
var overstrike = regexp.MustCompile(".\x08")

// TestManualPageRenders asks the formatters that this machine has: none may
// find anything to say.
func TestManualPageRenders(t *testing.T) {
	path := filepath.Join(t.TempDir(), manualPage)
	if err := os.WriteFile(path, []byte(manual()), 0o644); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, command := range [][]string{
		// Below warnings it looks for the pages that this one refers to.
		{"mandoc", "-T", "lint", "-W", "warning", path},
		{"groff", "-ww", "-mdoc", "-T", "utf8", "-z", path},
	} {
		program, err := exec.LookPath(command[0])
		if err != nil {
			continue
		}
		tried++
		out, err := exec.CommandContext(t.Context(), program, command[1:]...).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: error %v\n%s", strings.Join(command, " "), err, out)
		}
	}
	if tried == 0 {
		t.Skip("neither mandoc nor groff is installed: internal/tools/deps.sh host")
	}
}
