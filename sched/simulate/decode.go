package simulate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/lvskit/lvskit/sched"
)

// MaxSize is the size of the largest scenario that [Decode] reads.
const MaxSize = 1 << 20

// scenarioDoc is a scenario as JSON has it. Times and distributions are texts
// in the forms of the command line.
type scenarioDoc struct {
	Title             string       `json:"title,omitempty"`
	Schedulers        []string     `json:"schedulers,omitempty"`
	Feedback          []string     `json:"feedback,omitempty"`
	SlowStart         string       `json:"slow_start,omitempty"`
	Flags             string       `json:"flags,omitempty"`
	Rules             string       `json:"rules,omitempty"`
	UDP               bool         `json:"udp,omitempty"`
	Seed              uint64       `json:"seed,omitempty"`
	Settle            string       `json:"settle,omitempty"`
	Duration          string       `json:"duration"`
	Window            string       `json:"window,omitempty"`
	Arrivals          arrivalsDoc  `json:"arrivals"`
	Clients           *clientsDoc  `json:"clients,omitempty"`
	Hold              string       `json:"hold,omitempty"`
	Closing           string       `json:"closing,omitempty"`
	Persistence       string       `json:"persistence,omitempty"`
	PersistencePrefix int          `json:"persistence_prefix,omitempty"`
	DownAfter         string       `json:"down_after,omitempty"`
	UpAfter           string       `json:"up_after,omitempty"`
	Servers           []*serverDoc `json:"servers"`
	Events            []string     `json:"events,omitempty"`
}

type arrivalsDoc struct {
	Process string  `json:"process,omitempty"`
	Rate    float64 `json:"rate,omitempty"`
	Burst   string  `json:"burst,omitempty"`
	Pause   string  `json:"pause,omitempty"`
	Think   string  `json:"think,omitempty"`
}

type clientsDoc struct {
	Count  int     `json:"count,omitempty"`
	Skew   float64 `json:"skew,omitempty"`
	Prefix string  `json:"prefix,omitempty"`
}

type serverDoc struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
	// Weight is 1 when it is left out.
	Weight     *int    `json:"weight,omitempty"`
	Upper      uint32  `json:"upper,omitempty"`
	Lower      uint32  `json:"lower,omitempty"`
	Workers    int     `json:"workers,omitempty"`
	Queue      int     `json:"queue,omitempty"`
	Cores      int     `json:"cores,omitempty"`
	Service    string  `json:"service,omitempty"`
	ColdFactor float64 `json:"cold_factor,omitempty"`
	ColdFor    string  `json:"cold_for,omitempty"`
	Down       bool    `json:"down,omitempty"`
}

// Decode reads a scenario from JSON of at most [MaxSize] bytes and validates
// it. The file's name begins the errors, which say line and column, or the
// field that is wrong, and all of these. The weight of a server is 1 where it
// is left out; "closing": "0s" keeps no closed connection in the table.
func Decode(name string, text []byte) (Scenario, error) {
	s, err := decode(text)
	if err == nil {
		err = s.Validate()
	}
	if err == nil {
		return s, nil
	}
	var lines []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		lines = append(lines, fmt.Errorf("%s:%s%s", name, map[bool]string{false: " "}[line != "" && line[0] >= '0' && line[0] <= '9'], line))
	}
	return Scenario{}, errors.Join(lines...)
}

func decode(text []byte) (Scenario, error) {
	if len(text) > MaxSize {
		return Scenario{}, fmt.Errorf("more than %d bytes: take servers or events out", MaxSize)
	}
	var doc scenarioDoc
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return Scenario{}, placed(text, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Scenario{}, fmt.Errorf("%s: something follows the scenario: take it out", position(text, d.InputOffset()))
	}
	return doc.scenario()
}

