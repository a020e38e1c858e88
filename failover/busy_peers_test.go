//go:build linux && peers

package failover_test

import (
	"strings"
	"testing"
	"time"
)

// The same busy loops, first beside ours and then beside Debian's keepalived,
// both with what they are by default and at normal priority. For figures to go
// by, on a quiet machine: LVSKIT_BUSY=10m.
func TestPeersBusyLoops(t *testing.T) {
	span := busyTime(t, time.Second)
	if span > time.Second { // else TestNetnsBusyLoops is enough
		t.Run("ours", func(t *testing.T) { busyPair(t, span, nil) })
	}
	t.Run("ours at normal priority", func(t *testing.T) {
		busyPair(t, span, func(c *daemonConfig) { c.Normal = true })
	})
	t.Run("keepalived at normal priority", func(t *testing.T) {
		w := newWire(t)
		d := &dialect{name: "busy", interval: busyAdvert, vips: prefixes("192.0.2.100/24"), keepalived: "version 3\n advert_int 0.01"}
		var k [2]*keepalived
		masters := func() int {
			return strings.Count(k[0].log.String(), "MASTER STATE") + strings.Count(k[1].log.String(), "MASTER STATE")
		}
		for i, host := range []*peer{w.host("d1", "192.0.2.2/24"), w.host("d2", "192.0.2.1/24")} {
			k[i] = newKeepalived(t, host, d)
			k[i].start()
			if i == 0 {
				within(t, patience, "the first serves", func() bool { return strings.Contains(k[0].log.String(), "MASTER STATE") })
			}
		}
		within(t, patience, "the second watches", func() bool { return strings.Contains(k[1].log.String(), "BACKUP STATE") })
		time.Sleep(500 * time.Millisecond)
		adverts := w.countAdverts(k[0].host, k[1].host)
		stop := startBurning(t)
		time.Sleep(200 * time.Millisecond) // until they burn
		adverts.since()
		before, begun := masters(), time.Now()
		time.Sleep(span)
		n, gap := adverts.since()
		share := float64(n) / (float64(time.Since(begun)) / float64(busyAdvert))
		falsely := masters() - before
		stop()
		t.Logf("%d busy loops, %v: %d times active anew, %.2f %% of the adverts sent, longest gap %v", busyLoops, span, falsely, 100*share, gap)
	})
}
