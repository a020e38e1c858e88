package failover_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
)

// A device that works again is noticed in the moment that the system tells of
// it. The router listens before it serves, all the same.
func TestNoticeOfADeviceThatWorksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told failover.Noticing
		s := newSpeaker(t, new(failovertest.Segment), 1, func(c *failover.RouterConfig) {
			told.AdvertTransport = c.Transport
			c.Transport = &told
		})
		s.start()
		time.Sleep(time.Second)
		s.is(failover.RoleActive)
		s.place.Fail(errors.New("no carrier"))
		told.Change()
		s.is(failover.RoleFault)
		time.Sleep(time.Second + pace/3)
		s.is(failover.RoleFault)
		s.place.Fail(nil)
		told.Change()
		s.is(failover.RoleInit)
		down := 3*pace + pace*(256-200)/256
		time.Sleep(down - time.Millisecond)
		s.is(failover.RoleInit)
		time.Sleep(time.Millisecond)
		s.is(failover.RoleActive)
	})
}

// A socket that could not be opened for long is opened as soon as something has
// changed, and things that change all the time cost a try now and then.
func TestNoticeOfAnAddressThatIsThere(t *testing.T) {
	const gap = 10 * time.Millisecond
	t.Run("router", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var told failover.Noticing
			s := newSpeaker(t, new(failovertest.Segment), 1, func(c *failover.RouterConfig) {
				told.AdvertTransport = c.Transport
				c.Transport = &told
			})
			s.place.FailListen(errors.New("no such device"))
			s.start()
			time.Sleep(time.Minute)
			if st := s.is(failover.RoleInit); !strings.Contains(st.Reason, "no such device") {
				t.Errorf("reason %q", st.Reason)
			}
			s.place.FailListen(nil)
			told.Change()
			time.Sleep(gap)
			if st := s.is(failover.RoleInit); strings.Contains(st.Reason, "no such device") {
				t.Errorf("it waits on: %q", st.Reason)
			}
		})
	})
	t.Run("node", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var told failover.Noticing
			p := newPair(t, func(_, b *failover.Config) {
				told.Transport = b.Transport
				b.Transport = &told
			})
			p.backup.host.FailListen(errors.New("no such address"))
			p.primary.start(t)
			p.backup.start(t)
			open := func() bool {
				synctest.Wait()
				return p.backup.node.Status().Channels[0].Error == ""
			}
			time.Sleep(time.Minute)
			tries := told.Tries.Load()
			for range 1000 {
				told.Change()
				time.Sleep(gap / 10)
			}
			if n := told.Tries.Load() - tries; open() || n > 2*100+2 {
				t.Errorf("open %v; %d tries in a second", open(), n)
			}
			p.backup.host.FailListen(nil)
			told.Change()
			time.Sleep(gap)
			if !open() {
				t.Error("it waits on")
			}
			time.Sleep(decided)
			p.want(failover.RoleActive, failover.RoleBackup)
		})
	})
}
