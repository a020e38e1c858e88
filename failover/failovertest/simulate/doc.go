// Package simulate plays schedules of troubles on the state machines of package
// failover: [vrrp.Machine] in two to five routers, and in two to four groups with
// two to four members on links of their own ([vrrp.Agree]); [pulse.Machine] with
// its guard in a pair with up to all of its channels. Each machine is in a loop
// like that of [failover.Router], [failover.Group] or [failover.Node]. Time is a
// number, everything comes from one seed, and a schedule takes a tenth of a
// millisecond, or a quarter with groups: [Player.Play]. Sockets, locks and
// goroutines are not in it; the tests of package failover have those.
//
// The addresses follow the role as the effects of package failover do it: one
// thing after another, each of which takes a while, and what is held stays until
// another one serves, or may not come any more ([vrrp.Machine.Hold]). The
// neighbours believe whoever announced last. Adverts are signed in some schedules,
// by [vrrp.Keys] itself, and some pairs ask a witness and fence before one of them
// believes in a silence.
//
// The heartbeat of Piranha, and the keys of a pair, which know no clock, are not
// played.
//
// # What happens
//
// Packets are lost, singly, in bursts and by links that flap, doubled, late,
// slower one way than the other, slower than an interval, and out of order. Lines
// are cut in one direction or both. Machines die, start, restart, have faults, are
// blind, and stand still in three ways: packets wait for them, are lost, or come
// late. Loops and readers get the processor late. Clocks of the day jump, one or
// all, operators and trackers give orders, keys change from router to router,
// configurations differ, and an attacker replays what he has seen. With groups most
// of this happens to one link, or to one member.
//
// # Rules that hold all the time
//
// Each is judged while what it rests on holds, and from when it does: d is the
// longest that a packet is on its way, l the longest that a loop wakes late.
//
//   - Two routers that hear each other are both active for one interval of the
//     winner + d + 3l at most: that is its next advert. Two nodes of a pair, two
//     intervals + 3d + 5l, as two that do not know each other's run have to prove
//     themselves, and a run that is over may get an echo before; if only one hears the other, two dead times + two intervals + 2d
//     and the time in which a silence is confirmed. A hand-over, in which both are
//     active by agreement, does not count.
//   - Of two that have the addresses, and one of which is active, the other one
//     lets go within an interval + d + 3l of its advert, and what is left to it to
//     take over.
//   - Who hands over, stops, or gives way to one that preempts, keeps the addresses
//     until another one has them.
//   - While a machine is able, somebody is active: within d + the longest down
//     interval, or d + dead time + two intervals of courtesy + confirmation (+ the
//     answer of a witness, and all again where the partner is heard once more
//     meanwhile), whatever the network does.
//   - Who hands over, or stops in an orderly way, is relieved within d + the skew of
//     one that has heard it, or d in a pair.
//   - Nobody takes over before the down interval or dead time has passed since the
//     last packet that arrived, with the skew, nor later; not beside a packet that
//     it has not read, on any link of a group; not while it is blind; not while one
//     that outranks it, or that it was told to leave alone, is active and could be
//     heard; not before it has listened; not within two intervals, or one, after it
//     stood still.
//   - A group is never active in part. It takes nothing over that one of its members
//     has to leave alone, and could hear, if the intervals are the same. A dead node
//     is found by the quickest member, where no two groups have priorities that
//     contradict each other; those need up to twelve rounds of trial to come to rest.
//   - A signed advert is believed once, and not after a later one; and always if the
//     two clocks agree within the window and have done so for two windows, whichever
//     keys the two routers have come to.
//   - Nobody fences a partner that it can hear.
//
// # Rules of peace
//
// When all is mended, and after the time that this takes (three down intervals or
// dead times and the preempt delay), exactly one machine is active, the one with
// the highest priority among those that preempt; nobody moves from then on; nobody
// moved more than six times until then, or four in a pair; two nodes follow each
// other's present run; and the neighbours send to the one that is active, unless
// it could not know that they do not.
//
// The times at which a router may and has to take over are kept by a second
// account of the standard that shares no code with the machine.
package simulate