// placed adds to an error of package json where it is.
func placed(text []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%s: no JSON: %w", position(text, syntax.Offset-1), err)
	case errors.As(err, &kind):
		field := kind.Field
		if field == "" {
			field = "the scenario"
		}
		return fmt.Errorf("%s: %s: want %s, and not a %s", position(text, kind.Offset-1), field, wanted(kind.Type), kind.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: no JSON: it ends too early", position(text, int64(len(text))))
	}
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		at := max(bytes.Index(text, []byte(quoted)), 0)
		return fmt.Errorf("%s: unknown field %s: known are %s", position(text, int64(at)), quoted, strings.Join(fields(), ", "))
	}
	return err
}

// wanted is a type in words.
func wanted(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "an object"
	case reflect.Float64:
		return "a number"
	}
	return "a whole number, not below 0"
}

// fields are the names of all fields, those of parts with the part before.
func fields() []string {
	var names []string
	for _, part := range []struct {
		prefix string
		of     any
	}{{"", scenarioDoc{}}, {"arrivals.", arrivalsDoc{}}, {"clients.", clientsDoc{}}, {"servers[].", serverDoc{}}} {
		t := reflect.TypeOf(part.of)
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			names = append(names, part.prefix+name)
		}
	}
	return names
}

// position is the line and column of an offset, in bytes and from 1.
func position(text []byte, offset int64) string {
	before := text[:min(max(offset, 0), int64(len(text)))]
	return fmt.Sprintf("%d:%d", 1+bytes.Count(before, []byte("\n")), len(before)-bytes.LastIndexByte(before, '\n'))
}

// reader reads texts and remembers what is wrong with them.
type reader struct{ problems }

func (r *reader) time(place, text string) time.Duration {
	if text == "" {
		return 0
	}
	t, err := parseTime(text)
	if err != nil {
		r.add(place, "%w", err)
	}
	return t
}

func (r *reader) distribution(place, text string) (d Distribution) {
	if text != "" {
		r.text(place, text, &d)
	}
	return d
}

func (r *reader) text(place, text string, into interface{ UnmarshalText([]byte) error }) {
	if text == "" {
		return
	}
	if err := into.UnmarshalText([]byte(text)); err != nil {
		r.add(place, "%w", err)
	}
}

func (doc *scenarioDoc) scenario() (Scenario, error) {
	var r reader
	s := Scenario{
		Title: doc.Title, Schedulers: doc.Schedulers, SlowStart: r.time("slow_start", doc.SlowStart), UDP: doc.UDP, Seed: doc.Seed,
		Settle: r.time("settle", doc.Settle), Duration: r.time("duration", doc.Duration), Window: r.time("window", doc.Window),
		Arrivals: Arrivals{
			Rate: doc.Arrivals.Rate, Burst: r.time("arrivals.burst", doc.Arrivals.Burst), Pause: r.time("arrivals.pause", doc.Arrivals.Pause),
			Think: r.distribution("arrivals.think", doc.Arrivals.Think),
		},
		Hold: r.distribution("hold", doc.Hold), Closing: r.time("closing", doc.Closing),
		Persistence: r.time("persistence", doc.Persistence), PersistencePrefix: doc.PersistencePrefix,
		DownAfter: r.time("down_after", doc.DownAfter), UpAfter: r.time("up_after", doc.UpAfter),
	}
	if doc.Closing != "" && s.Closing == 0 {
		s.Closing = -1
	}
	r.text("flags", doc.Flags, &s.Flags)
	r.text("rules", doc.Rules, &s.Rules)
	r.text("arrivals.process", doc.Arrivals.Process, &s.Arrivals.Process)
	for i, name := range doc.Feedback {
		var f Feedback
		if err := f.UnmarshalText([]byte(name)); err != nil {
			r.add(fmt.Sprintf("feedback[%d]", i), "%w", err)
		}
		s.Feedback = append(s.Feedback, f)
	}
	if c := doc.Clients; c != nil {
		s.Clients = Clients{Count: c.Count, Skew: c.Skew}
		if c.Prefix != "" {
			var err error
			if s.Clients.Prefix, err = netip.ParsePrefix(c.Prefix); err != nil {
				r.add("clients.prefix", "%q: want a network such as 198.51.100.0/24", c.Prefix)
			}
		}
	}
	for i, d := range doc.Servers {
		if d == nil {
			r.add(fmt.Sprintf("servers[%d]", i), "null: want an object")
			continue
		}
		s.Servers = append(s.Servers, d.server(&r, fmt.Sprintf("servers[%d]", i)))
	}
	for i, text := range doc.Events {
		e, err := ParseEvent(text)
		if err != nil {
			r.add(fmt.Sprintf("events[%d]", i), "%w", err)
		}
		s.Events = append(s.Events, e)
	}
	return s, errors.Join(r.problems...)
}

