// Package schedlab compares package sched with the kernel, pick by pick.
//
// A [Case] is one service and its history: servers that come, change and go,
// clients that open and end flows. [Generator] makes cases by chance, [Model]
// plays them on package sched, and the kernel tests of this package play them
// on a real kernel at the same time. What a kernel did is kept as text
// ([ReadCases], [WriteCases]) in sched/testdata/golden, where a test without a
// kernel plays it again.
//
// The harness is one command, here for the kernel "own" of the rig; debian
// and qemu work alike:
//
//	make tools && CGO_ENABLED=0 go test -v -exec "$PWD/bin/rig -kernel own -mem 1G" -tags kernel -run Kernel ./internal/schedlab
//
// LVSKIT_SCHEDLAB_SEED=N plays the cases of an earlier run again, and
// LVSKIT_SCHEDLAB_CASES=N that many cases for each scheduler instead of the
// usual number.
package schedlab
