package health

import (
	"encoding/binary"
	"reflect"
	"time"
)

// maxPhases and maxPhaseName bound what a history keeps of one result.
const (
	maxPhases    = 64
	maxPhaseName = 64
)

// texts keeps one copy of each text that results have in common, under a
// number, for as long as a history refers to it. Servers that are well say
// the same.
type texts struct {
	ids   map[string]uint32
	list  []text
	free  []uint32
	spare []byte // for building a text
}

type text struct {
	s    string
	refs int
}

// hold returns the number of a text, which must be dropped in the end.
func (t *texts) hold(s []byte) uint32 {
	if id, ok := t.ids[string(s)]; ok {
		t.list[id].refs++
		return id
	}
	var id uint32
	if n := len(t.free); n > 0 {
		id, t.free = t.free[n-1], t.free[:n-1]
	} else {
		id = uint32(len(t.list))
		t.list = append(t.list, text{})
	}
	if t.ids == nil {
		t.ids = map[string]uint32{}
	}
	s2 := string(s)
	t.list[id] = text{s2, 1}
	t.ids[s2] = id
	return id
}

func (t *texts) drop(id uint32) {
	if t.list[id].refs--; t.list[id].refs > 0 {
		return
	}
	delete(t.ids, t.list[id].s)
	t.list[id] = text{}
	t.free = append(t.free, id)
}

func (t *texts) at(id uint32) string { return t.list[id].s }

// history is the newest results of a watch, oldest first, packed: a few dozen
// bytes each where a Result takes hundreds. A record is
//
//	length of what follows          uvarint
//	verdict, flags                  1 byte
//	reason, names of the phases     2 numbers of texts, uvarints
//	start                           8 bytes, wall clock
//	duration, those of the phases   varints
//	weight, if there is one         varint
//	bytes seen, if there are any    the rest
type history struct {
	records []byte
	n       int32
}

const (
	flagVerdict = 3
	flagWeight  = 4
)

// whole tells whether a record carries all of r, whatever fields Result has.
func whole(r *Result) bool {
	rest := *r
	rest.Verdict, rest.Reason, rest.Phases, rest.Seen, rest.Weight = 0, "", nil, nil, nil
	rest.Start, rest.Duration = time.Time{}, 0
	return reflect.ValueOf(&rest).Elem().IsZero()
}

// push adds a result as the newest, and drops the oldest if there are more
// than keep, which is 1 or more. r must be tidy.
func (h *history) push(t *texts, r *Result, keep int) {
	for int(h.n) >= keep {
		h.pop(t)
	}
	phases := r.Phases[:min(len(r.Phases), maxPhases)]
	t.spare = t.spare[:0]
	for _, p := range phases {
		name := p.Name[:min(len(p.Name), maxPhaseName)]
		t.spare = append(append(t.spare, byte(len(name))), name...)
	}
	names := t.hold(t.spare)
	t.spare = append(t.spare[:0], r.Reason...)
	reason := t.hold(t.spare)

	b := append(t.spare[:0], byte(r.Verdict)&flagVerdict)
	b = binary.AppendUvarint(b, uint64(reason))
	b = binary.AppendUvarint(b, uint64(names))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Start.UnixNano()))
	b = binary.AppendVarint(b, int64(r.Duration))
	for _, p := range phases {
		b = binary.AppendVarint(b, int64(p.Duration))
	}
	if r.Weight != nil {
		b[0] |= flagWeight
		b = binary.AppendVarint(b, int64(*r.Weight))
	}
	b = append(b, r.Seen...)
	t.spare = b
	h.records = binary.AppendUvarint(h.records, uint64(len(b)))
	h.records = append(h.records, b...)
	h.n++
}

// pop drops the oldest result.
func (h *history) pop(t *texts) {
	b, rest := nextRecord(h.records)
	_, reason, names, _ := openRecord(b)
	t.drop(reason)
	t.drop(names)
	h.records = h.records[:copy(h.records, rest)]
	h.n--
}

func (h *history) clear(t *texts) {
	for h.n > 0 {
		h.pop(t)
	}
	h.records = nil
}

func nextRecord(b []byte) (record, rest []byte) {
	n, used := binary.Uvarint(b)
	return b[used : used+int(n)], b[used+int(n):]
}

// openRecord reads the beginning of a record.
func openRecord(b []byte) (flags byte, reason, names uint32, rest []byte) {
	id, n := binary.Uvarint(b[1:])
	id2, n2 := binary.Uvarint(b[1+n:])
	return b[0], uint32(id), uint32(id2), b[1+n+n2:]
}

// results unpacks the newest of the results, at most so many, oldest first.
func (h *history) results(t *texts, most int) []*Result {
	n := min(int(h.n), most)
	all := make([]Result, n)
	list := make([]*Result, n)
	b := h.records
	for i := int(h.n); i > 0; i-- {
		var record []byte
		record, b = nextRecord(b)
		if i <= n {
			list[n-i] = &all[n-i]
			unpack(t, record, &all[n-i])
		}
	}
	return list
}

func unpack(t *texts, b []byte, r *Result) {
	flags, reason, names, b := openRecord(b)
	number := func() int64 {
		v, n := binary.Varint(b)
		b = b[n:]
		return v
	}
	r.Verdict, r.Reason = Verdict(flags&flagVerdict), t.at(reason)
	r.Start = time.Unix(0, int64(binary.BigEndian.Uint64(b)))
	b = b[8:]
	r.Duration = time.Duration(number())
	for shape := t.at(names); shape != ""; {
		n := int(shape[0]) + 1
		r.Phases = append(r.Phases, Phase{shape[1:n], time.Duration(number())})
		shape = shape[n:]
	}
	if flags&flagWeight != 0 {
		r.Weight = new(int(number()))
	}
	if len(b) > 0 {
		r.Seen = append([]byte(nil), b...)
	}
}
