package simulate

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/sched"
)

const everything = `{
  "title": "All of it", "schedulers": ["wlc", "mh"], "feedback": ["none", "piranha", "piranha-load", "gradual"],
  "slow_start": "45s", "flags": "fallback,port", "rules": "newer", "udp": true, "seed": 7, "settle": "10s", "duration": "2m", "window": "1s",
  "arrivals": {"process": "bursty", "rate": 12.5, "burst": "2s", "pause": "3s", "think": "constant 1s"},
  "clients": {"count": 9, "skew": 1.5, "prefix": "198.51.100.0/24"},
  "hold": "lognormal 10s 0.5", "closing": "0s", "persistence": "5m", "persistence_prefix": 24, "down_after": "6s", "up_after": "7s",
  "servers": [
    {},
    {"name": "big", "address": "[2001:db8::1]:80", "weight": 0, "upper": 10, "lower": 5, "workers": 3, "queue": 4, "cores": 2,
     "service": "20ms", "cold_factor": 2.5, "cold_for": "1m", "down": true}
  ],
  "events": ["1s hang big", "2s,weight,A,4"]
}`

func TestDecode(t *testing.T) {
	got, err := Decode("x", []byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	want := Scenario{
		Title: "All of it", Schedulers: []string{"wlc", "mh"}, Feedback: []Feedback{NoFeedback, Piranha, PiranhaLoad, Gradual},
		SlowStart: 45 * time.Second, Flags: sched.FlagFallback | sched.FlagPort, Rules: sched.NewerRules, UDP: true, Seed: 7,
		Settle: 10 * time.Second, Duration: 2 * time.Minute, Window: time.Second,
		Arrivals: Arrivals{Process: Bursty, Rate: 12.5, Burst: 2 * time.Second, Pause: 3 * time.Second, Think: Distribution{Shape: Fixed, Mean: time.Second}},
		Clients:  Clients{Count: 9, Skew: 1.5, Prefix: netip.MustParsePrefix("198.51.100.0/24")},
		Hold:     Distribution{Shape: LogNormal, Mean: 10 * time.Second, Sigma: 0.5}, Closing: -1,
		Persistence: 5 * time.Minute, PersistencePrefix: 24, DownAfter: 6 * time.Second, UpAfter: 7 * time.Second,
		Servers: []Server{
			{Weight: 1},
			{
				Name: "big", Addr: netip.MustParseAddrPort("[2001:db8::1]:80"), Upper: 10, Lower: 5, Workers: 3, Queue: 4, Cores: 2,
				Service: Distribution{Mean: 20 * time.Millisecond}, ColdFactor: 2.5, ColdFor: time.Minute, Down: true,
			},
		},
		Events: []Event{{At: time.Second, Kind: Hang, Server: "big"}, {At: 2 * time.Second, Kind: SetWeight, Server: "A", Weight: 4}},
	}
	opts := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	addrs := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if diff := cmp.Diff(want, got, opts, addrs); diff != "" {
		t.Errorf("scenario (-want +got):\n%s", diff)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode("x", text)
	if diff := cmp.Diff(got, again, opts, addrs); diff != "" || err != nil {
		t.Errorf("written and read again (-want +got), %v:\n%s", err, diff)
	}
}

func TestDecodeMistakes(t *testing.T) {
	base := func(more string) string {
		return `{"duration":"1m","arrivals":{"rate":1},"servers":[{}]` + more + `}`
	}
	tests := map[string]struct{ text, want string }{
		"nothing":             {"", "x:1:1: no JSON: it ends too early"},
		"cut":                 {"{\n\"duration\": ", "x:2:13: no JSON: it ends too early"},
		"no JSON":             {"{\n  duration", "x:2:3: no JSON: invalid character 'd'"},
		"more behind it":      {base("") + "{}", "something follows the scenario"},
		"an unknown field":    {"{\n\"duratoin\": \"1m\"}", `x:2:1: unknown field "duratoin": known are title,`},
		"a number for a time": {`{"hold": 5}`, "x:1:10: hold: want a text, and not a number"},
		"a text for a list":   {`{"servers": "A"}`, "servers: want a list, and not a string"},
		"a fraction":          {`{"seed": 1.5}`, "seed: want a whole number, not below 0, and not a number 1.5"},
		"null for a server":   {base("")[:len(base(""))-2] + ",null]}", "x: servers[1]: null: want an object"},
		"no servers":          {`{"duration":"1m","arrivals":{"rate":1}}`, "x: servers: 0 of them: want 1 to 1024"},
		"no duration":         {`{"arrivals":{"rate":1},"servers":[{}]}`, "x: duration: 0s: want more than 0"},
		"no rate":             {`{"duration":"1m","servers":[{}]}`, "x: arrivals.rate: 0: want connections a second"},
		"too many":            {`{"duration":"1000h","arrivals":{"rate":1e9},"servers":[{}]}`, "x: arrivals.rate: 1e+09 a second makes 3.6e+15 connections: want at most 200000000"},
		"a rate when closed":  {`{"duration":"1m","arrivals":{"process":"closed","rate":1},"servers":[{}]}`, "x: arrivals.rate: closed clients come when they have thought"},
		"a long time":         {base(`,"hold":"2000h"`), `x: hold: time "2000h": 2000h0m0s: want 0 to 1000h`},
		"a window too small":  {base(`,"window":"1ms"`), "x: window: 1ms makes 60000 points of 1m0s: want at most 5000, so at least 12ms"},
		"an unknown one":      {base(`,"schedulers":["best"]`), `x: schedulers[0]: unknown scheduler "best": known are`},
		"one twice":           {base(`,"schedulers":["rr","rr"]`), "x: schedulers[1]: rr stands twice"},
		"feedback twice":      {base(`,"feedback":["none","none"]`), "x: feedback[1]: none stands twice"},
		"a skew between":      {base(`,"clients":{"skew":0.5}`), "x: clients.skew: 0.5: want 0, or above 1"},
		"a small network":     {base(`,"clients":{"count":300,"prefix":"10.0.0.0/24"}`), "x: clients.count: 10.0.0.0/24 has only 256 addresses for 300 clients"},
		"a prefix alone":      {base(`,"persistence_prefix":24`), "x: persistence_prefix: it groups nobody without persistence"},
		"no such server":      {base(`,"events":["1s fail Z"]`), `x: events[0] (1s fail Z): there is no server "Z": the servers are A`},
		"too late":            {base(`,"events":["2m fail A"]`), "x: events[0] (2m0s fail A): it is not within the duration of 1m0s"},
		"blanks in a name":    {`{"duration":"1m","arrivals":{"rate":1},"servers":[{"name":"a b"}]}`, `x: servers[0] (a b).name: "a b": want letters, digits and signs, no blanks`},
		"thresholds":          {`{"duration":"1m","arrivals":{"rate":1},"servers":[{"lower":5}]}`, "x: servers[0] (A): lower threshold 5 is above the upper threshold 0"},
		"cold":                {`{"duration":"1m","arrivals":{"rate":1},"servers":[{"cold_factor":0.5}]}`, "x: servers[0] (A): cold_factor 0.5: want 1 to 1000"},
		"too large":           {strings.Repeat(" ", MaxSize+1), "x: more than 1048576 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Decode("x", []byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	_, err := Decode("x", []byte(`{"hold":"a","closing":"b","events":["c"]}`))
	if n := strings.Count(err.Error(), "\nx: ") + 1; n != 3 {
		t.Errorf("%d mistakes are told, want 3:\n%v", n, err)
	}
}

// What random scenarios say survives JSON, and gives the same result.
func TestScenariosSurviveJSON(t *testing.T) {
	for i := range 100 {
		s := randomScenario(rand.New(rand.NewPCG(1, uint64(i))))
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode("x", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		second, err := json.Marshal(again)
		if diff := cmp.Diff(string(text), string(second)); diff != "" || err != nil {
			t.Fatalf("written again (-first +second), %v:\n%s", err, diff)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(`{"duration":"1s","arrivals":{"rate":50},"clients":{"count":10},"servers":[{"weight":3,"service":"1ms"}],"events":["0s fail A"]}`))
	f.Add([]byte(`{"servers":[null]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Decode("x", text)
		if err != nil {
			return
		}
		first, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode("x", first)
		if err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		if second, err := json.Marshal(again); err != nil || string(second) != string(first) {
			t.Fatalf("%v\n%s\n%s", err, first, second)
		}
		// What is small is played, too.
		if s.Arrivals.Process != Closed && s.Arrivals.Rate*(s.Settle+s.Duration).Seconds() < 200 && s.Duration < 10*time.Second && s.Settle < 10*time.Second && len(s.Schedulers)*len(s.Feedback) < 4 && s.Clients.Count < 1000 && s.Clients.Count > 0 {
			if _, err := Simulate(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	})
}
