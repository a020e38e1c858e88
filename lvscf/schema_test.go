package lvscf

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// generated compares a file with what it is made of, or writes it.
func generated(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	have = bytes.ReplaceAll(have, []byte("\r\n"), []byte("\n"))
	if diff := cmp.Diff(string(want), string(have)); diff != "" {
		t.Errorf("%s is not what the table of directives says; run go test ./lvscf -update (-want +file):\n%s", path, diff)
	}
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(JSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("lvs.cf.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("lvs.cf.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(schema *jsonschema.Schema, text []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(doc)
}

func TestJSONSchema(t *testing.T) {
	generated(t, "lvs.cf.schema.json", JSONSchema())
	schema := compiledSchema(t)
	full, err := json.Marshal(newFiller(2).config())
	if err != nil {
		t.Fatal(err)
	}
	// A filled configuration has words of a kind that the language has not.
	tree := NewConfig()
	if err := json.Unmarshal(full, tree); err != nil {
		t.Fatal(err)
	}
	for i := range tree.Virtuals {
		httpVersions(&tree.Virtuals[i])
	}
	for i := range tree.Failovers {
		httpVersions(&tree.Failovers[i])
	}
	for i := range tree.VRRPs {
		tree.VRRPs[i].Version = 2
		httpVersions(&Virtual{Checks: tree.VRRPs[i].Checks})
	}
	if full, err = json.Marshal(tree); err != nil {
		t.Fatal(err)
	}
	if err := validate(schema, full); err != nil {
		t.Errorf("a configuration with every field: %v", err)
	}
	for _, text := range []string{
		`{"keepalive": "2"}`, `{"colour": 1}`, `{"network": "dr"}`, `{"virtuals": [{"port": 80}]}`,
		`{"virtuals": [{"name": "v", "port": 65536}]}`, `{"primary": {"addr": "300.1.1.1"}}`,
		`{"vrrps": [{"name": "r", "version": 4}]}`, `{"floating_address": ["192.0.2.1"]}`,
		`{"virtuals": [{"name": "v", "checks": [{"name": "k", "kind": "gopher"}]}]}`,
	} {
		if validate(schema, []byte(text)) == nil {
			t.Errorf("%s is valid", text)
		}
	}
}

func httpVersions(v *Virtual) {
	lists := [][]Check{v.Checks}
	for i := range v.Servers {
		lists = append(lists, v.Servers[i].Checks)
	}
	for _, list := range lists {
		for i := range list {
			list[i].HTTPVersion, list[i].Role = "2", "master"
		}
	}
}

// TestJSONSchemaOfSamples validates the JSON of every file at hand that is
// accepted, also those of the folder that LVSKIT_CORPUS names.
func TestJSONSchemaOfSamples(t *testing.T) {
	files, err := filepath.Glob("testdata/*.cf")
	if err != nil {
		t.Fatal(err)
	}
	if folder := os.Getenv("LVSKIT_CORPUS"); folder != "" {
		more, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil || len(more) == 0 {
			t.Fatalf("LVSKIT_CORPUS: %d files, error %v", len(more), err)
		}
		files = slices.Concat(files, more)
	}
	schema := compiledSchema(t)
	valid := 0
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, _ := Parse(path, src)
		cfg, _ := f.Config()
		text, err := json.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(schema, text); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		valid++
	}
	if valid < 20 {
		t.Errorf("only %d files were tried", valid)
	}
}
