package lvscf

import (
	"encoding/json"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// JSONSchema returns the schema of what [Config.MarshalJSON] writes, in JSON
// Schema draft 2020-12, made of the same table as [Directives]. A copy stands
// in lvs.cf.schema.json. Nothing is required but the names of blocks: what is
// missing has its default, or the value it had before.
func JSONSchema() []byte {
	root := blockSchema(inGlobal, reflect.TypeFor[Config]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "lvs.cf"
	root["description"] = "The configuration of a Linux Virtual Server balancer, as lvs.cf(5) in JSON. Durations are seconds."
	root["$defs"] = map[string]any{
		"virtual": blockSchema(inVirtual, reflect.TypeFor[Virtual]()),
		"server":  blockSchema(inServer, reflect.TypeFor[Server]()),
		"check":   blockSchema(inCheck, reflect.TypeFor[Check]()),
		"vrrp":    blockSchema(inVRRP, reflect.TypeFor[VRRP]()),
		"host": object{
			"type": "object", "additionalProperties": false,
			"properties": object{
				"name": object{"type": "string", "description": "Host name."},
				"addr": addressSchema(),
			},
		},
	}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("lvscf: the schema does not marshal: " + err.Error())
	}
	return append(out, '\n')
}

type object = map[string]any

// structural are the fields that are no directives.
var structural = map[string]string{
	"name":      "Label of the block.",
	"device":    "Device, with an alias, that carries the address.",
	"virtuals":  "Virtual blocks, in the order of the file.",
	"failovers": "Failover blocks, in the order of the file.",
	"servers":   "Server blocks, in the order of the file.",
	"checks":    "Check blocks; all of them must be good, or change the priority of a vrrp block.",
	"vrrps":     "VRRP blocks, in the order of the file.",
}

func blockSchema(place blockMask, t reflect.Type) object {
	properties := object{}
	addFields(properties, place, t)
	s := object{"type": "object", "properties": properties, "additionalProperties": false}
	if place != inGlobal {
		s["required"] = []string{"name"}
	}
	return s
}

func addFields(properties object, place blockMask, t reflect.Type) {
	for f := range t.Fields() {
		if f.Anonymous {
			addFields(properties, place, f.Type)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		d := findDirective(name, place)
		s := valueSchema(f.Type, d)
		if d == nil {
			s["description"] = structural[name]
		} else {
			s["description"] = sentence(d.doc)
			if d.since != "" {
				s["$comment"] = "since lvskit " + d.since
			}
			if def, ok := defaultValue(f.Type, d.def); ok {
				s["default"] = def
			}
		}
		properties[name] = s
	}
}

// sentence makes a sentence of the fragment of a row.
func sentence(doc string) string {
	return strings.ToUpper(doc[:1]) + doc[1:] + "."
}

func valueSchema(t reflect.Type, d *directive) object {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return object{"type": "number", "minimum": math.MinInt32, "maximum": math.MaxInt32}
	case reflect.TypeFor[netip.Addr]():
		return addressSchema()
	case reflect.TypeFor[Host]():
		return object{"$ref": "#/$defs/host"}
	case reflect.TypeFor[Router]():
		return object{
			"type": "object", "additionalProperties": false,
			"properties": object{
				"address": object{"$ref": "#/$defs/host"},
				"device":  object{"type": "string", "description": structural["device"]},
			},
		}
	case reflect.TypeFor[HeartbeatPath]():
		return object{
			"type": "object", "additionalProperties": false, "required": []string{"primary", "backup"},
			"properties": object{"primary": object{"$ref": "#/$defs/host"}, "backup": object{"$ref": "#/$defs/host"}},
		}
	case reflect.TypeFor[DeviceAddress]():
		return object{"type": "string", "pattern": `^[0-9A-Fa-f.:]+/[0-9]{1,3} [^ /\t]{1,15}$`}
	case reflect.TypeFor[DeviceWeight]():
		return object{"type": "string", "pattern": `^[^ /\t]{1,15} -?[0-9]{1,3}$`}
	case reflect.TypeFor[Route]():
		return object{"type": "string", "pattern": `^[0-9A-Fa-f.:]+/[0-9]{1,3}( (via|dev|src|metric|table) [^ \t]+)+$`}
	case reflect.TypeFor[Netmask]():
		return object{"type": "string", "pattern": `^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9]{1,3})$`}
	case reflect.TypeFor[Scheduler]():
		// Kernels have schedulers that the language has not.
		return object{"type": "string", "maxLength": 15, "examples": d.words}
	case reflect.TypeFor[SchedulerFlags](), reflect.TypeFor[StatusCodes]():
		return object{"type": "string", "examples": []string{d.example}}
	case reflect.TypeFor[Virtual]():
		return object{"$ref": "#/$defs/virtual"}
	case reflect.TypeFor[Server]():
		return object{"$ref": "#/$defs/server"}
	case reflect.TypeFor[Check]():
		return object{"$ref": "#/$defs/check"}
	case reflect.TypeFor[VRRP]():
		return object{"$ref": "#/$defs/vrrp"}
	}
	enumerated := d != nil && d.words != nil
	switch kind := t.Kind(); {
	case kind == reflect.Pointer:
		return valueSchema(t.Elem(), d)
	case kind == reflect.Slice:
		// null is what an empty list of Go is written as.
		return object{"type": []string{"array", "null"}, "items": valueSchema(t.Elem(), d)}
	case kind == reflect.Bool:
		return object{"type": "boolean"}
	case enumerated && (kind == reflect.String || t.Implements(reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]())):
		return object{"enum": slices.Clone(d.words)}
	case enumerated:
		var numbers []int
		for _, w := range d.words {
			n, err := strconv.Atoi(w)
			if err != nil {
				panic("lvscf: " + d.name + ": words for a number: " + w)
			}
			numbers = append(numbers, n)
		}
		return object{"enum": numbers}
	case kind == reflect.String:
		return object{"type": "string"}
	case kind == reflect.Uint8 || kind == reflect.Uint16 || kind == reflect.Uint32:
		return object{"type": "integer", "minimum": 0, "maximum": uint64(1)<<t.Bits() - 1}
	case kind == reflect.Int:
		return object{"type": "integer", "minimum": 0, "maximum": math.MaxInt32}
	case kind == reflect.Int64:
		return object{"type": "integer"}
	}
	panic("lvscf: no schema for " + t.String())
}

func addressSchema() object {
	return object{"type": "string", "anyOf": []object{{"format": "ipv4"}, {"format": "ipv6"}}}
}

// defaultValue is a default of the table as a value of JSON.
func defaultValue(t reflect.Type, def string) (any, bool) {
	if def == "" {
		return nil, false
	}
	switch {
	case t.Kind() == reflect.Bool:
		return def == "1", true
	case t == reflect.TypeFor[time.Duration](), t.Kind() != reflect.String && !t.Implements(reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()):
		n, err := strconv.Atoi(def)
		return n, err == nil
	}
	return def, true
}
