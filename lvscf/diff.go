package lvscf

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Difference is one thing in which two configurations differ.
type Difference struct {
	// Block names the block that differs, as in `virtual "web": server "a"`;
	// empty is the global section.
	Block string `json:"block,omitempty"`
	// Directive is the name of the directive, empty when the block as a whole
	// came, went or has another name.
	Directive string `json:"directive,omitempty"`
	// Old and New are the values as a file has them, empty where there is
	// none. For a whole block they are the names.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}

// String returns the difference in one line, as in
// `virtual "web": server "a": weight 1 -> 5` or `virtual "mail" added`.
func (d Difference) String() string {
	switch {
	case d.Directive == "" && d.Old == "":
		return d.Block + " added"
	case d.Directive == "" && d.New == "":
		return d.Block + " removed"
	case d.Directive == "":
		return d.Block + " renamed to " + strconv.Quote(d.New)
	}
	where := d.Directive
	if d.Block != "" {
		where = d.Block + ": " + where
	}
	switch {
	case d.Old == "":
		return where + " = " + d.New + " added"
	case d.New == "":
		return where + " = " + d.Old + " removed"
	}
	return where + " " + d.Old + " -> " + d.New
}

// Diff returns what leads from configuration a to b, in the words of the
// language: first the global section, then the blocks in the order of b, with
// those that only a has at the end. Blocks are matched by their names, those
// of equal name in their order; one that differs in nothing but its name was
// renamed. Without differences the digests are equal. serial_no, Path, places
// in the file and the order of blocks are no differences, and a host that has
// a name is that name, looked up or not.
//
// Diff compares what is written, after the defaults: a default that moves from
// silence to a line of its own may be a difference in words alone.
func Diff(a, b *Config) []Difference {
	d := &differ{}
	d.fields("", reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem())
	blocks(d, "", "vrrp", a.VRRPs, b.VRRPs, func(r *VRRP) *string { return &r.Name })
	blocks(d, "", "virtual", a.Virtuals, b.Virtuals, func(v *Virtual) *string { return &v.Name })
	blocks(d, "", "failover", a.Failovers, b.Failovers, func(v *Virtual) *string { return &v.Name })
	return d.found
}

type differ struct{ found []Difference }

// blocks compares two lists of blocks of one kind.
func blocks[T any](d *differ, outer, kind string, a, b []T, name func(*T) *string) {
	waiting := map[string][]int{}
	for i := range a {
		n := *name(&a[i])
		waiting[n] = append(waiting[n], i)
	}
	from := make([]int, len(b)) // the index in a, -1 is none
	for j := range b {
		from[j] = -1
		if list := waiting[*name(&b[j])]; len(list) > 0 {
			from[j], waiting[*name(&b[j])] = list[0], list[1:]
		}
	}
	left := make([]bool, len(a))
	byText := map[string][]int{} // what is left of a, by its text without the name
	anonymous := func(x T) string {
		*name(&x) = ""
		return blockText(reflect.ValueOf(&x).Elem())
	}
	for _, list := range waiting {
		for _, i := range list {
			left[i] = true
		}
	}
	for i := range a {
		if left[i] {
			text := anonymous(a[i])
			byText[text] = append(byText[text], i)
		}
	}
	title := func(x *T) string {
		t := kind + " " + strconv.Quote(*name(x))
		if outer != "" {
			t = outer + ": " + t
		}
		return t
	}
	for j := range b {
		switch same := byText[""]; {
		case from[j] >= 0:
			d.block(title(&b[j]), &a[from[j]], &b[j])
		default:
			text := ""
			if len(byText) > 0 {
				text = anonymous(b[j])
				same = byText[text]
			}
			if len(same) == 0 {
				d.add(Difference{Block: title(&b[j]), New: *name(&b[j])})
				continue
			}
			old := same[0]
			byText[text], left[old] = same[1:], false
			d.add(Difference{Block: title(&a[old]), Old: *name(&a[old]), New: *name(&b[j])})
		}
	}
	for i := range a {
		if left[i] {
			d.add(Difference{Block: title(&a[i]), Old: *name(&a[i])})
		}
	}
}

// block compares two blocks with what is in them.
func (d *differ) block(title string, a, b any) {
	d.fields(title, reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem())
	checkName := func(c *Check) *string { return &c.Name }
	switch b := b.(type) {
	case *Virtual:
		a := a.(*Virtual)
		blocks(d, title, "check", a.Checks, b.Checks, checkName)
		blocks(d, title, "server", a.Servers, b.Servers, func(s *Server) *string { return &s.Name })
	case *Server:
		blocks(d, title, "check", a.(*Server).Checks, b.Checks, checkName)
	case *VRRP:
		blocks(d, title, "check", a.(*VRRP).Checks, b.Checks, checkName)
	}
}

func (d *differ) add(x Difference) { d.found = append(d.found, x) }

// fields compares the values of two structs of one type.
func (d *differ) fields(block string, a, b reflect.Value) {
	t := a.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			d.fields(block, a.Field(i), b.Field(i))
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch name {
		case "-", "name", "serial_no", "virtuals", "failovers", "vrrps", "servers", "checks":
			continue
		}
		if was, is := optionText(f, a.Field(i)), optionText(f, b.Field(i)); was != is {
			d.add(Difference{block, name, was, is})
		}
	}
}

