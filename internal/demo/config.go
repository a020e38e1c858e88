package demo

import (
	"fmt"
	"net"
	"strings"
)

// deadtime and the check interval of the tour's lvs.cf, in seconds: the
// smallest that the language has room for.
const (
	keepalive = 1
	deadtime  = 2
	interval  = 1
)

// lvsCF writes the tour's configuration. It is an ordinary lvs.cf; only the
// ports differ from what a real pair would have.
func lvsCF(webPort, echoPort, beatPort string, web, echo []server) string {
	var b strings.Builder
	fmt.Fprintf(&b, `serial_no = 1
primary = 127.0.0.1
service = lvs
backup_active = 1
backup = 127.0.0.1
heartbeat = 1
heartbeat_port = %s
keepalive = %d
deadtime = %d
network = nat
nat_router = 127.0.0.1 lo:1
debug_level = NONE
`, beatPort, keepalive, deadtime)
	virtual := func(name, port, protocol, scheduler, send, expect string, servers []server) {
		fmt.Fprintf(&b, `virtual %s {
     active = 1
     address = 127.0.0.1 lo:1
     port = %s
     protocol = %s
     scheduler = %s
     send = "%s"
     expect = "%s"
     timeout = %d
     reentry = %d
     quiesce_server = 0
`, name, port, protocol, scheduler, send, expect, interval, interval)
		for i, s := range servers {
			host, port, _ := net.SplitHostPort(s.addr())
			weight := 1
			if scheduler == "wrr" && i == 0 {
				weight = 2
			}
			fmt.Fprintf(&b, `     server %s {
         address = %s
         active = 1
         port = %s
         weight = %d
     }
`, s.name(), host, port, weight)
		}
		b.WriteString("}\n")
	}
	virtual("web", webPort, "tcp", "wrr", `GET / HTTP/1.0\r\n\r\n`, "HTTP", web)
	virtual("echo", echoPort, "udp", "rr", "who", "echo", echo)
	return b.String()
}

// freePorts finds n ports that nothing uses, for TCP and UDP alike.
func freePorts(n int) ([]string, error) {
	var ports []string
	var keep []interface{ Close() error }
	defer func() {
		for _, c := range keep {
			c.Close()
		}
	}()
	for tries := 0; len(ports) < n; tries++ {
		if tries > 100 {
			return nil, fmt.Errorf("no free ports on 127.0.0.1")
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		keep = append(keep, l)
		u, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			continue
		}
		keep = append(keep, u)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}
