package ipvsadm

import (
	"net/netip"

	"github.com/lvskit/lvskit/ipvs"
)

// maxSyncLen is the longest sync message: what fits an IP packet.
const maxSyncLen = 1<<16 - 1 - 20 - 8

// daemon reads --start-daemon and --stop-daemon.
func (p *parser) daemon(c *Command) *SyntaxError {
	d := new(ipvs.SyncDaemon)
	c.Daemon = d
	switch p.verbArg.text {
	case "master":
		d.Role = ipvs.SyncMaster
	case "backup":
		d.Role = ipvs.SyncBackup
	default:
		return p.errorf(p.verbArg, "%s after %s: want master or backup", quoted(p.verbArg.text), p.verb.flag())
	}
	for _, n := range []struct {
		id          optionID
		least, most uint64
		set         func(uint64)
	}{
		{optSyncID, 0, 255, func(n uint64) { d.SyncID = uint32(n) }},
		{optSyncMaxLen, 1, maxSyncLen, func(n uint64) { d.MaxLength = uint16(n) }},
		{optMcastPort, 1, 1<<16 - 1, func(n uint64) { d.Port = uint16(n) }},
		{optMcastTTL, 1, 255, func(n uint64) { d.TTL = uint8(n) }},
	} {
		if !p.seen(n.id) {
			continue
		}
		v, err := p.number(n.id, n.least, n.most)
		if err != nil {
			return err
		}
		n.set(v)
	}
	if c.Verb == StopDaemon {
		*d = ipvs.SyncDaemon{Role: d.Role}
		return nil
	}
	if p.seen(optMcastGroup) {
		w := p.given[optMcastGroup].value
		group, err := netip.ParseAddr(w.text)
		if err != nil || !group.IsMulticast() || group.Is4In6() || group.Zone() != "" {
			return p.errorf(w, "multicast group %s: want an IPv4 or IPv6 multicast address, without brackets", quoted(w.text))
		}
		d.Group = group
	}
	if !p.seen(optMcastInterface) {
		return p.errorf(p.verbAt, "--start-daemon needs the network device: --mcast-interface NAME")
	}
	d.Interface = p.given[optMcastInterface].value.text
	if err := d.Validate(); err != nil {
		return p.wrap(p.at(optMcastInterface), err.Error(), err)
	}
	return nil
}
