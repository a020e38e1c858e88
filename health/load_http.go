package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What a [LoadHTTP] check asks for by default.
const (
	// NodeExporterPath has node_exporter collect what is needed and no more.
	NodeExporterPath = "/metrics?collect[]=cpu&collect[]=loadavg"
	// loadMaxBody is enough for all of a node_exporter's metrics.
	loadMaxBody = 1 << 20
)

// LoadHTTPConfig sets up a [LoadHTTP] check.
type LoadHTTPConfig struct {
	// HTTPConfig is the request and what of its answer must be so. An empty
	// Path is NodeExporterPath, or / with Value; a MaxBody of 0 is 1 MiB. The
	// port is the target's.
	HTTPConfig
	// Value is the path of the load in an answer of JSON, such as
	// load.one or system[0]["load.1m"]: a number, or a string that is one.
	// Empty reads the text of Prometheus' node_exporter.
	Value string
	// CoresValue is the path of the number of processors in the same answer;
	// empty leaves it unknown. node_exporter tells it by itself.
	CoresValue string
}

// LoadHTTP asks for a server's load by HTTP: of node_exporter (node_load1,
// node_load5, node_load15, and a processor for each label cpu of
// node_cpu_seconds_total), or of anything else that has it in JSON. An answer
// without a load is a Fail. It is safe for concurrent use.
type LoadHTTP struct {
	http     *HTTP
	identity string
}

// NewLoadHTTP returns a load check, or an error that names every field that
// cannot be used. A nil cfg means the defaults.
func NewLoadHTTP(cfg *LoadHTTPConfig) (*LoadHTTP, error) {
	if cfg == nil {
		cfg = &LoadHTTPConfig{}
	}
	request := cfg.HTTPConfig
	if request.Path == "" && cfg.Value == "" {
		request.Path = NodeExporterPath
	}
	if request.MaxBody == 0 {
		request.MaxBody = loadMaxBody
	}
	h, err := NewHTTP(&request)
	value, bad := parseJSONPath(cfg.Value)
	cores, worse := parseJSONPath(cfg.CoresValue)
	if cfg.CoresValue != "" && cfg.Value == "" {
		worse = errors.Join(worse, errors.New("cores value without a value: node_exporter tells its cores by itself"))
	}
	if err = errors.Join(err, bad, worse); err != nil {
		return nil, fmt.Errorf("load-http check: %w", err)
	}
	inJSON, withCores := cfg.Value != "", cfg.CoresValue != ""
	h.load = func(body []byte) (Load, error) {
		whole := len(body) <= h.cfg.MaxBody
		if !inJSON {
			return parseNodeLoad(body[:min(len(body), h.cfg.MaxBody)], whole)
		}
		if !whole {
			return Load{}, unwanted("the body has more than %d bytes, and all of it is needed; raise the limit (max body)", h.cfg.MaxBody)
		}
		return parseJSONLoad(body, value, cores, withCores)
	}
	return &LoadHTTP{h, fmt.Sprintf("load-%s value=%q cores=%q max=%d", h.identity, cfg.Value, cfg.CoresValue, h.cfg.MaxBody)}, nil
}

// Identity names the kind and the parameters of the check.
func (c *LoadHTTP) Identity() string { return c.identity }

// Check asks once.
func (c *LoadHTTP) Check(ctx context.Context, t Target) Result { return c.http.Check(ctx, t) }

// parseJSONLoad finds the load, and the processors if told to, in a text of
// JSON.
func parseJSONLoad(body []byte, value, cores []jsonStep, withCores bool) (Load, error) {
	number := func(what string, steps []jsonStep) (float64, error) {
		at, err := jsonAt(body, steps)
		var text string
		if err == nil {
			text, _, err = jsonScalar(at)
		}
		if err != nil {
			return 0, unwanted("json: %s: %v", what, err)
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			return 0, unwanted("json: %s is %s, which is no number", what, clip([]byte(text)))
		}
		return v, nil
	}
	var l Load
	var err error
	if l.One, err = number("the load", value); err != nil {
		return Load{}, err
	}
	if withCores {
		n, err := number("the number of processors", cores)
		if err != nil {
			return Load{}, err
		}
		if l.Cores = int(n); float64(l.Cores) != n {
			return Load{}, unwanted("json: %v is no number of processors", n)
		}
	}
	return l, l.check()
}

