package director

import "github.com/lvskit/lvskit/ipvs"

// Table returns the whole table of the setup for the case that every server
// is up.
func (s *Setup) Table() ipvs.Table {
	up := func(string, string) serverState { return serverUp }
	return plan(s, up, stanceServe, nil)
}
