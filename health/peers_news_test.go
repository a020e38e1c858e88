//go:build linux && peers

package health_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/lvskit/lvskit/health"
)

// TestPeersNNTP meets leafnode, which inetd would start for each connection,
// with the connection as its standard input and output. Its places are fixed,
// so each one runs where folders of the test are mounted over them.
func TestPeersNNTP(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("leafnode wants root")
	}
	leafnode, dir := installed(t, "leafnode"), openDir(t)
	conf := filepath.Join(dir, "etc", "leafnode", "config")
	for _, d := range []string{filepath.Dir(conf), filepath.Join(dir, "spool")} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	// The name must look like one that nobody else has.
	if err := os.WriteFile(conf, []byte("server = 127.0.0.1\nexpire = 20\nhostname = news.lvskit.arpa\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	addr := freePort(t)
	ln, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				f, err := c.(*net.TCPConn).File()
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				cmd := exec.Command("unshare", "-m", "sh", "-c", fmt.Sprintf("mount --bind %[1]s/etc /etc/news && mount --bind %[1]s/spool /var/spool/news && exec %[2]s", dir, leafnode))
				cmd.Stdin, cmd.Stdout = f, f
				_ = cmd.Run() // it fails when the client is gone
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	c := must(health.NewNNTP(nil))
	want(t, check(t, c, addr, short), health.OK, "quit: greeted", "connect", "greeting", "quit")
	trust := peerPair(t, dir)
	want(t, check(t, must(health.NewNNTP(&health.NNTPConfig{TLS: &trust, StartTLS: true})), addr, short), health.Fail, "starttls: answer")
	want(t, check(t, must(health.NewSMTP(nil)), addr, short), health.Fail, "expected 220")
	// One that cannot read its configuration says so and leaves.
	if err := os.WriteFile(conf, []byte("hostname = news.lvskit.arpa\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	want(t, check(t, c, addr, short), health.Fail, `greeting: answer "503 Unable to read configuration file`)
}
