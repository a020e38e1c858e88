// Package ipvstest has an in-memory IPVS that answers like the kernel, for
// the tests of programs that use package ipvs, and the suite of tests that
// keeps it honest.
//
// [Kernel] has the methods of [ipvs.Client]; [API] is what both offer. A
// program that declares an interface with the methods it uses takes either.
// The kernel records its write commands ([Kernel.Log]), fails on request
// ([Kernel.FailNext], [Kernel.SetHook]) and shows the counters it is told to
// ([Kernel.SetServiceStats], [Kernel.SetDestinationCounters]). It forwards no
// packets.
//
// [Conformance] runs one suite against whatever offers the API. It passes
// with the fake and with real kernels; so the fake says what they say.
package ipvstest
