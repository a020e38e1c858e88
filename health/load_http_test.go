package health

import (
	"fmt"
	"strings"
	"testing"
)

// nodeText is what node_exporter 1.5.0 of Debian 12 tells, apart from the rest.
const nodeText = `# HELP node_cpu_guest_seconds_total Seconds the CPUs spent in guests (VMs) for each mode.
# TYPE node_cpu_guest_seconds_total counter
node_cpu_guest_seconds_total{cpu="0",mode="nice"} 0
# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 16170.96
node_cpu_seconds_total{cpu="0",mode="user"} 1.117084e+06
node_cpu_seconds_total{cpu="1",mode="idle"} 16205.35
node_cpu_seconds_total{cpu="1",mode="user"} 11162.15
# HELP node_load1 1m load average.
# TYPE node_load1 gauge
node_load1 4.67
# HELP node_load15 15m load average.
# TYPE node_load15 gauge
node_load15 1.27
# HELP node_load5 5m load average.
# TYPE node_load5 gauge
node_load5 2.61
`

func TestNodeExporterTexts(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		part bool
		want Load
		err  string
	}{
		"Debian's":                 {nodeText, false, Load{4.67, 2.61, 1.27, 2}, ""},
		"a part of it":             {nodeText, true, Load{4.67, 2.61, 1.27, 0}, ""},
		"line ends of Windows":     {strings.ReplaceAll(nodeText, "\n", "\r\n"), false, Load{4.67, 2.61, 1.27, 2}, ""},
		"without its last end":     {"node_load1 1", false, Load{One: 1}, ""},
		"exponent, time and tabs":  {"\tnode_load1\t1.5e+00 1395066363000\n", false, Load{One: 1.5}, ""},
		"labels of a proxy":        {`node_load1{instance="a b, {}\" = \\",job="node"} 2` + "\n", false, Load{One: 2}, ""},
		"a label behind":           {`node_cpu_seconds_total{mode="cpu=\"7\"" , cpu = "1",} 3` + "\nnode_load1 1\n", false, Load{One: 1, Cores: 1}, ""},
		"of two servers":           {`node_load1{instance="a"} 2` + "\n" + `node_load1{instance="b"} 2`, false, Load{}, "more than once"},
		"none":                     {"go_threads 7\n", false, Load{}, "is this node_exporter, with its collector loadavg?"},
		"none yet":                 {"go_threads 7\n", true, Load{}, "raise the limit"},
		"a page":                   {"<html>\n<h1>node_load1 9</h1>", false, Load{}, "there is no node_load1"},
		"not a number":             {"node_load1 NaN\n", false, Load{}, "NaN is no load average"},
		"a word":                   {"node_load1 high\n", false, Load{}, `node_load1 is " high", which is no number`},
		"nothing":                  {"node_load1 \n", false, Load{}, "which is no number"},
		"a brace that stays open":  {`node_load1{a="b" 2`, false, Load{}, "which is no number"},
		"a quote that stays open":  {`node_load1{a="b} 2`, false, Load{}, "which is no number"},
		"more than a server has":   {"node_load1 1e300\n", false, Load{}, "is no load average"},
		"more cores than there is": {manyCores() + "node_load1 1\n", false, Load{}, "is no number of processors"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseNodeLoad([]byte(tt.text), !tt.part)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("%v, %v, want %q", got, err, tt.err)
			}
			if err == nil && got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func manyCores() string {
	var b strings.Builder
	for n := range maxCores + 100 {
		fmt.Fprintf(&b, "node_cpu_seconds_total{cpu=\"%d\"} 1\n", n)
	}
	return b.String()
}

func TestJSONLoads(t *testing.T) {
	for name, tt := range map[string]struct {
		text, value, cores string
		want               Load
		err                string
	}{
		"a number":      {`{"load": {"one": 1.25}}`, "load.one", "", Load{One: 1.25}, ""},
		"with cores":    {`{"l": [0.5, 0.25], "cpus": 8}`, "l[0]", "cpus", Load{One: 0.5, Cores: 8}, ""},
		"a string":      {`{"load": "1.25"}`, "load", "", Load{One: 1.25}, ""},
		"the whole":     {`3.5e-1`, "", "", Load{One: 0.35}, ""},
		"not there":     {`{"load": 1}`, "cpu", "", Load{}, `json: the load: there is no member "cpu"`},
		"no number":     {`{"load": "high"}`, "load", "", Load{}, `json: the load is "high", which is no number`},
		"a list":        {`{"load": [1]}`, "load", "", Load{}, "is an object or an array"},
		"no JSON":       {`<html>`, "load", "", Load{}, "the text is no JSON"},
		"half a core":   {`{"l": 1, "c": 1.5}`, "l", "c", Load{}, "1.5 is no number of processors"},
		"no cores":      {`{"l": 1}`, "l", "c", Load{}, "json: the number of processors: there is no member"},
		"a minus":       {`{"l": -1}`, "l", "", Load{}, "-1 is no load average"},
		"a lot of them": {`{"l": 1, "c": 1e300}`, "l", "c", Load{}, "is no number of processors"},
	} {
		t.Run(name, func(t *testing.T) {
			value, err := parseJSONPath(tt.value)
			if err != nil {
				t.Fatal(err)
			}
			cores, err := parseJSONPath(tt.cores)
			if err != nil {
				t.Fatal(err)
			}
			got, err := parseJSONLoad([]byte(tt.text), value, cores, tt.cores != "")
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("%v, %v, want %q", got, err, tt.err)
			}
			if err == nil && got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func FuzzNodeLoad(f *testing.F) {
	f.Add([]byte(nodeText))
	f.Add([]byte(`node_load1{instance="a b, {}\" = \\",job="node"} 2 7`))
	f.Add([]byte("node_cpu_seconds_total{mode=\"x\" , cpu = \"1\",} 3\nnode_load1 1e0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseNodeLoad(b, true)
		if err == nil && (l.check() != nil || l.Cores > strings.Count(string(b), "node_cpu_seconds_total")) {
			t.Errorf("%q: %+v", b, l)
		}
	})
}
