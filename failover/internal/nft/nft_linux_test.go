package nft

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// answer is an NLMSG_ERROR of linux/netlink.h, which with the code 0 acknowledges.
func answer(sequence uint32, code unix.Errno) []byte {
	b := binary.NativeEndian.AppendUint32(nil, unix.NLMSG_HDRLEN+4)
	b = binary.NativeEndian.AppendUint16(b, unix.NLMSG_ERROR)
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint32(b, sequence)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return binary.NativeEndian.AppendUint32(b, uint32(-int32(code)))
}

func TestAnswersAreRead(t *testing.T) {
	const first, last = 5, 9
	for _, tt := range []struct {
		name string
		b    []byte
		done bool
		err  error
	}{
		{"nothing", nil, false, nil},
		{"the last one is acknowledged", answer(last, 0), true, nil},
		{"another one is", answer(last-1, 0), false, nil},
		{"one fails", answer(first, unix.EINVAL), true, unix.EINVAL},
		{"one fails behind another one's answer", slices.Concat(answer(first, 0), answer(first+1, unix.EPERM)), true, unix.EPERM},
		{"one of the batch before failed", answer(first-1, unix.EINVAL), false, nil},
		{"cut short", answer(last, 0)[:unix.NLMSG_HDRLEN+3], false, nil},
	} {
		done, err := answered(tt.b, first, last)
		if done != tt.done || !errors.Is(err, tt.err) {
			t.Errorf("%s: %t, %v", tt.name, done, err)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(slices.Concat(answer(1, 0), answer(2, unix.EINVAL)), uint32(1), uint32(2))
	f.Fuzz(func(t *testing.T, b []byte, first, last uint32) {
		if done, err := answered(b, first, last); err != nil && !done {
			t.Errorf("%v, and it goes on", err)
		}
	})
}
