package health

import "strings"

// Unescape converts the escapes that lvs.cf's send and expect strings may
// hold, as Piranha does: \n, \r, \t, \\, \' and \" become one character; a
// backslash before anything else, and one at the end, stay. A string of one
// character is never converted.
func Unescape(s string) string {
	if len(s) < 2 || !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			switch next := s[i+1]; next {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case '\\', '\'', '"':
				c = next
			default:
				b.WriteByte(c)
				continue
			}
			i++
		}
		b.WriteByte(c)
	}
	return b.String()
}
