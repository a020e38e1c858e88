package director

import "github.com/lvskit/lvskit/ipvs"

// Table returns the whole table of the setup for the case that every server
// is up.
func (s *Setup) Table() ipvs.Table {
	up := func(string, string) serverState { return serverUp }
	nothing := func(ipvs.ServiceKey) (ipvs.Entry, bool) { return ipvs.Entry{}, false }
	return plan(s, up, nothing)
}
