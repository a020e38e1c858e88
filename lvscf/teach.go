package lvscf

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// teach looks at a line that is refused for a reason that may hide a better
// one, such as what is left of a template. It returns the code and the cure to
// tell.
func teach(l *Line, code Code, cure string) (Code, string) {
	switch code {
	case codeUnknown, codeNoSign, codeNoValue, codeNoSuchBlock, codeBlockWords, codeBlockFrame, codeBraceAlone, codeAfterBrace,
		codeBraceAtEnd, codeOneLine, codeStrayBrace, codeTooManyWords, codeNotInteger, codeNotBoolean, codeNotPort, codeNotWord,
		codeNotDevice, codeNotHost, codeNotMask, codeNoDevice:
	default:
		return code, cure
	}
	text := l.Text[:min(len(l.Text), 1000)]
	switch r, at := oddBlank(text); {
	case at >= 0:
		return codeOddBlank, fmt.Sprintf("replace the unusual blank %U in column %d by a plain one", r, at+1)
	case isTemplate(text):
		return codeTemplate, "a placeholder of a template seems to be left here: write the value"
	}
	for i, t := range l.Tokens {
		switch {
		case t.Quote != 0:
		case (i == 0 || i > 2) && (strings.HasPrefix(t.Text, "//") || strings.HasPrefix(t.Text, ";") || strings.HasPrefix(t.Text, "/*")):
			return code, "a comment starts with #, and stands on a line of its own"
		case i == 2 && strings.Contains(t.Text, "#"):
			return code, "a comment stands on a line of its own, above this one"
		}
	}
	if n := len(l.Tokens); n > 0 {
		if t := l.Tokens[n-1]; t.Quote == 0 && len(t.Text) > 1 && strings.HasSuffix(t.Text, ";") {
			return code, "end the line without ;"
		}
	}
	return code, cure
}

// teachLine is teach for a line whose first word is not of the language.
func teachLine(l *Line, code Code, cure string) (Code, string) {
	if program := programOfLine(l); program != "" && (code == codeUnknown || code == codeNoSuchBlock) {
		return codeOtherProgram, "this is the language of " + program + "; convert the file with lvsctl convert"
	}
	switch code {
	case codeUnknown, codeNoSuchBlock, codeBlockWords, codeOneLine, codeBraceAlone, codeStrayBrace:
		if isPasted(l.Text[:min(len(l.Text), 1000)]) {
			return codePasted, "this seems to be copied with the file and no part of it: remove it"
		}
	}
	return teach(l, code, cure)
}

// programOfLine returns whose language a line is that has a first word of
// another program.
func programOfLine(l *Line) string {
	switch l.Tokens[0].Text {
	case "virtual_server", "virtual_server_group", "real_server", "vrrp_instance", "vrrp_sync_group", "vrrp_script", "global_defs",
		"static_ipaddress", "static_routes":
		return "keepalived"
	case "virtual", "real", "checktimeout", "checkinterval", "fallback", "negotiatetimeout", "logfile", "quiescent":
		if len(l.Tokens) > 2 && l.Tokens[1].is("=") {
			return "ldirectord"
		}
	}
	return ""
}

// oddBlank returns the first character that looks like a blank or like
// nothing and is not a blank or tab, and its index; -1 if there is none.
func oddBlank(s string) (rune, int) {
	for i, r := range s {
		switch {
		case r == ' ' || r == '\t' || r < utf8.RuneSelf && r > ' ':
		case unicode.IsSpace(r), r >= 0x200b && r <= 0x200f, r == 0x2060, r == 0xfeff && i > 0:
			return r, i
		}
	}
	return 0, -1
}

// isTemplate reports whether a line has a placeholder.
func isTemplate(s string) bool {
	for _, mark := range []string{"{{", "}}", "<%", "%>", "{%", "%}", "${", "$(", "CHANGEME", "TODO", "…"} {
		if strings.Contains(s, mark) {
			return true
		}
	}
	for word := range strings.FieldsSeq(s) {
		n := len(word)
		switch {
		case word == "..." || word == "....":
			return true
		case n > 2 && word[0] == '<' && word[n-1] == '>', n > 2 && word[0] == '@' && word[n-1] == '@',
			n > 2 && word[0] == '[' && word[n-1] == ']', n > 2 && word[0] == '%' && word[n-1] == '%', n > 1 && word[0] == '$':
			return true
		case n > 2 && strings.Trim(strings.ToLower(word), "x.0123456789") == "" && strings.Contains(strings.ToLower(word), "x.x"),
			n > 2 && strings.HasPrefix(strings.ToLower(word), "xxx"):
			return true
		}
	}
	return strings.Contains(s, "<") && strings.Contains(s, ">") && strings.Contains(s, "=")
}

// isPasted reports whether a line looks like a prompt, a numbered line, a mark
// of a patch, of quoting or of a web page.
func isPasted(s string) bool {
	s = strings.TrimSpace(s)
	if s == "" {
		return false
	}
	first, rest, _ := strings.Cut(s, " ")
	switch {
	case strings.Contains(first, "@") && strings.ContainsAny(s, "#$~]"),
		first == "$", first == ">", first == ">>", first == "EOF", first == "@@", first == "diff", first == "cat", first == "vi", first == "vim",
		strings.HasPrefix(first, "<") && !strings.HasPrefix(first, "<%"), strings.HasPrefix(first, "&"), strings.HasPrefix(first, "```"),
		len(first) > 2 && strings.Trim(first, "-=*_~") == "":
		return true
	case (s[0] == '+' || s[0] == '-') && isDirectiveWord(strings.TrimSpace(s[1:])):
		return true
	case first != "" && strings.Trim(first, "0123456789:.|") == "" && first[0] >= '0' && first[0] <= '9':
		return isDirectiveWord(strings.TrimSpace(rest)) || rest == ""
	}
	return false
}

// isDirectiveWord reports whether a line begins with a word of the language.
func isDirectiveWord(s string) bool {
	word := s[:indexBlank(s, 0)]
	return word == "}" || blockKind(word) != UnknownBlock || blocksOf(word) != 0
}

// wordOfOthers returns what a word of other load balancers is called here.
func wordOfOthers(word string) string {
	switch strings.ToLower(word) {
	case "dr", "dsr", "gate", "gatewaying", "direct_routing":
		return "direct"
	case "masq", "masquerade", "masquerading":
		return "nat"
	case "tun", "ipip", "tunneling", "tunnelling":
		return "tunnel"
	case "roundrobin", "round-robin", "round_robin":
		return "rr"
	case "leastconn", "leastconns", "least-connection", "least_conn":
		return "lc"
	case "source", "iphash", "ip_hash", "source-hash":
		return "sh"
	}
	return ""
}

// isSecretWord reports whether a word that is none of the language is what
// others call a secret.
func isSecretWord(word string) bool {
	switch strings.ToLower(word) {
	case "password", "passwd", "pass", "passphrase", "secret", "auth_pass":
		return true
	}
	return false
}

// curlyQuote reports whether a word starts with a quote that is none.
func curlyQuote(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return strings.ContainsRune("“”„‟‘’‚‛«»′″＂", r)
}
