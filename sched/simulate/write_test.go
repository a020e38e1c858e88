package simulate

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestCSVHasAllOfTheSeries(t *testing.T) {
	s := story()
	s.Duration, s.Window = 40*time.Second, time.Second
	s.Servers[0].Name = `A"1`
	res := simulate(t, s)
	var b bytes.Buffer
	if err := res.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if want := 1 + 2*40*4; len(rows) != want {
		t.Fatalf("%d rows, want %d", len(rows), want)
	}
	var servers, all float64
	for _, row := range rows[1:] {
		n, err := strconv.ParseFloat(row[4], 64)
		if err != nil {
			t.Fatal(err)
		}
		if row[3] == "*" {
			all += n
		} else {
			servers += n
		}
	}
	if want := float64(res.Runs[0].Connections + res.Runs[1].Connections); all != want || servers != want {
		t.Errorf("the rows have %v connections, those of servers %v, want %v", all, servers, want)
	}
	if rows[1][3] != `A"1` {
		t.Errorf("the first server is %q", rows[1][3])
	}
}

func TestJSONHasTheResult(t *testing.T) {
	s := story()
	s.Settle, s.Duration = 20*time.Second, time.Minute
	res := simulate(t, s)
	var b bytes.Buffer
	if err := res.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Schema   string
		Scenario Scenario
		Runs     []struct {
			Connections, Broken int
			Latency             struct{ P99 float64 } `json:"latency_seconds"`
			Excess              *struct {
				Server string
				For    float64 `json:"for_seconds"`
			}
			Series struct {
				Lost    []int
				Servers []struct{ New []int }
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	r := doc.Runs[0]
	if doc.Schema != "lvskit.simulation/v1" || len(doc.Runs) != 2 || r.Connections != res.Runs[0].Connections || r.Latency.P99 < 1 || r.Excess == nil || r.Excess.Server != "C" || doc.Runs[1].Excess != nil || len(r.Series.Lost) != 300 {
		t.Errorf("the document has %+v", r)
	}
	again, err := Simulate(t.Context(), doc.Scenario)
	if err != nil || again.Runs[0].Latency != res.Runs[0].Latency {
		t.Errorf("the document's scenario gives another result: %v", err)
	}
}

// drawn parses a picture and returns its texts and how many elements of each
// name it has.
func drawn(t *testing.T, res *Result) (texts []string, elements map[string]int, text string) {
	t.Helper()
	var b bytes.Buffer
	if err := res.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	elements = map[string]int{}
	text = b.String()
	d := xml.NewDecoder(&b)
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts, elements, text
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			elements[tok.Name.Local]++
			for _, a := range tok.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Fatalf("<%s %s=%q>", tok.Name.Local, a.Name.Local, a.Value)
				}
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" {
					t.Fatalf("the picture has a %s", a.Name.Local)
				}
			}
		case xml.CharData:
			texts = append(texts, string(tok))
		}
	}
}

func TestThePictureTellsTheStory(t *testing.T) {
	s := story()
	s.Title, s.Settle = `C <returns> & "floods"`, 20*time.Second
	texts, elements, text := drawn(t, simulate(t, s))
	all := strings.Join(texts, "\n")
	for _, want := range []string{
		s.Title, "fail C", "return C", "A (weight 1)", "C (weight 2)", "new connections per s", "open connections", "time to answer", "lost per s", "weight", "time in seconds",
		"wlc with gradual feedback", "C got 99 % of the new connections for", "No server got far more than its share", "At 30 s return C.",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the picture does not say %q", want)
		}
	}
	if elements["script"] != 0 || elements["title"] != 1 || elements["desc"] != 1 || !strings.Contains(text, `role="img" aria-labelledby="title desc"`) || !strings.Contains(text, "prefers-color-scheme:dark") {
		t.Errorf("elements %v: want a title, a description, a dark setting and no script", elements)
	}
}

