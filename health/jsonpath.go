package health

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"strconv"
	"strings"
)

// Bounds of a path into a JSON text.
const (
	maxJSONPath  = 256 // bytes
	maxJSONSteps = 32
)

// jsonStep is one step down: to the member of an object, or to an element of
// an array.
type jsonStep struct {
	key   string
	index int // of an array if array is true
	array bool
}

// parseJSONPath reads a path such as status.db[0].ok: names of members with
// dots between, indexes of arrays from 0 in brackets, and names with other
// characters as JSON strings in brackets, ["a.b"]. An empty path is the whole
// text.
func parseJSONPath(path string) ([]jsonStep, error) {
	bad := func(rest string) error {
		return fmt.Errorf("json path %s: cannot read %s; want a form such as status.db[0].ok or [\"a.b\"]", clip([]byte(path)), clip([]byte(rest)))
	}
	if len(path) > maxJSONPath {
		return nil, fmt.Errorf("json path of %d bytes: want at most %d", len(path), maxJSONPath)
	}
	var steps []jsonStep
	for rest := path; rest != ""; {
		if len(steps) == maxJSONSteps {
			return nil, fmt.Errorf("json path %s has more than %d steps", clip([]byte(path)), maxJSONSteps)
		}
		if rest[0] != '[' {
			name := rest
			if len(steps) > 0 {
				var dot bool
				if name, dot = strings.CutPrefix(rest, "."); !dot {
					return nil, bad(rest)
				}
			}
			end := strings.IndexAny(name, ".[]\"")
			if end < 0 {
				end = len(name)
			}
			if end == 0 {
				return nil, bad(rest)
			}
			steps = append(steps, jsonStep{key: name[:end]})
			rest = name[end:]
			continue
		}
		if strings.HasPrefix(rest, `["`) {
			d := json.NewDecoder(strings.NewReader(rest[1:]))
			var key string
			if d.Decode(&key) != nil {
				return nil, bad(rest)
			}
			after, ok := strings.CutPrefix(rest[1+d.InputOffset():], "]")
			if !ok {
				return nil, bad(rest)
			}
			steps, rest = append(steps, jsonStep{key: key}), after
			continue
		}
		number, after, ok := strings.Cut(rest[1:], "]")
		index, err := strconv.ParseUint(number, 10, 31)
		if !ok || err != nil {
			return nil, bad(rest)
		}
		steps, rest = append(steps, jsonStep{index: int(index), array: true}), after
	}
	return steps, nil
}

// jsonAt returns the part of a JSON text that the steps lead to; of members with
// the same name the last counts.
func jsonAt(text []byte, steps []jsonStep) (json.RawMessage, error) {
	if err := jsonCheck(text); err != nil {
		return nil, err
	}
	return jsonFind(text, steps)
}

// jsonCheck tells what makes a text no JSON.
func jsonCheck(text []byte) error {
	if json.Valid(text) {
		return nil
	}
	var ignored json.RawMessage
	return fmt.Errorf("the text is no JSON: %w", json.Unmarshal(text, &ignored))
}

// jsonFind is jsonAt for a text that has been checked. It keeps nothing of what
// it passes over: a server may send a million elements.
func jsonFind(text []byte, steps []jsonStep) (json.RawMessage, error) {
	at := bytes.TrimLeft(text, jsonBlank)
	for _, s := range steps {
		var next json.RawMessage
		n := 0
		if s.array {
			if at[0] != '[' {
				return nil, fmt.Errorf("there is no array to take [%d] of", s.index)
			}
			for _, value := range jsonParts(at) {
				if n++; n == s.index+1 {
					next = value
				}
			}
			if next == nil {
				return nil, fmt.Errorf("there is no [%d], the array has %d elements", s.index, n)
			}
		} else {
			if at[0] != '{' {
				return nil, fmt.Errorf("there is no object to take %s of", clip([]byte(s.key)))
			}
			for key, value := range jsonParts(at) {
				if isJSONKey(key, s.key) {
					next = value
				}
			}
			if next == nil {
				return nil, fmt.Errorf("there is no member %s", clip([]byte(s.key)))
			}
		}
		at = next
	}
	return at, nil
}

const jsonBlank = " \t\r\n"

// jsonParts yields the elements of an array, or the members of an object with
// their names as they stand. The text must be valid.
func jsonParts(b []byte) iter.Seq2[[]byte, []byte] {
	object := b[0] == '{'
	return func(yield func(key, value []byte) bool) {
		for rest := bytes.TrimLeft(b[1:], jsonBlank); rest[0] != ']' && rest[0] != '}'; {
			var key []byte
			if object {
				key, rest = cutJSON(rest)
				rest = bytes.TrimLeft(rest[1:], jsonBlank) // a colon
			}
			var value []byte
			value, rest = cutJSON(rest)
			if !yield(key, value) {
				return
			}
			if rest[0] == ',' {
				rest = bytes.TrimLeft(rest[1:], jsonBlank)
			}
		}
	}
}

// cutJSON takes a value off the beginning of a valid text, and the blanks
// after it.
func cutJSON(b []byte) (value, rest []byte) {
	end, depth, quoted := 0, 0, false
scan:
	for ; end < len(b); end++ {
		switch c := b[end]; {
		case quoted && c == '\\':
			end++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case depth == 0 && strings.IndexByte(",:]}"+jsonBlank, c) >= 0:
			break scan
		case c == ']' || c == '}':
			depth--
		}
	}
	return b[:end], bytes.TrimLeft(b[end:], jsonBlank)
}

// isJSONKey tells whether a name as it stands, with its quotes, is the wanted
// one.
func isJSONKey(raw []byte, want string) bool {
	var key string
	return string(raw[1:len(raw)-1]) == want && !strings.Contains(want, `\`) ||
		bytes.IndexByte(raw, '\\') >= 0 && json.Unmarshal(raw, &key) == nil && key == want
}

// jsonScalar is the value of a JSON text as it is compared: the contents of a
// string, or the word or number as it stands. Objects and arrays have none.
func jsonScalar(text json.RawMessage) (value string, number bool, err error) {
	switch trimmed := strings.TrimSpace(string(text)); {
	case trimmed == "":
		return "", false, errors.New("the value is empty")
	case trimmed[0] == '{' || trimmed[0] == '[':
		return "", false, errors.New("the value is an object or an array; name one of its parts")
	case trimmed[0] == '"':
		err = json.Unmarshal([]byte(trimmed), &value)
		return value, false, err
	case trimmed[0] == 't' || trimmed[0] == 'f' || trimmed[0] == 'n':
		return trimmed, false, nil
	default:
		return trimmed, true, nil
	}
}

// jsonEqual tells whether a scalar is the wanted one: numbers by their value,
// all else by its text.
func jsonEqual(got string, number bool, want string) bool {
	if got == want {
		return true
	}
	if !number || len(got) > maxDigits || len(want) > maxDigits || strings.ContainsAny(want, "/xXpP_") {
		return false
	}
	// 64 bits are short of the numbers that people use as names of things.
	a, _, errA := big.ParseFloat(got, 10, 256, big.ToNearestEven)
	b, _, errB := big.ParseFloat(want, 10, 256, big.ToNearestEven)
	return errA == nil && errB == nil && a.Cmp(b) == 0
}

// maxDigits bounds the numbers that are compared by value.
const maxDigits = 64
