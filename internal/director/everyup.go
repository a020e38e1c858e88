package director

import (
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
)

// Table returns the whole table of the setup for the case that every server
// is up.
func (s *Setup) Table() ipvs.Table {
	up := func(*VirtualService, *RealServer) facts { return facts{state: health.Up} }
	nothing := func(ipvs.ServiceKey) (ipvs.Entry, bool) { return ipvs.Entry{}, false }
	serve := stances{"": stanceServe}
	for _, r := range s.Routers {
		serve[r.Name] = stanceServe
	}
	t, _ := plan(s, serve, up, nil, nothing, time.Time{})
	return t
}
