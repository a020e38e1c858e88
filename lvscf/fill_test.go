package lvscf

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"time"
)

// filler sets every field of a configuration to a value that is not its zero,
// another one each time.
type filler struct {
	r *rand.Rand
	n int
}

func newFiller(seed uint64) *filler { return &filler{r: rand.New(rand.NewPCG(seed, 1))} }

func (f *filler) config() *Config {
	c := NewConfig()
	f.fill(reflect.ValueOf(c).Elem())
	return c
}

func (f *filler) fill(v reflect.Value) {
	f.n++
	n := f.n
	switch v.Interface().(type) {
	case Origins, Pos:
		return
	case time.Duration:
		v.SetInt(int64(time.Duration(1+n%100)*time.Second + time.Duration(n%4)*250*time.Millisecond))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), 8+n%24)))
		return
	case Host:
		if n%2 == 0 {
			v.Set(reflect.ValueOf(Host{Name: fmt.Sprintf("h%d.example.net", n)}))
		} else {
			v.Set(reflect.ValueOf(Host{Addr: netip.AddrFrom4([4]byte{10, 2, byte(n >> 8), byte(n)})}))
		}
		return
	case Protocol:
		v.Set(reflect.ValueOf([]Protocol{TCP, UDP, SCTP}[n%3]))
		return
	case Netmask:
		v.SetUint(uint64(1 + n%128))
		return
	case SchedulerFlags:
		v.SetUint(uint64(1 + n%7))
		return
	case CheckKind:
		v.SetString(checkKindWords[n%len(checkKindWords)])
		return
	case StatusCodes:
		v.Set(reflect.ValueOf(StatusCodes{{200, 200 + n%50}, {400, 404}}))
		return
	case Route:
		v.Set(reflect.ValueOf(Route{
			Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 3, byte(n >> 8), byte(n)}), 32), Gateway: netip.AddrFrom4([4]byte{10, 4, byte(n >> 8), byte(n)}),
			Device: fmt.Sprintf("t%d", n), Source: netip.AddrFrom4([4]byte{10, 5, byte(n >> 8), byte(n)}), Metric: uint32(n), Table: uint32(n),
		}))
		return
	case Service, Network, FailoverMode, VRRPAuth, VRRPChecksum, StartState, CheckThrough, TunnelType, TunnelChecksum, ReservationConflict:
		v.SetUint(1)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.String:
		v.SetString(fmt.Sprintf("t%d", n))
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(2 + n%1000))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(1 + n%200))
	default:
		panic("no value for " + v.Type().String())
	}
}

// change alters one value somewhere in a configuration, and says which.
func (f *filler) change(c *Config) string {
	var fields []reflect.Value
	var names []string
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		t := v.Type()
		for i := range t.NumField() {
			sf, fv := t.Field(i), v.Field(i)
			switch {
			case sf.Tag.Get("json") == "-" || sf.Name == "Serial" || sf.Name == "Includes":
			case sf.Anonymous:
				walk(fv, path)
			case fv.Kind() == reflect.Slice && fv.Type().Elem().Kind() == reflect.Struct && fv.Type().Elem().NumField() > 4 && fv.Type().Elem() != reflect.TypeFor[Route]():
				for j := range fv.Len() {
					walk(fv.Index(j), fmt.Sprintf("%s/%s[%d]", path, sf.Name, j))
				}
			default:
				fields, names = append(fields, fv), append(names, path+"/"+sf.Name)
			}
		}
	}
	walk(reflect.ValueOf(c).Elem(), "")
	i := f.r.IntN(len(fields))
	f.n += f.r.IntN(1000)
	f.fill(fields[i])
	return names[i]
}
