package director

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

func TestSyncDaemonsFollowTheRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := ipvstest.New()
		var log bytes.Buffer
		s := newSyncing(slog.New(slog.NewTextHandler(&log, nil)), kernel)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.run(ctx)
		r := &rig{t: t, kernel: kernel}
		expect := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(want, r.syncs()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		// Somebody's own daemon is none of our business without a configuration.
		theirs := ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "sync0", SyncID: 99}
		if err := kernel.StartSync(ctx, theirs); err != nil {
			t.Fatal(err)
		}
		s.becomes("", failover.RoleBackup)
		time.Sleep(time.Minute)
		expect("not configured", "master 99")
		conf := &ipvs.SyncDaemon{Interface: "sync0", SyncID: 7, Group: netip.MustParseAddr("224.0.0.82"), MaxLength: 1000}
		s.adopt(conf)
		expect("backup", "backup 7")
		s.becomes("", failover.RoleActive)
		expect("active", "master 7")
		s.becomes("", failover.RoleInit)
		expect("a role that is not decided changes nothing", "master 7")
		s.becomes("", failover.RoleFault)
		expect("fault", "backup 7")

		// What others do is put right, and what is right is left alone.
		if err := kernel.StopSync(ctx, ipvs.SyncBackup); err != nil {
			t.Fatal(err)
		}
		time.Sleep(syncCheck)
		expect("stopped by somebody", "backup 7")
		log.Reset()
		time.Sleep(time.Hour)
		if log.Len() != 0 {
			t.Errorf("an hour without a change: %s", &log)
		}

		// A reload with other numbers, one that the kernel refuses, and one that
		// it takes again.
		other := *conf
		other.SyncID = 8
		s.adopt(&other)
		expect("another id", "backup 8")
		other2 := other
		other2.Interface = "none0"
		s.adopt(&other2)
		synctest.Wait()
		if runs, err := s.status(); err == nil || runs != nil || strings.Count(log.String(), "level=ERROR") != 1 {
			t.Errorf("runs %v, error %v, log %s", runs, err, &log)
		}
		time.Sleep(time.Minute)
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("the trouble was told %d times", n)
		}
		s.adopt(conf)
		expect("mended", "backup 7")
		if runs, err := s.status(); err != nil || len(runs) != 1 {
			t.Errorf("runs %v, error %v", runs, err)
		}
		// Without it they are left as they are.
		s.adopt(nil)
		s.becomes("", failover.RoleActive)
		time.Sleep(time.Minute)
		expect("not configured any more", "backup 7")
	})
}
