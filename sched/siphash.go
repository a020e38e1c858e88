package sched

import "math/bits"

// siphash is SipHash-1-3 of the four bytes of v, the lowest first, under the
// key (k0, k1), cut to its lower 32 bits: what the kernel calls hsiphash on
// 64-bit machines. Written from "SipHash: a fast short-input PRF", Aumasson
// and Bernstein, 2012.
func siphash(v uint32, k0, k1 uint64) uint32 {
	v0 := k0 ^ 0x736f6d6570736575
	v1 := k1 ^ 0x646f72616e646f6d
	v2 := k0 ^ 0x6c7967656e657261
	v3 := k1 ^ 0x7465646279746573
	// The only block is the last one: the bytes, and their number on top.
	block := 4<<56 | uint64(v)
	v3 ^= block
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0 ^= block
	v2 ^= 0xff
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	return uint32(v0 ^ v1 ^ v2 ^ v3)
}

func sipRound(v0, v1, v2, v3 uint64) (_, _, _, _ uint64) {
	v0 += v1
	v2 += v3
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v1
	v0 += v3
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}
