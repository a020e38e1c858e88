package convert

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// line takes a line without comment through conditions, definitions and
// sequences, up to the tree. Conditions may come out of definitions, and a
// definition may hold several lines, each of which goes the whole way.
func (r *lineReader) line(l sourceLine, depth int) {
	r.made += len(l.text)
	switch {
	case r.stopped:
		return
	case depth > MaxKeepalivedDepth:
		r.stop(l.where, fmt.Sprintf("definitions nested more than %d deep", MaxKeepalivedDepth), "a definition may contain itself; break the circle")
		return
	case r.made > MaxKeepalivedSize || len(l.text) > maxKeepalivedLine:
		r.stop(l.where, "definitions make too much text of this", "shorten the definitions")
		return
	}
	if r.pending.on {
		r.continueDefinition(l.text)
		return
	}
	l, applies := r.condition(l)
	if name, value, ok := definition(l.text); ok {
		r.pending.on, r.pending.discard, r.pending.name = true, !applies, name
		r.pending.value.Reset()
		r.continueDefinition(value)
		return
	}
	if !applies || l.text == "" {
		return
	}
	if kind, ok := sequenceKind(l.text); ok {
		r.sequence(l, kind, depth)
		return
	}
	text, several, changed := r.substitute(l)
	if changed {
		l.exact = false
	}
	if changed && (several || strings.ContainsAny(text[:min(1, len(text))], "@$~")) {
		for part := range strings.SplitSeq(text, "\n") {
			r.line(sourceLine{part, l.where, false}.trim(), depth+1)
		}
		return
	}
	l.text = strings.Trim(text, blanks)
	if l.text == "" {
		return
	}
	if r.lines++; r.lines > MaxKeepalivedLines {
		r.stop(l.where, fmt.Sprintf("more than %d lines", MaxKeepalivedLines), "shorten the sequences")
		return
	}
	r.emit(l)
}

