package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lvskit/lvskit/failover"
)

// asLvsctl in the environment makes the test binary the command itself, so
// that tests can start, stop and kill it as a process of its own.
const asLvsctl = "LVSKIT_TEST_AS_LVSCTL"

func TestMain(m *testing.M) {
	failover.BeatMain()
	if os.Getenv(asLvsctl) != "" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"lvsctl": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("LVSCTL_SOCKET", e.WorkDir+"/none.sock")
			return nil
		},
	})
}
