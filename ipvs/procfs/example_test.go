package procfs_test

import (
	"fmt"
	"log"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/procfs"
)

// Count the connections of a service's servers, without its templates.
func Example() {
	n, err := procfs.Open("/run/netns/director")
	if err != nil {
		log.Fatal(err) // "...: IPVS is not loaded (modprobe ip_vs)"
	}
	defer n.Close()

	servers := map[ipvs.DestinationKey]int{}
	for c, err := range n.Connections() {
		if err != nil {
			log.Print(err) // one line; the others go on
			continue
		}
		if c.State == procfs.StateEstablished && !c.IsTemplate() {
			servers[c.Destination]++
		}
	}
	fmt.Println(servers)
}

// Change sysctls for a while.
func ExampleNamespace_RestoreSysctls() {
	n, err := procfs.Open("")
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	saved, err := n.Sysctls()
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := n.RestoreSysctls(saved); err != nil {
			log.Print(err)
		}
	}()
	if err := n.SetSysctl(procfs.ExpireNoDestConn, procfs.BoolValue(true)); err != nil {
		log.Print(err)
	}
}
