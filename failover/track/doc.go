// Package track watches what a router needs to serve, as an uplink, a route, a
// file or a program, and feeds what package failover elects with: as a fault, which
// keeps it from being active, or as a priority that rises and falls.
//
// A [Tracker] has a list of tracks. Each one has a [Source] that it looks at,
// which are [Device], [Route], [File], [Program], [Func] or one of your own, or is
// told by who knows better ([Tracker.Tell]). Devices and routes are heard of at
// once, the rest is looked at in intervals.
//
// The package knows nothing of elections: a failover.Router, Group or Node is a
// [Target], and so is whatever else has the one method that takes a fault.
package track
