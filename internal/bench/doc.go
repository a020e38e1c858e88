// Package bench compares the ipvs client with the least that the kernel
// allows and with other clients, in one guest and one run. It is a module of
// its own, so that what it compares with is no dependency of the project.
//
// The floor is a loop over system calls that sends messages encoded before
// and decodes nothing that it receives. The contestants take turns within
// each round, so that a busy machine treats them alike; the result is a table
// of medians, minima and ratios. In the folder of the project:
//
//	make tools
//	CGO_ENABLED=0 go test -C internal/bench -exec "$PWD/bin/rig -kernel own -mem 1G -timeout 10m" \
//		-tags kernel -run '^$' -bench Kernel -benchtime 10x .
//
// The benchmarks are in the tests, under the tag "kernel".
package bench
