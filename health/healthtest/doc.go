// Package healthtest has what tests of health checking need: servers on
// loopback that misbehave on demand ([Server], [UDPServer]) and a scripted
// checker without any network ([Fake]), which works in testing/synctest
// bubbles.
//
// It is for tests: servers are tied to a testing.TB and end with it.
package healthtest
