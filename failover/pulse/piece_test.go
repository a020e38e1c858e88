package pulse

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// content is a document that no two pieces of are alike.
func content(n int) []byte {
	data := make([]byte, 0, n+3)
	for i := 0; len(data) < n; i++ {
		data = binary.BigEndian.AppendUint32(data, uint32(i))
	}
	return data[:n]
}

func cut(t testing.TB, digest byte, data []byte) (pieces []Piece) {
	t.Helper()
	d, err := NewDocument([32]byte{digest}, data)
	if err != nil {
		t.Fatal(err)
	}
	for {
		p, ok := d.Next()
		if !ok {
			t.Fatal("nothing to tell")
		}
		if p.Offset == 0 && len(pieces) > 0 {
			return pieces
		}
		pieces = append(pieces, p)
	}
}

func testPiece() Piece {
	data := content(PieceData + 5)
	return Piece{
		Kind: PieceVerdicts, Boot: 0x1122334455667788, Seq: 42, Channel: 1, Number: 9, Digest: [32]byte{0: 0xd1, 31: 0xd2}, Sum: sha256.Sum256(data),
		Total: PieceData + 5, Offset: PieceData, Data: data[PieceData:],
	}
}

func TestPieceOnTheWireIsAsDocumented(t *testing.T) {
	c, p := codec(t, testKey), testPiece()
	packet := c.AppendPiece([]byte("before"), &p)
	if !bytes.HasPrefix(packet, []byte("before")) {
		t.Error("what dst held before is gone")
	}
	packet = packet[6:]
	if !IsPiece(packet) || len(packet) != 116+5+16 {
		t.Errorf("%d bytes: % x", len(packet), packet)
	}
	if diff := cmp.Diff([]byte("lvsD\x02\x01\x01\x00\x00\x00\x00\x07"), packet[:12]); diff != "" {
		t.Errorf("head (-want +got):\n%s", diff)
	}
	if bytes.Contains(packet, p.Data) || bytes.Contains(packet, p.Digest[:]) {
		t.Error("the piece can be read without the key")
	}
	// What is within, by offsets of the package comment.
	body, err := c.seals[0].aead.Open(nil, nil, packet[12:], packet[:12])
	if err != nil {
		t.Fatal(err)
	}
	want := binary.BigEndian.AppendUint64(nil, p.Boot)
	want = binary.BigEndian.AppendUint64(want, p.Seq)
	want = append(append(want, p.Digest[:]...), p.Sum[:]...)
	want = binary.BigEndian.AppendUint32(want, p.Number)
	want = binary.BigEndian.AppendUint32(want, p.Total)
	want = append(binary.BigEndian.AppendUint32(want, p.Offset), p.Data...)
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	var back Piece
	if err := c.OpenPiece(packet, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, back); diff != "" {
		t.Errorf("piece (-want +got):\n%s", diff)
	}
	p = cut(t, 1, content(PieceData))[0]
	p.Boot, p.Seq = 1, 1
	if got := len(c.AppendPiece(nil, &p)); got != MaxPieceSize || got > 1280-40-8 {
		t.Errorf("the longest packet has %d bytes, want %d and that it fits into the least packet of IPv6", got, MaxPieceSize)
	}
}

