package userspace

import (
	"runtime"
	"strings"
	"testing"
)

// The ways to relay TCP; a subtest is named for the one it uses.
const (
	engineLoops    = "loops"
	enginePortable = "net-package"
)

// onEngines runs a test with each way to relay TCP that this system has.
func onEngines(t *testing.T, test func(*testing.T)) {
	t.Helper()
	for _, name := range engines() {
		t.Run(name, test)
	}
}

func engines() []string {
	if runtime.GOOS == "linux" {
		return []string{engineLoops, enginePortable}
	}
	return []string{enginePortable}
}

// useEngine has a balancer use the engine that the test is named for.
func useEngine(t testing.TB, b *Balancer) {
	if strings.Contains(t.Name()+"/", "/"+enginePortable+"/") {
		b.listenTCP = listenRelay
	}
}
