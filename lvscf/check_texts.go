package lvscf

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"
)

// timing judges how often an active virtual block is checked, and its
// scheduling.
func (k *checker) timing(v *Virtual) {
	k.scheduling(v)
	o := v.Origins
	if v.Rise != 0 || v.Interval != 0 || o.refused("timeout") || o.refused("reentry") || v.Timeout <= 0 || !o.Has("reentry") && !o.Has("timeout") {
		return
	}
	pos := firstPos(o.Pos("reentry"), o.Pos("timeout"))
	every := fmt.Sprintf("reentry (%v) and timeout (%v)", v.Reentry, v.Timeout)
	switch {
	case v.Reentry < v.Timeout:
		k.add(codeShortReentry, pos, every+": one good check brings a failed server back", fmt.Sprintf("write a reentry of %d or more", 2*v.Timeout/time.Second))
	case v.Reentry == 15*time.Second && v.Timeout == 6*time.Second:
		// What Piranha's web tool fills in.
	case v.Reentry%v.Timeout != 0:
		n := v.Reentry / v.Timeout
		k.add(codeUnevenReentry, pos, fmt.Sprintf("%s: Piranha counts %s, which is %v", every, plural(int(n), "good check"), n*v.Timeout), fmt.Sprintf("write %d or %d", n*v.Timeout/time.Second, (n+1)*v.Timeout/time.Second))
	}
}

// texts judges what the check of an active virtual block says and expects.
func (k *checker) texts(v *Virtual) {
	o := v.Origins
	for _, name := range []string{"send", "expect", "send_program", "use_regex", "protocol", "port"} {
		if o.refused(name) {
			return
		}
	}
	k.commands(v)
	if v.Check != CheckPiranha || len(v.Checks) > 0 {
		return // these texts are not what is asked
	}
	name := quote(v.Name)
	switch {
	case v.SendProgram != "":
		k.program(v)
		return
	case v.Protocol == UDP && v.Send == "":
		k.add(codeUDPSilent, firstPos(o.Pos("protocol"), v.Pos), fmt.Sprintf("the checks of UDP service %s send nothing, so no answer can come", name), `write "send" or "send_program"`)
	case v.Protocol == UDP && v.Expect == "":
		k.add(codeUDPNoAnswer, o.Pos("send"), fmt.Sprintf("the checks of UDP service %s expect nothing: any answer counts", name), `write "expect"; "*" says that any answer will do`)
	case v.Protocol == TCP && v.Send == "" && v.Expect != "" && !greets(v.Port):
		k.add(codeBanner, o.Pos("expect"), fmt.Sprintf("the checks of service %s send nothing and wait for the server to speak first", name), `write "send" too, unless the server greets`)
	}
	send := Unescape(v.Send)
	if strings.HasPrefix(send, "GET ") || strings.HasPrefix(send, "HEAD ") {
		line, _, _ := strings.Cut(send, "\n")
		simple := !strings.Contains(line, "HTTP/") && strings.HasSuffix(send, "\n") // HTTP/0.9: one line is all
		if !simple && !strings.Contains(send, "\r\n\r\n") && !strings.Contains(send, "\n\n") && !strings.Contains(send, "\n\r\n") {
			k.add(codeOpenRequest, o.Pos("send"), "the request has no empty line at its end: the server waits for more", `end the text with \r\n\r\n`)
		}
		if v.Port == 443 && v.FWMark == 0 {
			k.add(codePlainTLS, o.Pos("send"), "the check sends plain HTTP to port 443, which speaks TLS", "remove send and expect to check the connection alone, or use a send_program that speaks TLS")
		}
	}
	k.regex(v)
}

// greets reports whether servers of a port speak first.
func greets(port uint16) bool {
	switch port {
	case 21, 22, 23, 25, 110, 119, 143, 465, 563, 587, 990, 992, 993, 995, 3306:
		return true
	}
	return false
}

func (k *checker) regex(v *Virtual) {
	pos := v.Origins.Pos("use_regex")
	switch {
	case !v.UseRegex:
	case v.SendProgram != "":
		k.add(codeIdleRegex, pos, "use_regex has no effect with send_program", "write use_regex = 0, or remove the line")
	case v.Expect == "":
		k.add(codeIdleRegex, pos, "use_regex has no effect without expect", "write expect, or remove the line")
	default:
		if _, err := regexp.CompilePOSIX(Unescape(v.Expect)); err != nil {
			what := err.Error()
			if e := (*syntax.Error)(nil); errors.As(err, &e) {
				what = e.Code.String() + " in " + quote(e.Expr)
			}
			k.add(codeBadRegex, firstPos(v.Origins.Pos("expect"), v.Pos), fmt.Sprintf("expect %s is no regular expression: %s", quote(v.Expect), what),
				"mend the expression, or write use_regex = 0")
		}
	}
}

