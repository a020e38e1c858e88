package userspace

import (
	"sync/atomic"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// estimateInterval is the period of the kernel's estimator.
const estimateInterval = 2 * time.Second

// maxPiece is the most that counts as one packet of a TCP connection.
const maxPiece = 64 << 10

// stats are the counters of a service or a destination. In is from the
// client to the destination.
type stats struct {
	connections, inPackets, outPackets, inBytes, outBytes atomic.Uint64
	rates                                                 rates     // guarded by Balancer.mu
	zeroed                                                [5]uint64 // what they were at the last zero, too
}

// zero begins to count anew; the way of a packet knows nothing of it.
func (s *stats) zero() {
	s.zeroed = s.read()
	s.rates = rates{last: s.zeroed}
}

// moved counts n bytes of payload in one direction, as at least one packet.
func (s *stats) moved(n int64, toServer bool) {
	s.movedPackets(max(1, (n+maxPiece-1)/maxPiece), n, toServer)
}

func (s *stats) movedPackets(packets, n int64, toServer bool) {
	if toServer {
		s.inPackets.Add(uint64(packets))
		s.inBytes.Add(uint64(n))
	} else {
		s.outPackets.Add(uint64(packets))
		s.outBytes.Add(uint64(n))
	}
}

// rates are moving averages in fixed point, as the kernel keeps them
// (net/netfilter/ipvs/ip_vs_est.c): connections and packets with 10 bits of
// fraction, bytes with 5.
type rates struct {
	last [5]uint64
	avg  [5]int64
}

// read returns the counters, in the order of rates.
func (s *stats) read() [5]uint64 {
	return [5]uint64{s.connections.Load(), s.inPackets.Load(), s.outPackets.Load(), s.inBytes.Load(), s.outBytes.Load()}
}

// estimate takes the sample of one interval.
func (s *stats) estimate() {
	for i, v := range s.read() {
		delta := int64(v - s.rates.last[i])
		s.rates.last[i] = v
		// The sample is a rate: half of what two seconds brought.
		sample := delta << 9
		if i >= 3 {
			sample = delta << 4
		}
		s.rates.avg[i] += (sample - s.rates.avg[i]) >> 2
	}
}

func (s *stats) snapshot() ipvs.Stats {
	v, avg := s.read(), s.rates.avg
	for i := range v {
		v[i] -= s.zeroed[i]
	}
	scaled := func(i int) uint64 { return uint64(avg[i]+0x1FF) >> 10 }
	bytes := func(i int) uint64 { return uint64(avg[i]+0xF) >> 5 }
	return ipvs.Stats{
		Connections: v[0], InPackets: v[1], OutPackets: v[2], InBytes: v[3], OutBytes: v[4],
		CPS: scaled(0), InPPS: scaled(1), OutPPS: scaled(2), InBPS: bytes(3), OutBPS: bytes(4),
	}
}

// Counters tell what a [Balancer] met beside the traffic that the table
// counts, since it was made.
type Counters struct {
	// AcceptErrors counts failures to accept a client (out of descriptors,
	// as a rule) or to read from a UDP service.
	AcceptErrors uint64 `json:"accept_errors"`
	// ConnectErrors counts attempts to connect to a destination that failed
	// because of it, or of the way there; Retries those that another
	// destination was tried for.
	ConnectErrors uint64 `json:"connect_errors"`
	Retries       uint64 `json:"retries"`
	// LocalErrors counts attempts to connect to a destination that failed
	// for want of something here: descriptors, memory, local ports. Those
	// do not count as ConnectErrors, and no other destination is tried.
	LocalErrors uint64 `json:"local_errors"`
	// NoServer counts TCP clients and UDP datagrams for which the scheduler
	// had no destination.
	NoServer uint64 `json:"no_server"`
	// Saturated counts TCP clients reset because of [Config.MaxConnections],
	// ServiceFull those because of [ServiceConfig.MaxConnections], and
	// OutOfDescriptors clients, TCP's and UDP's, that were refused because
	// the process is close to its limit of descriptors.
	Saturated        uint64 `json:"saturated"`
	ServiceFull      uint64 `json:"service_full"`
	OutOfDescriptors uint64 `json:"out_of_descriptors"`
	// Idle counts TCP connections reset because of IdleTimeout, LifeTimeout
	// or FinTimeout.
	Idle uint64 `json:"idle"`
	// SessionsEvicted counts UDP sessions that made room for others,
	// SessionsRefused those that their destination's host refused.
	SessionsEvicted uint64 `json:"sessions_evicted"`
	SessionsRefused uint64 `json:"sessions_refused"`
	// DatagramsDropped counts UDP datagrams that could not be sent on.
	DatagramsDropped uint64 `json:"datagrams_dropped"`
	// TemplatesEvicted counts clients forgotten because of MaxTemplates.
	TemplatesEvicted uint64 `json:"templates_evicted"`
}

type counters struct {
	acceptErrors, connectErrors, retries, local, noServer, saturated, full, descriptors, idle,
	evicted, refused, dropped, templates atomic.Uint64
}

func (c *counters) read() Counters {
	return Counters{
		AcceptErrors: c.acceptErrors.Load(), ConnectErrors: c.connectErrors.Load(), Retries: c.retries.Load(),
		LocalErrors: c.local.Load(), NoServer: c.noServer.Load(), Saturated: c.saturated.Load(),
		ServiceFull: c.full.Load(), OutOfDescriptors: c.descriptors.Load(), Idle: c.idle.Load(),
		SessionsEvicted: c.evicted.Load(), SessionsRefused: c.refused.Load(),
		DatagramsDropped: c.dropped.Load(), TemplatesEvicted: c.templates.Load(),
	}
}
