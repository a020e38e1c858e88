package director

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
)

// However many servers are asked by programs, no more are started in a second
// than one check may start.
func TestProgramsAreBoundedTogether(t *testing.T) {
	var servers [3]strings.Builder
	const each = 50
	for i := range each {
		servers[0].WriteString(realServer(fmt.Sprint("a", i), fmt.Sprintf("address = 10.0.0.%d", i+1)))
		servers[1].WriteString(realServer(fmt.Sprint("b", i), fmt.Sprintf("address = 10.0.1.%d\ncheck k {\nkind = script\ncommand = true\n}", i+1)))
		servers[2].WriteString(realServer(fmt.Sprint("c", i), fmt.Sprintf("address = 10.0.2.%d\ncheck k {\nkind = nagios\ncommand = true\n}", i+1)))
	}
	s := setupOf(t, "network = direct\n"+
		virtual("a", "port = 80\nsend_program = \"sh -c true\"\n"+servers[0].String())+
		virtual("b", "port = 81\n"+servers[1].String())+virtual("c", "port = 82\n"+servers[2].String()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	start := time.Now()
	for _, v := range s.Services {
		for _, r := range v.Servers {
			all.Go(func() {
				if got := r.Checker.Check(ctx, r.Target); got.Verdict != health.OK {
					t.Errorf("%s: %v, %q", r.Name, got.Verdict, got.Reason)
				}
			})
		}
	}
	all.Wait()
	// A tenth of them may come in a rush.
	least := time.Second * (3*each - health.DefaultProgramsPerSecond/10 - 1) / health.DefaultProgramsPerSecond
	if took := time.Since(start); took < least {
		t.Errorf("%d programs in %v, want no less than %v", 3*each, took, least)
	}
}