func TestPiecesAreRefusedWithTheirReason(t *testing.T) {
	c := codec(t, testKey)
	sealed := func(change func(*Piece)) []byte {
		p := testPiece()
		change(&p)
		return c.AppendPiece(nil, &p)
	}
	good := sealed(func(*Piece) {})
	edit := func(at int, v byte) []byte {
		p := bytes.Clone(good)
		p[at] ^= v
		return p
	}
	p := testPiece()
	tests := []struct {
		name   string
		packet []byte
		want   Drop
	}{
		{"nothing", nil, DropSize},
		{"no data", sealed(func(p *Piece) { p.Data = nil }), DropSize},
		{"too long", append(bytes.Clone(good), make([]byte, PieceData)...), DropSize},
		{"a heartbeat's magic", append([]byte(magic), good[4:]...), DropMagic},
		{"another version", edit(4, 1), DropVersion},
		{"a key that nobody knows", edit(11, 1), DropUnknownKey},
		{"another kind", edit(6, 1), DropKey},
		{"another channel", edit(5, 1), DropKey},
		{"a reserved byte", edit(7, 1), DropKey},
		{"another nonce", edit(12, 1), DropKey},
		{"another byte within", edit(40, 1), DropKey},
		{"another tag", edit(len(good)-1, 1), DropKey},
		{"cut short", good[:len(good)-1], DropKey},
		{"another key", codec(t, []byte("another key of 16+ bytes")).AppendPiece(nil, &p), DropKey},
		{"no such kind", sealed(func(p *Piece) { p.Kind = 2 }), DropField},
		{"no boot", sealed(func(p *Piece) { p.Boot = 0 }), DropField},
		{"no sequence", sealed(func(p *Piece) { p.Seq = 0 }), DropField},
		{"channel too high", sealed(func(p *Piece) { p.Channel = MaxChannels }), DropField},
		{"no length", sealed(func(p *Piece) { p.Total = 0 }), DropField},
		{"too long a document", sealed(func(p *Piece) { p.Total = MaxDocument + 1; p.Data = content(PieceData) }), DropField},
		{"offset beyond the end", sealed(func(p *Piece) { p.Offset = 2 * PieceData }), DropField},
		{"offset off the grid", sealed(func(p *Piece) { p.Offset = PieceData - 1 }), DropField},
		{"data beyond the end", sealed(func(p *Piece) { p.Data = content(6) }), DropField},
		{"data that leaves a gap", sealed(func(p *Piece) { p.Data = content(4) }), DropField},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Piece{Seq: 7}
			var d Drop
			if err := c.OpenPiece(tt.packet, &got); !errors.As(err, &d) || d != tt.want {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if diff := cmp.Diff(Piece{Seq: 7}, got); diff != "" {
				t.Errorf("a refused packet changed the piece:\n%s", diff)
			}
		})
	}
	var b Beat
	if err := c.Open(good, &b); err == nil {
		t.Error("a piece was taken for a heartbeat")
	}
}

func TestDocumentIsPutTogether(t *testing.T) {
	for _, size := range []int{1, PieceData - 1, PieceData, PieceData + 1, 10*PieceData + 7, MaxDocument} {
		data := content(size)
		pieces := cut(t, 1, data)
		rng := rand.New(rand.NewPCG(uint64(size), 1))
		rng.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
		var a Assembly
		for i := range pieces {
			for range 2 { // a copy changes nothing
				whole, err := a.Add(&pieces[i])
				if err != nil {
					t.Fatalf("%d bytes, piece %d: %v", size, i, err)
				}
				if last := i == len(pieces)-1; last != (whole != nil) {
					t.Fatalf("%d bytes, piece %d of %d: whole %v", size, i, len(pieces), whole != nil)
				} else if last {
					if !bytes.Equal(whole, data) {
						t.Fatalf("%d bytes came out as %d others", size, len(whole))
					}
					break
				}
			}
		}
	}
	for _, bad := range []int{0, MaxDocument + 1} {
		if _, err := NewDocument([32]byte{1}, make([]byte, bad)); err == nil {
			t.Errorf("a document of %d bytes was taken", bad)
		}
	}
	if _, ok := new(Document).Next(); ok {
		t.Error("nothing gave a piece")
	}
}

func TestAssemblyBeginsAnewWithAnotherDocument(t *testing.T) {
	var a Assembly
	old, data := cut(t, 1, content(3*PieceData)), append([]byte("x"), content(2*PieceData)...)
	fresh := cut(t, 2, data)
	order := []*Piece{&old[0], &old[1], &fresh[0], &fresh[1], &old[2], &old[0], &fresh[0], &fresh[2], &fresh[1]}
	for i, p := range order {
		whole, err := a.Add(p)
		if err != nil {
			t.Fatal(err)
		}
		if last := i == len(order)-1; last != bytes.Equal(whole, data) || !last && whole != nil {
			t.Fatalf("after %d pieces: %d bytes", i+1, len(whole))
		}
	}
}

func TestAssemblyRefusesWhatDoesNotBelongTogether(t *testing.T) {
	pieces := cut(t, 1, content(2*PieceData))
	other := pieces[0]
	other.Data = content(PieceData + 4)[4:]
	wrong := pieces[1]
	wrong.Data = other.Data
	odd := pieces[1]
	odd.Offset--
	for name, order := range map[string][]Piece{
		"a piece that says something else than before": {pieces[0], other},
		"a sum that is another":                        {pieces[0], wrong},
		"a piece off the grid":                         {pieces[0], odd},
	} {
		var a Assembly
		for i := range order {
			whole, err := a.Add(&order[i])
			if last := i == len(order)-1; whole != nil || last != errors.Is(err, ErrBrokenDocument) {
				t.Errorf("%s: piece %d: %d bytes, %v", name, i, len(whole), err)
			}
		}
		for i := range pieces { // and is ready for a true one
			if whole, err := a.Add(&pieces[i]); err != nil || (whole != nil) != (i == 1) {
				t.Errorf("%s: then piece %d: %d bytes, %v", name, i, len(whole), err)
			}
		}
	}
}