// program judges a send_program by its words.
func (k *checker) program(v *Virtual) {
	const mostBytes, mostWords = 255, 39
	o, pos := v.Origins, v.Origins.Pos("send_program")
	words := strings.Fields(v.SendProgram)
	for _, w := range words {
		if w != "%h" && w != "%p" && (strings.Contains(w, "%h") || strings.Contains(w, "%p")) {
			k.add(codeGluedHost, pos, fmt.Sprintf("%%h and %%p are replaced as whole words only, not in %s", quote(w)), "put blanks around it, and join the words in a small script")
			break
		}
	}
	if len(v.SendProgram) > mostBytes || len(words) > mostWords {
		k.add(codeLongText, pos, fmt.Sprintf("send_program has %d bytes in %s; Piranha has room for %d and %d", len(v.SendProgram), plural(len(words), "word"), mostBytes, mostWords), "move the work into a small script")
	}
	if v.Send != "" {
		k.add(codeTwoChecks, o.Pos("send"), "send has no effect beside send_program", "remove one of the two lines")
	}
	if v.Expect == "" {
		k.add(codeNoExpect, pos, "send_program without expect: the program must print nothing, and its exit code does not count", `write what it prints when all is well, as in expect = "OK"`)
	}
	k.regex(v)
}

// commands judges lines that a virtual block does not run, and programs named
// without their folder.
func (k *checker) commands(v *Virtual) {
	for _, e := range []struct{ name, value string }{{"start_cmd", v.StartCmd}, {"stop_cmd", v.StopCmd}} {
		if e.value != "" && v.Origins.Has(e.name) {
			k.add(codeIdleCommand, v.Origins.Pos(e.name), e.name+" has no effect in a virtual block", "remove the line, or make the block a failover block")
		}
	}
	if p := programOf(v.SendProgram); p != "" && !strings.HasPrefix(p, "/") {
		k.add(codeRelativeProgram, v.Origins.Pos("send_program"), fmt.Sprintf("program %s is named without its path: which one runs depends on the daemon's surroundings", quote(p)), "write the path from / on")
	}
}

// programOf returns the first word of a command.
func programOf(command string) string {
	words := strings.Fields(command)
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// CheckPrograms asks for each program that the running configuration names
// with its path whether it can be run, once each, and reports those that
// cannot. The function does the work: it returns nil for a program that can be
// run, an error that is [fs.ErrNotExist] for one that is not there, and
// another error for the rest.
func (c *Config) CheckPrograms(runnable func(path string) error) Diagnostics {
	col := &collector{file: c.Path}
	known := map[string]error{}
	probe := func(what, command string, pos Pos) {
		path := programOf(command)
		if !strings.HasPrefix(path, "/") {
			return
		}
		err, asked := known[path]
		if !asked {
			err = runnable(path)
			known[path] = err
		}
		if !pos.IsValid() {
			pos = Pos{1, 1}
		}
		switch {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist):
			col.add(codeNoProgram, pos, "", fmt.Sprintf("%s: there is no program %s on this machine", what, quote(path)), "install it, on both routers, or mend the path")
		default:
			col.add(codeNotExecutable, pos, "", fmt.Sprintf("%s: program %s cannot be run: %v", what, quote(path), err), "make it executable: chmod 755 "+quote(path))
		}
	}
	all := func(o Origins, commands ...[2]string) {
		for _, c := range commands {
			probe(c[0], c[1], o.Pos(c[0]))
		}
	}
	checks := func(list []Check) {
		for i := range list {
			all(list[i].Origins, [2]string{"command", list[i].Command})
		}
	}
	all(c.Origins, [2]string{"active_cmd", c.ActiveCmd}, [2]string{"inactive_cmd", c.InactiveCmd}, [2]string{"fence_cmd", c.FenceCmd}, [2]string{"notify_cmd", c.NotifyCmd})
	if c.FailoverMode == VRRPMode {
		for i := range c.VRRPs {
			r := &c.VRRPs[i]
			all(r.Origins, [2]string{"master_cmd", r.MasterCmd}, [2]string{"backup_cmd", r.BackupCmd}, [2]string{"fault_cmd", r.FaultCmd}, [2]string{"notify_cmd", r.NotifyCmd})
			checks(r.Checks)
		}
	}
	for _, v := range (&checker{c: c}).running() {
		if !v.Active {
			continue
		}
		all(v.Origins, [2]string{"send_program", v.SendProgram})
		if c.Service == FOS {
			all(v.Origins, [2]string{"start_cmd", v.StartCmd}, [2]string{"stop_cmd", v.StopCmd})
			continue
		}
		all(v.Origins, [2]string{"quorum_up_cmd", v.QuorumUpCmd}, [2]string{"quorum_down_cmd", v.QuorumDownCmd})
		checks(v.Checks)
		for i := range v.Servers {
			if s := &v.Servers[i]; s.Active {
				all(s.Origins, [2]string{"up_cmd", s.UpCmd}, [2]string{"down_cmd", s.DownCmd})
				checks(s.Checks)
			}
		}
	}
	return col.finish()
}
