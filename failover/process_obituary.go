package failover

import (
	"fmt"
	"strings"
)

// said says what became of the wards that were active when the daemon was
// gone, once those that are to leave have left.
func (k *keeper) said(active []*ward) string {
	var released, kept int
	var wrong []string
	for _, w := range active {
		k.mu.Lock()
		stays := k.wards[w.id] == w
		k.mu.Unlock()
		n := 0
		if w.owner != nil {
			n = len(w.owner.set())
		}
		switch trouble := w.trouble(); {
		case stays && w.needed():
			kept += n
		case trouble != nil:
			wrong = append(wrong, trouble.Error())
		case stays:
			wrong = append(wrong, "no end of it in time")
		default:
			released += n
		}
	}
	var all []string
	if released > 0 {
		all = append(all, addressCount(released)+" released, the others told")
	}
	if kept > 0 {
		all = append(all, addressCount(kept)+" left in place, as nobody else would serve")
	}
	if len(wrong) > 0 {
		all = append(all, "not all addresses released, look with ip address: "+strings.Join(wrong, "; "))
	}
	if len(all) == 0 {
		return "it held no addresses"
	}
	return strings.Join(all, "; ")
}

// trouble is that with the hook or the addresses.
func (w *ward) trouble() error {
	if w.router != nil {
		_, err := w.router.effects.status()
		return err
	}
	_, err := w.node.effects.status()
	return err
}

func addressCount(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", n)
}