// condition judges a line that starts with @ and returns what follows.
func (r *lineReader) condition(l sourceLine) (sourceLine, bool) {
	applies := true
	for strings.HasPrefix(l.text, "@") {
		end := strings.IndexAny(l.text, blanks)
		if end < 0 {
			end = len(l.text)
		}
		word, not := strings.CutPrefix(l.text[1:end], "^")
		if r.opt.ConfigID == "" {
			r.ledger.lose(l.where, clip(l.text), "the line is meant for some machines only, and none was named",
				fmt.Sprintf("convert again with the config id of a machine; without one only lines with @^ were read (this one: %s)", yesNo(not)))
		}
		applies = applies && (word == r.opt.ConfigID) != not
		l.where = l.at(end)
		l.text = l.text[end:]
		l = l.trim()
	}
	return l, applies
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// definition takes $NAME=VALUE apart.
func definition(text string) (name, value string, ok bool) {
	if !strings.HasPrefix(text, "$") {
		return "", "", false
	}
	n := nameLength(text[1:])
	if n == 0 || !strings.HasPrefix(text[1+n:], "=") {
		return "", "", false
	}
	return text[1 : 1+n], text[2+n:], true
}

// nameLength returns the length of the name that a text starts with, 0 if
// none.
func nameLength(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z' || n > 0 && s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return n
}

// continueDefinition adds a line to the open definition and ends it with a
// line that does not end with a backslash.
func (r *lineReader) continueDefinition(text string) {
	part, goesOn := strings.CutSuffix(text, `\`)
	part = strings.Trim(part, blanks)
	if part != "" {
		if r.pending.value.Len() > 0 {
			r.pending.value.WriteByte('\n')
		}
		r.pending.value.WriteString(part)
	}
	if !goesOn {
		r.define()
	}
}

// define ends the open definition.
func (r *lineReader) define() {
	r.pending.on = false
	if !r.pending.discard {
		r.defs[r.pending.name] = r.pending.value.String()
	}
}

// substitute puts definitions into a line until there is none left, or until
// one of several lines is met, whose lines must be read one by one as they may
// define what the next ones use.
func (r *lineReader) substitute(l sourceLine) (text string, several, changed bool) {
	text = l.text
	from := 0
	for range maxSubstitutions {
		start, end, name := reference(text, from)
		if start < 0 {
			return text, several, changed
		}
		value, ok := r.value(l, name)
		if !ok {
			from = end
			continue
		}
		text = text[:start] + value + text[end:]
		from, changed = start, true
		if strings.Contains(value, "\n") {
			return text, true, true
		}
		if len(text) > maxKeepalivedLine {
			break
		}
	}
	r.stop(l.where, "definitions make too much text of this line", "a definition may contain itself; break the circle")
	return "", false, true
}

// reference finds the next $NAME with a blank behind it, or ${NAME}.
func reference(s string, from int) (start, end int, name string) {
	for i := from; i < len(s); i++ {
		if s[i] != '$' {
			continue
		}
		rest := s[i+1:]
		if body, ok := strings.CutPrefix(rest, "{"); ok {
			n := strings.IndexByte(body, '}')
			if n > 0 && nameLength(body) > 0 {
				return i, i + 3 + n, body[:n]
			}
			continue
		}
		n := nameLength(rest)
		if n > 0 && (n == len(rest) || strings.IndexByte(blanks+"\n", rest[n]) >= 0) {
			return i, i + 1 + n, rest[:n]
		}
	}
	return -1, -1, ""
}

// value returns what a name stands for.
func (r *lineReader) value(l sourceLine, name string) (string, bool) {
	if v, ok := r.defs[name]; ok {
		return v, true
	}
	switch {
	case name == "_PWD":
		return path.Dir(l.where.File), true
	case name == "_HASH":
		return "#", true
	case name == "_BANG":
		return "!", true
	case name == "_INSTANCE" && r.opt.ConfigID != "":
		return r.opt.ConfigID, true
	case name == "_INSTANCE":
		r.ledger.lose(l.where, "${_INSTANCE}", "it is the name of a machine, and none was named", "convert again with the config id of a machine; the text was left as it is")
	case strings.HasPrefix(name, "_RANDOM"):
		r.ledger.lose(l.where, "${"+name+"}", "lvs.cf has no random numbers", "put a number of your own in its place; the text was left as it is")
	}
	return "", false
}

// sequenceKind tells ~SEQ, ~SEQx and ~LST apart.
func sequenceKind(text string) (string, bool) {
	for _, kind := range []string{"~SEQ", "~SEQx", "~LST"} {
		if strings.HasPrefix(text, kind+"(") {
			return kind, true
		}
	}
	return "", false
}

// sequence reads the rest of a line once for each value of its variables.
func (r *lineReader) sequence(l sourceLine, kind string, depth int) {
	close := strings.IndexByte(l.text, ')')
	if close < 0 {
		r.faults.add(l.where, clip(l.text), kind+" without a closing parenthesis", "write "+kind+"(NAME, ...) and the line to repeat")
		return
	}
	args := l
	args.text = l.text[len(kind)+1 : close]
	list, _, _ := r.substitute(args)
	rest := sourceLine{l.text[close+1:], l.where, false}.trim()
	names, rows, fault := sequenceRows(kind, list)
	if fault != "" {
		r.faults.add(l.where, clip(l.text), kind+": "+fault, "see keepalived.conf(5) for its form")
		return
	}
	for _, row := range rows {
		for i, name := range names {
			r.defs[name] = row[i]
		}
		r.line(rest, depth+1)
		if r.stopped {
			return
		}
	}
}

// sequenceRows returns the variables and, for each turn, their values.
func sequenceRows(kind, list string) (names []string, rows [][]string, fault string) {
	parts := splitGroups(list)
	if len(parts) < 2 || len(parts[0]) == 0 {
		return nil, nil, "a variable and values are needed"
	}
	names = parts[0]
	for _, n := range names {
		if n == "" || nameLength(n) != len(n) {
			return nil, nil, fmt.Sprintf("%q is no name of a variable", n)
		}
	}
	if kind == "~LST" {
		for _, p := range parts[1:] {
			if len(p) != len(names) {
				return nil, nil, fmt.Sprintf("%d values for %d variables", len(p), len(names))
			}
			rows = append(rows, p)
		}
		return names, rows, ""
	}
	var numbers []int64
	for _, p := range parts[1:] {
		n, err := strconv.ParseInt(p[0], 0, 64)
		if err != nil || len(p) != 1 || n > 1<<40 || n < -1<<40 {
			return nil, nil, fmt.Sprintf("%q is no number", p[0])
		}
		numbers = append(numbers, n)
	}
	var start, step, end int64
	switch len(numbers) {
	case 1:
		end = numbers[0]
		start, step = 1, 1
		if end < 0 {
			start, step = -1, -1
		}
	case 2:
		start, end, step = numbers[0], numbers[1], 1
		if end < start {
			step = -1
		}
	case 3:
		start, step, end = numbers[0], numbers[1], numbers[2]
	default:
		return nil, nil, "one to three numbers are needed"
	}
	if step == 0 {
		return nil, nil, "a step of 0 never ends"
	}
	for n := start; step > 0 && n <= end || step < 0 && n >= end; n += step {
		if len(rows) >= MaxKeepalivedLines {
			return nil, nil, fmt.Sprintf("more than %d turns", MaxKeepalivedLines)
		}
		text := strconv.FormatInt(n, 10)
		if kind == "~SEQx" {
			text = strconv.FormatInt(n, 16)
		}
		rows = append(rows, []string{text})
	}
	return names, rows, ""
}

// splitGroups splits at commas; braces hold several together.
func splitGroups(s string) [][]string {
	var out [][]string
	for s = strings.Trim(s, blanks); s != ""; s = strings.Trim(s, blanks) {
		var group string
		if body, ok := strings.CutPrefix(s, "{"); ok {
			group, s, _ = strings.Cut(body, "}")
			_, s, _ = strings.Cut(s, ",")
		} else {
			group, s, _ = strings.Cut(s, ",")
			out = append(out, []string{strings.Trim(group, blanks)})
			continue
		}
		var row []string
		for v := range strings.SplitSeq(group, ",") {
			row = append(row, strings.Trim(v, blanks))
		}
		out = append(out, row)
	}
	return out
}

// clip shortens a text of the file for a message, and leaves secrets out.
func clip(s string) string {
	const most = 60
	for _, word := range []string{"auth_pass", "password"} {
		if i := strings.Index(s, word); i >= 0 {
			return s[:min(i, most)] + word + " ..."
		}
	}
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
