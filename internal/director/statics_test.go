package director

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// ownerInMemory has the addresses of its set while it is told to.
type ownerInMemory struct {
	recordedAddresses
	mu   sync.Mutex
	list []failover.VirtualAddress
	fail error
}

func (o *ownerInMemory) Acquire(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = o.fail == nil
	return o.fail
}

func (o *ownerInMemory) Release(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = false
	return nil
}

func (o *ownerInMemory) Set(_ context.Context, list []failover.VirtualAddress) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = list
	return nil
}

func (o *ownerInMemory) has() []failover.VirtualAddress {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.held {
		return nil
	}
	return o.list
}

// Static addresses are there whatever the role, also when the daemon has left.
func TestStaticAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var owners []*ownerInMemory
		a := func(s string) failover.VirtualAddress {
			return failover.VirtualAddress{Prefix: netip.MustParsePrefix(s), Device: "eth0"}
		}
		static := []failover.VirtualAddress{a("192.0.2.12/24")}
		r := newRig(t, ipvstest.New(), func(c *Config) {
			c.Setup.Statics = static
			c.NewAddresses = func(ac *failover.AddressesConfig) (AddressSet, error) {
				o := &ownerInMemory{list: ac.Addresses}
				if slices.Equal(ac.Addresses, static) {
					o.fail = errors.New("no device eth0")
				}
				owners = append(owners, o)
				return o, nil
			}
		})
		defer r.stop()
		time.Sleep(2 * time.Second)
		floats, statics := owners[0], owners[1]
		if notes := r.status().Notes; !slices.Contains(notes, "static addresses: no device eth0") {
			t.Errorf("notes %q", notes)
		}
		statics.mu.Lock()
		statics.fail = nil
		statics.mu.Unlock()
		expect := func(what string, want ...failover.VirtualAddress) {
			t.Helper()
			if diff := cmp.Diff(want, statics.has(), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		time.Sleep(staticCheck)
		expect("as soon as it can", static...)
		if notes := r.status().Notes; slices.Contains(notes, "static addresses: no device eth0") {
			t.Errorf("the trouble is over, notes %q", notes)
		}
		if err := statics.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(staticCheck)
		expect("put back", static...)
		r.next = func() (*Setup, error) {
			s := checked(webSetup(nil), r.checker)
			s.Statics = []failover.VirtualAddress{a("192.0.2.13/24")}
			return s, nil
		}
		r.reload <- syscall.SIGHUP
		time.Sleep(time.Second)
		expect("another one", a("192.0.2.13/24"))
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		expect("after the end", a("192.0.2.13/24"))
		if floats.has() != nil {
			t.Error("the floating addresses are here after the end")
		}
	})
}
