package ipvsadm

import "strings"

// scan sorts the words of a command into p: the verb, options with their
// values, and the rest.
func (p *parser) scan(words []word) *SyntaxError {
	p.verb, p.rest = nil, p.rest[:0]
	clear(p.given[:])
	for len(words) > 0 && !p.helps() {
		w := words[0]
		words = words[1:]
		var err *SyntaxError
		switch {
		case w.text == "--":
			p.rest = append(p.rest, words...)
			return nil
		case strings.HasPrefix(w.text, "--"):
			words, err = p.long(w, words)
		case strings.HasPrefix(w.text, "-") && len(w.text) > 1:
			words, err = p.shorts(w, words)
		default:
			p.rest = append(p.rest, w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// helps reports that the rest of the line does not matter.
func (p *parser) helps() bool {
	return p.verb != nil && (p.verb.verb == Help || p.verb.verb == Version)
}

// long reads one option with two dashes and returns the words after it.
func (p *parser) long(w word, next []word) ([]word, *SyntaxError) {
	name, _, has := strings.Cut(w.text[2:], "=")
	o := longOption(name)
	if o == nil {
		if near := nearLong(name); near != "" {
			return nil, p.errorf(w, "unknown option %s: did you mean --%s?", quoted("--"+name), near)
		}
		return nil, p.errorf(w, "unknown option %s", quoted("--"+name))
	}
	if !has {
		return p.value(o, w, next)
	}
	if o.arg == none {
		return nil, p.errorf(w, "option --%s takes no value", o.long)
	}
	return next, p.give(o, w, w.from(2+len(name)+1), true)
}

// shorts reads a bundle of options with one dash, of which the last may have
// its value in the same word or in the next.
func (p *parser) shorts(w word, next []word) ([]word, *SyntaxError) {
	if len(w.text) > 2 && longOption(w.text[1:]) != nil {
		return nil, p.errorf(w, "option %s has two dashes: write -%s", w.text, w.text)
	}
	for i := 1; i < len(w.text); i++ {
		at := w
		if i > 1 {
			at = w.from(i)
		}
		o := shortOption(w.text[i])
		switch {
		case o == nil:
			return nil, p.unknownShort(w, i)
		case o.arg == none:
			if err := p.give(o, at, word{}, false); err != nil {
				return nil, err
			}
			if p.helps() {
				return next, nil
			}
			continue
		case i+1 == len(w.text):
			return p.value(o, at, next)
		case w.text[i+1] == '=':
			i++
		}
		return next, p.give(o, at, w.from(i+1), true)
	}
	return next, nil
}

func (p *parser) unknownShort(w word, i int) *SyntaxError {
	if w.text[i] == '=' {
		return p.errorf(w.from(i), "option -%c takes no value", w.text[i-1])
	}
	letter := []rune(w.text[i:])[:1]
	return p.errorf(w.from(i), "unknown option %s", quoted("-"+string(letter)))
}

// value takes the value of o from the words after it, if it has one.
func (p *parser) value(o *option, at word, next []word) ([]word, *SyntaxError) {
	switch o.arg {
	case none:
		return next, p.give(o, at, word{}, false)
	case optional:
		if len(next) == 0 || strings.HasPrefix(next[0].text, "-") {
			return next, p.give(o, at, word{}, false)
		}
	case required:
		if len(next) == 0 {
			return nil, p.errorf(at, "nothing follows %s: want %s", o.flag(), o.want)
		}
		// A number below zero is a bad value, not an option.
		if v := next[0].text; len(v) > 1 && v[0] == '-' && (v[1] < '0' || v[1] > '9') {
			return nil, p.errorf(next[0], "option %s follows %s: want %s", quoted(v), o.flag(), o.want)
		}
	}
	return next[1:], p.give(o, at, next[0], true)
}

// give notes an option.
func (p *parser) give(o *option, at, value word, has bool) *SyntaxError {
	if o.verb != 0 {
		if p.verb != nil && o.verb != Help && o.verb != Version {
			return p.errorf(at, "command %s after %s: only one at a time", o.flag(), p.verb.flag())
		}
		p.verb, p.verbAt, p.verbArg = o, at, value
		return nil
	}
	switch old := p.given[o.id].option; {
	case old == nil:
		p.given[o.id] = given{option: o, at: at, value: value, has: has}
	case o.again:
	case old == o:
		return p.errorf(at, "option %s is given twice", o.flag())
	default:
		return p.errorf(at, "option %s after %s: only one of them", o.flag(), old.flag())
	}
	return nil
}

// seen reports whether an option is on the line.
func (p *parser) seen(id optionID) bool { return p.given[id].option != nil }

// at returns the place of an option's value, of the option if it has none,
// or else of the command.
func (p *parser) at(id optionID) word {
	switch g := &p.given[id]; {
	case g.option == nil:
		return p.verbAt
	case g.has:
		return g.value
	default:
		return g.at
	}
}
