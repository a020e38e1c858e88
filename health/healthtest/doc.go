// Package healthtest has what tests of health checking need: servers on
// loopback that misbehave on demand and a scripted checker without any network
// ([Fake]), which works in testing/synctest bubbles.
//
// A [Server] does over TCP what its [Behavior] says: by hand ([Say], [Hang],
// [Dialogue]), wrapped ([OverTLS], [Slowly], [CutAfter], [Flapping]), or one of
// all the ways to go wrong ([Misbehaviors], [HTTP2Misbehaviors]). A [UDPServer]
// is the same for datagrams ([DatagramMisbehaviors]), and a [BlackHole] answers
// nothing at all. A check of your own should find none of them OK and should
// end within its time-out for each of them.
//
// It is for tests: servers are tied to a testing.TB and end with it.
package healthtest
