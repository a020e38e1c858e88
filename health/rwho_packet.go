package health

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// The packet of rwhod (rwhod(8), protocols/rwhod.h): a header, then the users.
const (
	rwhoHeader   = 60
	rwhoUser     = 24
	rwhoMaxUsers = 42 // as many as fit into 1024 bytes
	rwhoMax      = rwhoHeader + rwhoMaxUsers*rwhoUser
	rwhoName     = 12
	rwhoNameSize = 32
	rwhoReceived = 8
	rwhoLoad     = 44
	rwhoScale    = 100
)

// rwhoPacket is what of a packet matters here.
type rwhoPacket struct {
	// name is what the sender calls itself, printable.
	name string
	// received is when the rwhod of this machine got it, in seconds since
	// 1970; it is rubbish in a packet from the network.
	received uint32
	load     Load
}

// parseRWho reads a packet. On the network its numbers are big-endian; rwhod
// keeps them in the order of its machine.
func parseRWho(b []byte, order binary.ByteOrder) (rwhoPacket, error) {
	switch {
	case len(b) < rwhoHeader || len(b) > rwhoMax || (len(b)-rwhoHeader)%rwhoUser != 0:
		return rwhoPacket{}, unwanted("%d bytes are no packet of rwhod: want %d and %d for each of at most %d users", len(b), rwhoHeader, rwhoUser, rwhoMaxUsers)
	case b[0] != 1 || b[1] != 1:
		return rwhoPacket{}, unwanted("packet of version %d and type %d, expected 1 and 1", b[0], b[1])
	}
	name, _, _ := bytes.Cut(b[rwhoName:rwhoName+rwhoNameSize], []byte{0})
	p := rwhoPacket{name: oneLine(string(name), rwhoNameSize), received: order.Uint32(b[rwhoReceived:])}
	for i, v := range []*float64{&p.load.One, &p.load.Five, &p.load.Fifteen} {
		*v = float64(int32(order.Uint32(b[rwhoLoad+4*i:]))) / rwhoScale
	}
	return p, p.load.check()
}

// tellPacket says of a load where it comes from.
func tellPacket(name string, age time.Duration) string {
	return fmt.Sprintf(" (of %s, %v ago)", clip([]byte(name)), age.Round(time.Second))
}
