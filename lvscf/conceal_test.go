package lvscf

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shownTexts are the texts that a concealed copy shows as they are, by their
// JSON names: labels, names of files, devices, programs and hosts, and what an
// answer must be. Who adds a text to the language decides where it belongs.
var shownTexts = []string{
	"backup_shared", "body", "body_regex", "ca_file", "cert_file", "client_monitor", "database", "debug_level", "device",
	"digest", "dirs", "expect", "grpc_service", "heartbeat_key_file", "host", "http_version", "include", "interface", "ipvsadm",
	"key_file", "method", "name", "notify_fifo", "password_file", "persistence_engine", "primary_shared", "query_type", "role",
	"rsh_command", "server_name", "sync_group", "syncd_iface", "track_interface", "user", "vrrp",
	"check", "kind", "scheduler", // words of the language
	"", // the device of a DeviceAddress
}

// texts passes each text of a configuration with its JSON name.
func texts(v reflect.Value, name string, yield func(name string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.String:
		yield(name, v)
	case reflect.Slice:
		for i := range v.Len() {
			texts(v.Index(i), name, yield)
		}
	case reflect.Struct:
		t := v.Type()
		for i := range t.NumField() {
			f := t.Field(i)
			if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "-" && f.IsExported() {
				texts(v.Field(i), tag, yield)
			}
		}
	}
}

func TestConcealedHidesWhatMayBeASecret(t *testing.T) {
	c := newFiller(1).config()
	texts(reflect.ValueOf(c).Elem(), "", func(_ string, v reflect.Value) { v.SetString("a?b: hunter2") })
	before := mustJSON(t, c)
	var shown []string
	hidden := map[string]bool{}
	texts(reflect.ValueOf(c.Concealed([]byte("key"))).Elem(), "", func(name string, v reflect.Value) {
		if strings.Contains(v.String(), "hunter2") {
			shown = append(shown, name)
		} else {
			hidden[name] = true
		}
	})
	slices.Sort(shown)
	want := slices.Sorted(slices.Values(shownTexts))
	if diff := cmp.Diff(want, slices.Compact(shown)); diff != "" {
		t.Errorf("what is shown (-want +got):\n%s", diff)
	}
	for name := range hidden {
		if slices.Contains(shownTexts, name) {
			t.Errorf("%s is shown in one place and hidden in another", name)
		}
	}
	if !bytes.Equal(before, mustJSON(t, c)) {
		t.Error("the configuration itself was changed")
	}
}

func TestConcealedTexts(t *testing.T) {
	const text = `active_cmd = "/sbin/on  --password hunter2"
inactive_cmd = /sbin/off
virtual web {
	send = "AUTH hunter2\r\n"
	expect = "+OK"
	check a {
		kind = http
		path = /health?token=hunter2
		header = "Authorization: hunter2"
		header = "Cookie:hunter2"
	}
	check b {
		kind = mysql
		user = probe
		password_file = /etc/lvs/probe.secret
		query = "select 1"
	}
}
`
	one := configOf(t, text)
	c := one.Concealed([]byte("one key"))
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	out := string(f.Bytes())
	if strings.Contains(out, "hunter2") || strings.Count(out, "hidden:") != 6 {
		t.Errorf("concealed:\n%s", out)
	}
	for _, want := range []string{"active_cmd = \"/sbin/on hidden:", "inactive_cmd = /sbin/off\n", "path = \"/health?hidden:", "Authorization:hidden:", "/etc/lvs/probe.secret"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is not in\n%s", want, out)
		}
	}
	if ds := Diff(c, one.Concealed([]byte("one key"))); len(ds) > 0 {
		t.Errorf("one key, and %v", ds)
	}
	if ds := Diff(c, one.Concealed([]byte("another key"))); len(ds) != 5 { // both headers are one directive
		t.Errorf("with another key %d texts differ, want all 5: %v", len(ds), ds)
	}
}

func TestConcealedCopiesDifferWhereTheOriginalsDo(t *testing.T) {
	key := []byte("key")
	where := func(ds []Difference) (out []string) {
		for _, d := range ds {
			out = append(out, d.Block+" "+d.Directive)
		}
		return out
	}
	for seed := range uint64(50) {
		f := newFiller(seed)
		a, b := f.config(), newFiller(seed).config()
		what := f.change(b)
		if diff := cmp.Diff(where(Diff(a, b)), where(Diff(a.Concealed(key), b.Concealed(key)))); diff != "" {
			t.Fatalf("%s (-open +concealed):\n%s", what, diff)
		}
	}
}

// TestConcealedCanBeWritten: it is a file that is shown, and read again.
func TestConcealedCanBeWritten(t *testing.T) {
	key := []byte("key")
	for seed := range uint64(100) {
		f, ds := Parse("g.cf", generate(seed))
		if ds.HasErrors() {
			t.Fatal(ds)
		}
		c, _ := f.Config()
		c = c.Concealed(key)
		file, err := c.File()
		if err != nil {
			if _, plain := configOfBytes(f).File(); plain != nil {
				continue // what the language cannot say, concealed or not
			}
			t.Fatalf("seed %d: %v", seed, err)
		}
		back, _ := file.Config()
		if ds := Diff(c, back); len(ds) > 0 || c.Digest() != back.Digest() {
			t.Fatalf("seed %d came back with %v", seed, ds)
		}
	}
}

func configOfBytes(f *File) *Config { c, _ := f.Config(); return c }

func ExampleConfig_Concealed() {
	read := func(word string) *Config {
		f, _ := Parse("lvs.cf", []byte("virtual cache {\n send = \"AUTH "+word+"\\r\\n\"\n}\n"))
		c, _ := f.Config()
		return c.Concealed([]byte("the key of the two routers"))
	}
	for _, d := range Diff(read("hunter2"), read("hunter3")) {
		fmt.Println(d)
	}
	// Output: virtual "cache": send hidden:0e025203ecb1 -> hidden:ca2c42818882
}
