package health

import (
	"encoding/binary"
	"fmt"
	"time"
)

// bfdPort is where BFD packets over one hop go (RFC 5881, section 4).
const bfdPort = 3784

// bfdTTL is the TTL or hop limit that they are sent with, and must still have
// on arrival: nobody farther away can forge it (RFC 5881, section 5).
const bfdTTL = 255

// bfdState is the state of a session (RFC 5880, section 4.1).
type bfdState uint8

const (
	bfdAdminDown bfdState = iota
	bfdDown
	bfdInit
	bfdUp
)

// String is the name of the state in the RFC.
func (s bfdState) String() string { return [...]string{"AdminDown", "Down", "Init", "Up"}[s&3] }

// bfdDiag says why a session left its last state (RFC 5880, section 4.1).
type bfdDiag uint8

const (
	bfdNoDiag    bfdDiag = 0
	bfdExpired   bfdDiag = 1
	bfdSignalled bfdDiag = 3
	bfdAdmin     bfdDiag = 7
)

// String is the meaning of the code.
func (d bfdDiag) String() string {
	names := [...]string{
		"no diagnostic", "detection time expired", "echo failed", "neighbour signalled down", "forwarding reset",
		"path down", "concatenated path down", "administratively down", "reverse concatenated path down",
	}
	if int(d) < len(names) {
		return names[d]
	}
	return fmt.Sprintf("diagnostic %d", uint8(d))
}

// bfdSize is the length of a packet without authentication.
const bfdSize = 24

// The bits of the second byte beside the state.
const (
	bfdPoll       = 1 << 5
	bfdFinal      = 1 << 4
	bfdIndep      = 1 << 3
	bfdAuth       = 1 << 2
	bfdDemand     = 1 << 1
	bfdMultipoint = 1 << 0
)

// bfdPacket is a control packet (RFC 5880, section 4.1). Durations are whole
// microseconds of 32 bits.
type bfdPacket struct {
	diag         bfdDiag // 0..31
	state        bfdState
	poll, final  bool
	indep        bool // control plane independent; of no meaning here
	demand       bool
	multiplier   uint8
	mine, yours  uint32
	desired      time.Duration // desired min TX interval
	required     time.Duration // required min RX interval; 0: send me nothing
	requiredEcho time.Duration
}

// append writes the packet.
func (p bfdPacket) append(b []byte) []byte {
	flags := byte(p.state) << 6
	for _, f := range []struct {
		set bool
		bit byte
	}{{p.poll, bfdPoll}, {p.final, bfdFinal}, {p.indep, bfdIndep}, {p.demand, bfdDemand}} {
		if f.set {
			flags |= f.bit
		}
	}
	b = append(b, 1<<5|byte(p.diag)&31, flags, p.multiplier, bfdSize)
	b = binary.BigEndian.AppendUint32(b, p.mine)
	b = binary.BigEndian.AppendUint32(b, p.yours)
	for _, d := range []time.Duration{p.desired, p.required, p.requiredEcho} {
		b = binary.BigEndian.AppendUint32(b, uint32(d/time.Microsecond))
	}
	return b
}

// parseBFD reads a packet. The errors are the reasons of RFC 5880, section
// 6.8.6, to discard it that need no session.
func parseBFD(b []byte) (p bfdPacket, err error) {
	if len(b) < bfdSize {
		return p, fmt.Errorf("%d bytes, less than %d", len(b), bfdSize)
	}
	flags, length := b[1], int(b[3])
	switch {
	case b[0]>>5 != 1:
		return p, fmt.Errorf("version %d", b[0]>>5)
	case length < bfdSize || length > len(b):
		return p, fmt.Errorf("length %d of %d bytes", length, len(b))
	case b[2] == 0:
		return p, fmt.Errorf("multiplier 0")
	case flags&bfdMultipoint != 0:
		return p, fmt.Errorf("multipoint")
	case flags&bfdAuth != 0:
		return p, fmt.Errorf("authentication, which is not configured")
	case flags&bfdPoll != 0 && flags&bfdFinal != 0:
		return p, fmt.Errorf("poll and final at once")
	}
	micros := func(at int) time.Duration {
		return time.Duration(binary.BigEndian.Uint32(b[at:])) * time.Microsecond
	}
	p = bfdPacket{
		diag: bfdDiag(b[0] & 31), state: bfdState(flags >> 6), multiplier: b[2],
		poll: flags&bfdPoll != 0, final: flags&bfdFinal != 0, indep: flags&bfdIndep != 0, demand: flags&bfdDemand != 0,
		mine: binary.BigEndian.Uint32(b[4:]), yours: binary.BigEndian.Uint32(b[8:]),
		desired: micros(12), required: micros(16), requiredEcho: micros(20),
	}
	switch {
	case p.mine == 0:
		return p, fmt.Errorf("no discriminator")
	case p.yours == 0 && p.state > bfdDown:
		return p, fmt.Errorf("state %v without our discriminator", p.state)
	}
	return p, nil
}