// blockText is a block with all that is in it, as text to compare.
func blockText(v reflect.Value) string {
	var out strings.Builder
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			out.WriteString(blockText(v.Field(i)))
		case name == "-":
		case name == "servers" || name == "checks":
			for j := range v.Field(i).Len() {
				out.WriteString(name + "{" + blockText(v.Field(i).Index(j)) + "}")
			}
		default:
			if text := optionText(f, v.Field(i)); text != "" {
				out.WriteString(name + "=" + text + "\n")
			}
		}
	}
	return out.String()
}

// optionText is the value of a field as a file has it; "" where the zero value
// is no value.
func optionText(f reflect.StructField, v reflect.Value) string {
	if v.IsZero() && strings.Contains(f.Tag.Get("json"), ",omit") {
		return ""
	}
	return fieldText(v)
}

// fieldText is a value as a file has it.
func fieldText(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return fieldText(v.Elem())
	case reflect.Bool:
		if v.Bool() {
			return "1"
		}
		return "0"
	case reflect.String:
		return fileWord(v.String())
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return durationText(x)
	case Host:
		return x.String()
	case Router:
		return strings.TrimSpace(x.Address.String() + " " + x.Device)
	case HeartbeatPath:
		return x.Primary.String() + " " + x.Backup.String()
	case Netmask:
		if x == 0 {
			return ""
		}
		return x.String()
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err != nil {
			panic("lvscf: " + err.Error())
		}
		return string(text)
	}
	if v.Kind() == reflect.Slice {
		if v.Len() == 0 {
			return ""
		}
		var words []string
		for i := range v.Len() {
			words = append(words, fieldText(v.Index(i)))
		}
		return "[ " + strings.Join(words, ", ") + " ]"
	}
	return fmt.Sprint(v.Interface())
}

// fileWord quotes a text where a file must.
func fileWord(s string) string {
	if s == "" || !strings.ContainsAny(s, " \t\"'#\r\n,") {
		return s
	}
	if strings.Contains(s, `"`) {
		return "'" + s + "'"
	}
	return `"` + s + `"`
}

// durationText writes a duration as [values.duration] reads it: seconds where
// they are whole, and otherwise with a unit.
func durationText(d time.Duration) string {
	switch {
	case d%time.Second == 0:
		return strconv.FormatInt(int64(d/time.Second), 10)
	case d%time.Millisecond == 0:
		return strconv.FormatInt(int64(d/time.Millisecond), 10) + "ms"
	}
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', -1, 64) + "ms"
}
