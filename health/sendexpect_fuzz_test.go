package health

import "testing"

// FuzzCompare feeds an answer byte by byte and as a whole: a plain text check
// must come to the same end, and never change its mind.
func FuzzCompare(f *testing.F) {
	f.Add("220 ", []byte("220 ready"), false)
	f.Add("*", []byte("x"), false)
	f.Add("a+b", []byte("xaab"), true)
	f.Add(`\r\n`, []byte("\r\n"), false)
	f.Fuzz(func(t *testing.T, expect string, answer []byte, regex bool) {
		c, err := NewSendExpect(&SendExpectConfig{Expect: expect, Regex: regex})
		if err != nil {
			return
		}
		decided := NoResult
		for i := range len(answer) + 1 {
			v := c.compare(answer[:i])
			if decided != NoResult && c.regex == nil && v != decided {
				t.Fatalf("expect %q: %v after %q, %v before", expect, v, answer[:i], decided)
			}
			if decided == NoResult {
				decided = v
			}
		}
		if whole := c.compare(answer); c.regex == nil && whole != decided {
			t.Fatalf("expect %q: %v for the whole of %q, %v byte by byte", expect, whole, answer, decided)
		}
		if len(answer) >= RegexWindow && c.expect != "" && len(c.expect) <= len(answer) && decided == NoResult {
			t.Fatalf("expect %q: no decision after %d bytes", expect, len(answer))
		}
	})
}
