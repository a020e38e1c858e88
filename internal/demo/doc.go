// Package demo is the guided tour behind "lvsctl demo": a pair of directors,
// six real servers and their clients, all on the loopback of one machine,
// with the accidents that a load balancer is there for. Nothing is staged:
// the directors are processes of their own that run what "lvsctl run" runs.
package demo