func TestGuardOfPieces(t *testing.T) {
	a, b := newEnd(1), newEnd(2)
	meet(t, a, b)
	piece := func(boot, seq uint64, channel uint8) *Piece { return &Piece{Boot: boot, Seq: seq, Channel: channel} }
	for _, tt := range []struct {
		name string
		p    *Piece
		want Drop
	}{
		{"the first", piece(1, 10, 0), DropNone},
		{"again", piece(1, 10, 0), DropReplay},
		{"an older one, which the network held up", piece(1, 9, 0), DropNone},
		{"that again", piece(1, 9, 0), DropReplay},
		{"a newer one", piece(1, 11, 0), DropNone},
		{"the first after a newer one", piece(1, 10, 0), DropReplay},
		{"a much newer one", piece(1, 72, 0), DropNone},
		{"the oldest that is remembered, again", piece(1, 9, 0), DropReplay},
		{"one that is too old to be remembered", piece(1, 8, 0), DropReplay},
		{"one that leaves all others behind", piece(1, 1<<40, 0), DropNone},
		{"one that is behind that", piece(1, 73, 0), DropReplay},
		{"the one just before it", piece(1, 1<<40-1, 0), DropNone},
		{"from another channel", piece(1, 12, 1), DropChannel},
		{"from another run", piece(3, 12, 0), DropUnproven},
		{"from ourselves", piece(2, 12, 0), DropOwn},
	} {
		if d := b.g.AcceptPiece(0, tt.p); d != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, d, tt.want)
		}
	}
	if p, d := b.hear(a.beat(0), 0); d != DropNone || !p.Fresh {
		t.Errorf("a beat after newer pieces: %+v, %v", p, d)
	}
	// A new run of the partner counts from its own beginning.
	again := newEnd(4)
	again.g.echo = b.g.Challenge()
	if _, d := b.hear(again.beat(0), 0); d != DropNone {
		t.Fatal(d)
	}
	if d := b.g.AcceptPiece(0, piece(4, 1, 0)); d != DropNone {
		t.Errorf("the first piece of a new run: %v", d)
	}
	if d := b.g.AcceptPiece(0, piece(1, 99, 0)); d != DropUnproven {
		t.Errorf("a piece of the run before: %v", d)
	}
}

func FuzzPieces(f *testing.F) {
	c := codec(f, testKey)
	var all []byte
	for _, p := range cut(f, 1, content(2*PieceData+3)) {
		p.Boot, p.Seq = 1, uint64(p.Offset)+1
		packet := c.AppendPiece(nil, &p)
		f.Add(packet)
		body, err := c.seals[0].aead.Open(nil, nil, packet[pieceHead:], packet[:pieceHead])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
		all = append(binary.BigEndian.AppendUint16(all, uint16(len(body))), body...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, in []byte) {
		c, other := codec(t, testKey), codec(t, testKey)
		var p Piece
		_ = c.OpenPiece(in, &p) // must not panic
		// What is behind the tag is out of a blind fuzzer's reach: seal it.
		var a Assembly
		for len(in) > 2 {
			n := min(int(binary.BigEndian.Uint16(in)), len(in)-2)
			body := in[2 : 2+n]
			in = in[2+n:]
			head := []byte(pieceMagic + "\x02\x00\x01\x00\x00\x00\x00\x07")
			if err := c.OpenPiece(c.seals[0].aead.Seal(bytes.Clone(head), nil, body, head), &p); err != nil {
				continue
			}
			var back Piece
			if err := other.OpenPiece(c.AppendPiece(nil, &p), &back); err != nil {
				t.Fatalf("%+v does not come back: %v", p, err)
			}
			if diff := cmp.Diff(p, back); diff != "" {
				t.Fatalf("piece (-want +got):\n%s", diff)
			}
			whole, err := a.Add(&p)
			if err != nil && !errors.Is(err, ErrBrokenDocument) {
				t.Fatal(err)
			}
			if whole != nil && (sha256.Sum256(whole) != p.Sum || len(whole) != int(p.Total)) {
				t.Fatalf("%d bytes are not the document", len(whole))
			}
			if cap(a.data) > 2*MaxDocument {
				t.Fatalf("the assembly holds %d bytes", cap(a.data))
			}
		}
	})
}
