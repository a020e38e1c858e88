//go:build !linux

package health

// connect opens and closes a TCP connection.
func (a *attempt) connect(d *Dial) error { return a.connectByNet(d) }