// The server that events are about is among those with a colour, and every
// colour has its name.
func TestTheLegendHasAllColours(t *testing.T) {
	s := Scenario{
		Title: strings.Repeat("long ", 20), Duration: 2 * time.Second, Arrivals: Arrivals{Rate: 100},
		Events: []Event{{At: time.Second, Kind: Fail, Server: "server-number-19"}},
	}
	for i := range 20 {
		s.Servers = append(s.Servers, Server{Name: fmt.Sprintf("server-number-%d", i), Weight: 1})
	}
	texts, _, _ := drawn(t, simulate(t, s))
	all := strings.Join(texts, "\n")
	for _, want := range []string{"server-number-0 (", "server-number-6 (", "server-number-19 (", "12 others", "lo…"} {
		if !strings.Contains(all, want) {
			t.Errorf("the picture does not say %q", want)
		}
	}
}

// Whatever is simulated, there is a picture of it.
func TestEverythingCanBeDrawn(t *testing.T) {
	many := Scenario{Duration: 4 * time.Second, Window: 100 * time.Millisecond, Schedulers: []string{"rr", "wrr", "wlc", "mh"}, Arrivals: Arrivals{Rate: 300}}
	for i := range 60 {
		many.Servers = append(many.Servers, Server{Weight: 1, Service: Distribution{Mean: time.Millisecond}})
		many.Events = append(many.Events, Event{At: time.Duration(i) * 10 * time.Millisecond, Kind: Drain, Server: letters(i)})
	}
	tests := map[string]Scenario{
		"sixty servers and events": many,
		"nobody comes":             {Duration: time.Second, Arrivals: Arrivals{Rate: 1e-9}, Servers: []Server{{Weight: 1}}},
		"nobody serves":            {Duration: time.Second, Arrivals: Arrivals{Rate: 10}, Servers: []Server{{}}, Feedback: []Feedback{Gradual}},
		"one window":               {Duration: time.Second, Window: time.Second, Arrivals: Arrivals{Rate: 10}, Servers: []Server{{Weight: 1}}},
		"a millisecond":            {Duration: time.Millisecond, Arrivals: Arrivals{Rate: 1e6}, Servers: []Server{{Weight: 1}}},
		"a week":                   {Duration: 168 * time.Hour, Arrivals: Arrivals{Rate: 0.01}, Servers: []Server{{Weight: 1, Service: Distribution{Mean: time.Hour}}}},
		"answers of no time":       {Duration: time.Second, Arrivals: Arrivals{Rate: 100}, Servers: []Server{{Weight: 1}}},
	}
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			res := simulate(t, s)
			if _, _, text := drawn(t, res); len(text) > 1<<20 {
				t.Errorf("the picture has %d bytes", len(text))
			}
			var b bytes.Buffer
			if err := errors.Join(res.WriteTable(&b), res.WriteCSV(io.Discard), res.WriteJSON(io.Discard)); err != nil || strings.Contains(b.String(), "NaN") {
				t.Errorf("%v\n%s", err, &b)
			}
		})
	}
}

func TestTicksAreRound(t *testing.T) {
	for most, want := range map[float64]string{1: "[0 0.2 0.4 0.6 0.8 1]", 120: "[0 20 40 60 80 100 120]", 4005: "[0 1000 2000 3000 4000]", 0.03: "[0 0.005 0.01 0.015 0.02 0.025 0.03]"} {
		var got []string
		for _, v := range ticks(most, 6) {
			got = append(got, number(v))
		}
		if s := fmt.Sprint(got); s != want {
			t.Errorf("ticks to %v are %s, want %s", most, s, want)
		}
	}
}

func TestBrief(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ns", 999: "999 ns", 1500: "1.5 µs", 20 * time.Millisecond: "20 ms", 1234 * time.Millisecond: "1.23 s", 90 * time.Second: "90 s", 150 * time.Second: "2.5 min", 36 * time.Hour: "36 h",
	} {
		if got := brief(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
