package health

import (
	"math"
	"strconv"
	"strings"
)

// Perfdatum is one number that a check measured or a plugin printed. Texts are
// as the plugin wrote them, empty where it left them out.
type Perfdatum struct {
	// Label says what was measured.
	Label string `json:"label"`
	// Value is in Unit, such as "s", "%", "B", or "c" for a counter. It is
	// finite.
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	// Warn and Critical are ranges, Min and Max the least and the most.
	Warn     string `json:"warn,omitempty"`
	Critical string `json:"critical,omitempty"`
	Min      string `json:"min,omitempty"`
	Max      string `json:"max,omitempty"`
}

// String returns the number in the form in which plugins print it.
func (p Perfdatum) String() string {
	label := p.Label
	if strings.ContainsAny(label, " '=") {
		label = "'" + strings.ReplaceAll(label, "'", "''") + "'"
	}
	s := label + "=" + strconv.FormatFloat(p.Value, 'f', -1, 64) + p.Unit
	return strings.TrimRight(s+";"+p.Warn+";"+p.Critical+";"+p.Min+";"+p.Max, ";")
}

// ParsePerfdata reads the performance data of a plugin's output (Monitoring
// Plugins Development Guidelines, "Performance data"; Nagios' plugin API for
// output of several lines): numbers of the form
// 'label'=value[unit];warn;critical;min;max with blanks between, a quote in a
// label being written twice. They follow the first | of the first line; those
// after the next | go on to the end of the output. It passes over what it
// cannot read, as "U" for an unknown value, and returns at most MaxPerf.
func ParsePerfdata(output string) []Perfdatum {
	first, rest, _ := strings.Cut(output, "\n")
	_, data, _ := strings.Cut(first, "|")
	_, more, _ := strings.Cut(rest, "|")
	var all []Perfdatum
	for _, data := range []string{data, more} {
		for len(all) < MaxPerf {
			data = strings.TrimLeft(data, perfBlank)
			if data == "" {
				break
			}
			label, fields, left, ok := cutPerfdatum(data)
			data = left
			if !ok {
				continue
			}
			if p, ok := parsePerfdatum(label, fields); ok {
				all = append(all, p)
			}
		}
	}
	return all
}

// perfBlank is what stands between numbers.
const perfBlank = " \t\r\n"

// cutPerfdatum takes one number off the beginning of data, or, if there is
// none, the word that stands in its place.
func cutPerfdatum(data string) (label, fields, rest string, ok bool) {
	word := func(s string) (string, string) {
		if i := strings.IndexAny(s, perfBlank); i >= 0 {
			return s[:i], s[i:]
		}
		return s, ""
	}
	if data[0] != '\'' {
		// The guidelines want quotes around a label with a blank.
		one, rest := word(data)
		label, fields, ok = strings.Cut(one, "=")
		return label, fields, rest, ok && label != ""
	}
	var b strings.Builder
	for i := 1; i < len(data); i++ {
		switch {
		case data[i] != '\'':
			b.WriteByte(data[i])
		case strings.HasPrefix(data[i:], "''"):
			b.WriteByte('\'')
			i++
		default:
			fields, rest = word(data[i+1:])
			fields, ok = strings.CutPrefix(fields, "=")
			return b.String(), fields, rest, ok && b.Len() > 0
		}
	}
	return "", "", "", false // a quote without end
}

func parsePerfdatum(label, fields string) (p Perfdatum, ok bool) {
	parts := append(strings.SplitN(fields, ";", 6), "", "", "", "")
	number := parts[0]
	if end := strings.IndexFunc(number, func(r rune) bool {
		return !strings.ContainsRune("+-.0123456789eE", r)
	}); end >= 0 {
		number = number[:end]
	}
	// What looks like an exponent may be the beginning of a unit.
	value, err := strconv.ParseFloat(number, 64)
	for err != nil && len(number) > 0 && strings.ContainsAny(number[len(number)-1:], "+-eE") {
		number = number[:len(number)-1]
		value, err = strconv.ParseFloat(number, 64)
	}
	if err != nil || math.IsInf(value, 0) {
		return p, false
	}
	text := func(s string) string { return oneLine(s, maxPerfText) }
	return Perfdatum{
		Label: text(label), Value: value, Unit: text(parts[0][len(number):]),
		Warn: text(parts[1]), Critical: text(parts[2]), Min: text(parts[3]), Max: text(parts[4]),
	}, true
}