func (d *serverDoc) server(r *reader, place string) Server {
	s := Server{
		Name: d.Name, Weight: 1, Upper: d.Upper, Lower: d.Lower, Workers: d.Workers, Queue: d.Queue, Cores: d.Cores,
		Service: r.distribution(place+".service", d.Service), ColdFactor: d.ColdFactor, ColdFor: r.time(place+".cold_for", d.ColdFor), Down: d.Down,
	}
	if d.Weight != nil {
		s.Weight = *d.Weight
	}
	if d.Address != "" {
		var err error
		if s.Addr, err = netip.ParseAddrPort(d.Address); err != nil {
			r.add(place+".address", "%q: want an address with a port, such as 10.0.0.1:80", d.Address)
		}
	}
	return s
}

// MarshalJSON writes the form that [Decode] reads.
func (s Scenario) MarshalJSON() ([]byte, error) {
	doc := scenarioDoc{
		Title: s.Title, Schedulers: s.Schedulers, SlowStart: timeText(s.SlowStart), Flags: s.Flags.String(), UDP: s.UDP, Seed: s.Seed,
		Settle: timeText(s.Settle), Duration: s.Duration.String(), Window: timeText(s.Window),
		Arrivals: arrivalsDoc{
			Process: s.Arrivals.Process.String(), Rate: s.Arrivals.Rate, Burst: timeText(s.Arrivals.Burst), Pause: timeText(s.Arrivals.Pause),
			Think: distributionText(s.Arrivals.Think),
		},
		Hold: distributionText(s.Hold), Closing: timeText(s.Closing),
		Persistence: timeText(s.Persistence), PersistencePrefix: s.PersistencePrefix,
		DownAfter: timeText(s.DownAfter), UpAfter: timeText(s.UpAfter),
	}
	if s.Closing < 0 {
		doc.Closing = "0s"
	}
	if s.Rules != sched.OlderRules {
		doc.Rules = s.Rules.String()
	}
	for _, f := range s.Feedback {
		doc.Feedback = append(doc.Feedback, f.String())
	}
	if s.Clients != (Clients{}) {
		doc.Clients = &clientsDoc{Count: s.Clients.Count, Skew: s.Clients.Skew}
		if s.Clients.Prefix.IsValid() {
			doc.Clients.Prefix = s.Clients.Prefix.String()
		}
	}
	for _, r := range s.Servers {
		d := &serverDoc{
			Name: r.Name, Weight: &r.Weight, Upper: r.Upper, Lower: r.Lower, Workers: r.Workers, Queue: r.Queue, Cores: r.Cores,
			Service: distributionText(r.Service), ColdFactor: r.ColdFactor, ColdFor: timeText(r.ColdFor), Down: r.Down,
		}
		if r.Addr.IsValid() {
			d.Address = r.Addr.String()
		}
		doc.Servers = append(doc.Servers, d)
	}
	for _, e := range s.Events {
		doc.Events = append(doc.Events, e.String())
	}
	return json.Marshal(doc)
}

// UnmarshalJSON reads what [Decode] does, without a file's name and without
// validating.
func (s *Scenario) UnmarshalJSON(text []byte) error {
	got, err := decode(slices.Clone(text))
	if err == nil {
		*s = got
	}
	return err
}

func timeText(t time.Duration) string {
	if t <= 0 {
		return ""
	}
	return t.String()
}

func distributionText(d Distribution) string {
	if d == (Distribution{}) {
		return ""
	}
	return d.String()
}
