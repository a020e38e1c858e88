package failover

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// The configuration arrives whole: whatever is added to it and cannot, is
// found here.
func TestConfigurationCrosses(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    any
		not  []string // stays in the daemon
	}{
		{"router", &RouterConfig{}, []string{"Owner", "OnRole", "OnEvent", "Transport", "Logger", "Beat"}},
		{"node", &Config{}, []string{"Witness", "Fence", "Owner", "OnRole", "OnEvent", "Transport", "Logger", "Beat"}},
		{"addresses", &AddressesConfig{}, []string{"Announcer", "Logger"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := reflect.ValueOf(tt.c).Elem()
			var stays []string
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.Tag.Get("json") == "-" {
					stays = append(stays, f.Name)
				} else {
					fillIn(t, v.Field(i), f.Name)
				}
			}
			if diff := cmp.Diff(tt.not, stays); diff != "" {
				t.Errorf("what stays (-want +got):\n%s", diff)
			}
			b, err := json.Marshal(tt.c)
			if err != nil {
				t.Fatal(err)
			}
			got := reflect.New(v.Type())
			if err := json.Unmarshal(b, got.Interface()); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Interface(), tt.c) {
				t.Errorf("got %+v\nwant %+v", got.Interface(), tt.c)
			}
		})
	}
}

func TestEventCrosses(t *testing.T) {
	var e Event
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i).Addr().Interface().(type) {
		case *time.Time:
			*f = time.Unix(1, 2).UTC()
		case *error:
			*f = fs.ErrPermission
		default:
			fillIn(t, v.Field(i), v.Type().Field(i).Name)
		}
	}
	b, err := json.Marshal(packEvent(e))
	if err != nil {
		t.Fatal(err)
	}
	var w wireEvent
	if err := unpack(&note{Body: b}, &w); err != nil {
		t.Fatal(err)
	}
	got := w.event()
	if !errors.Is(got.Err, fs.ErrPermission) {
		t.Errorf("error %v", got.Err)
	}
	got.Err, e.Err = nil, nil
	if !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v\nwant %+v", got, e)
	}
}

// fillIn gives a value something that is not zero.
func fillIn(t *testing.T, v reflect.Value, name string) {
	t.Helper()
	switch x := v.Addr().Interface().(type) {
	case *netip.Addr:
		*x = netip.MustParseAddr("192.0.2.1")
		return
	case *netip.AddrPort:
		*x = netip.MustParseAddrPort("192.0.2.1:539")
		return
	case *netip.Prefix:
		*x = netip.MustParsePrefix("192.0.2.1/24")
		return
	case *vrrp.Checksum:
		*x = vrrp.MessageOnly
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Int16, reflect.Int8:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fillIn(t, v.Index(i), name)
		}
	case reflect.Array:
		for i := range v.Len() {
			fillIn(t, v.Index(i), name)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fillIn(t, v.Field(i), name+"."+v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillIn(t, v.Elem(), name)
	default:
		t.Errorf("%s is a %v: say how it gets to the beat process", name, v.Kind())
	}
}
