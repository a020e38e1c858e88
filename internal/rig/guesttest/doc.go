// Package guesttest holds tests that the rig runs in a guest to prove itself:
// they pass, fail, hang and break the kernel on request. They have the build
// tag rigguest and are of no use outside a guest.
package guesttest