// parseNodeLoad finds the load in the text of node_exporter (Prometheus'
// exposition formats, "Text format"). Processors are counted in whole texts
// only.
func parseNodeLoad(body []byte, whole bool) (Load, error) {
	var l Load
	averages := map[string]*float64{"node_load1": &l.One, "node_load5": &l.Five, "node_load15": &l.Fifteen}
	found := make(map[string]bool, len(averages))
	cores := make(map[string]bool)
	for len(body) > 0 {
		var line []byte
		line, body, _ = bytes.Cut(body, []byte("\n"))
		name, rest := cutMetric(line)
		if name == "node_cpu_seconds_total" {
			if cpu, ok := metricLabel(rest, "cpu"); ok && len(cores) <= maxCores {
				cores[cpu] = true
			}
			continue
		}
		average := averages[name]
		if average == nil {
			continue
		}
		if found[name] {
			return Load{}, unwanted("%s is there more than once: ask the exporter of one server", name)
		}
		v, err := metricValue(rest)
		if err != nil {
			return Load{}, unwanted("%s is %s, which is no number", name, clip(rest))
		}
		*average, found[name] = v, true
	}
	if !found["node_load1"] {
		more := ""
		if !whole {
			more = "; there is more than we read, raise the limit (max body)"
		}
		return Load{}, unwanted("there is no node_load1 in the answer: is this node_exporter, with its collector loadavg?%s", more)
	}
	if whole {
		l.Cores = len(cores)
	}
	return l, l.check()
}

// cutMetric takes the name of a metric off a line. Comments and empty lines
// have none.
func cutMetric(line []byte) (name string, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	end := bytes.IndexAny(line, "{ \t")
	if end <= 0 || line[0] == '#' {
		return "", nil
	}
	return string(line[:end]), line[end:]
}

// nextLabel takes the next label off the inside of the braces: name="value",
// with \\, \" and \n for what could not stand there.
func nextLabel(b []byte) (name, value string, rest []byte, ok bool) {
	b = bytes.TrimLeft(b, " \t,")
	before, after, ok := bytes.Cut(b, []byte("="))
	after = bytes.TrimLeft(after, " \t")
	if !ok || len(after) == 0 || after[0] != '"' {
		return "", "", b, false
	}
	var v strings.Builder
	for i := 1; i < len(after); i++ {
		switch c := after[i]; {
		case c == '"':
			return string(bytes.TrimSpace(before)), v.String(), after[i+1:], true
		case c == '\\' && i+1 < len(after):
			if i++; after[i] == 'n' {
				v.WriteByte('\n')
			} else {
				v.WriteByte(after[i])
			}
		default:
			v.WriteByte(c)
		}
	}
	return "", "", b, false
}

// metricLabel finds the value of a label after the name of a metric.
func metricLabel(rest []byte, want string) (string, bool) {
	inside, ok := bytes.CutPrefix(bytes.TrimLeft(rest, " \t"), []byte("{"))
	for ok {
		var name, value string
		if name, value, inside, ok = nextLabel(inside); ok && name == want {
			return value, true
		}
	}
	return "", false
}

// metricValue reads the value after the name and the labels of a metric; a
// time may follow it.
func metricValue(rest []byte) (float64, error) {
	rest = bytes.TrimLeft(rest, " \t")
	if inside, labels := bytes.CutPrefix(rest, []byte("{")); labels {
		for ok := true; ok; {
			_, _, inside, ok = nextLabel(inside)
		}
		if rest, labels = bytes.CutPrefix(inside, []byte("}")); !labels {
			return 0, strconv.ErrSyntax
		}
	}
	fields := strings.Fields(string(rest))
	if len(fields) == 0 || len(fields) > 2 {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(fields[0], 64)
}
