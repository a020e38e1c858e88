package machine

import (
	"fmt"
	"slices"
	"strings"
)

// loadedModules are loaded before the command begins. Those of lblc and lblcr
// are among them because a kernel that loads them on demand can stop for good:
// it does so with the table's lock (__ip_vs_mutex) held, to load them takes
// that of the network namespaces (pernet_ops_rwsem), and the end of a
// namespace holds the latter while it waits for the former. Seen on 6.1.
var loadedModules = []string{"ip_vs", "ipv6", "ip_vs_lblc", "ip_vs_lblcr"}

// packedModules are the modules a packed guest gets, with what they need:
// the beginnings of their paths below lib/modules/RELEASE.
var packedModules = []string{
	"kernel/net/",
	"kernel/drivers/net/veth.", "kernel/drivers/net/nlmon.", "kernel/drivers/net/dummy.", "kernel/drivers/net/ifb.",
	"kernel/drivers/net/tun.", "kernel/drivers/net/vrf.", "kernel/drivers/net/macvlan.",
	"kernel/drivers/net/ipvlan/", "kernel/drivers/net/vxlan/",
}

// moduleClosure reads modules.dep (modules.dep(5)): a module, a colon, and
// what it needs. It returns, sorted, the modules whose path begins with one
// of the prefixes and all they need.
func moduleClosure(dep string, prefixes []string) ([]string, error) {
	needs := map[string][]string{}
	var todo []string
	for line := range strings.Lines(dep) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			return nil, fmt.Errorf("modules.dep: no colon in %q", line)
		}
		needs[name] = strings.Fields(rest)
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			todo = append(todo, name)
		}
	}
	seen := map[string]bool{}
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[name] {
			seen[name] = true
			todo = append(todo, needs[name]...)
		}
	}
	out := make([]string, 0, len(seen))
	for name := range seen {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}
