package ipvstest_test

import (
	"context"
	"fmt"
	"syscall"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// The fake fails on request and keeps a log, so that a test can tell what a
// program did to the table.
func ExampleKernel() {
	ctx := context.Background()
	kernel := ipvstest.New()
	kernel.FailNext(syscall.EPERM)
	fmt.Println(kernel.AddService(ctx, ipvs.Service{Key: ipvs.MarkService(1)}) != nil)
	_ = kernel.AddService(ctx, ipvs.Service{Key: ipvs.MarkService(1)})
	_, _ = kernel.Snapshot(ctx) // reads are not logged
	for _, c := range kernel.Log() {
		fmt.Println(c.Op, c.Service.Key, c.Err == nil)
	}
	// Output:
	// true
	// add service fwmark/1 false
	// add service fwmark/1 true
}
