package health

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// words writes hexadecimal words as bytes.
func words(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rstatReply is what rpc.rstatd of Debian 12 (rstatd 4.0.1-11+b1, amd64)
// answered to version 3 under a load of 4.67 2.61 1.27.
const rstatReply = `11223344 00000001 00000000 00000000 00000000 00000000
	0000a81f 00003b8c 000054fd 00030e4f 00000000 00000000 00000000 00000000
	00314651 00602208 00000000 00000000 00208acb 0000000e 00000000 00000000
	00000000 0058731c 000004ab 0000029c 00000145 6b021e2c 00000000 6b0223ba
	00000000 0003b56b 00000000`

func TestRPCCall(t *testing.T) {
	want := words(t, "11223344 00000000 00000002 000186a1 00000003 00000001 00000000 00000000 00000000 00000000")
	if diff := cmp.Diff(want, appendCall(nil, 0x11223344, rstatProgram, 3, rstatStats)); diff != "" {
		t.Errorf("call (-want +got):\n%s", diff)
	}
}

func TestRPCReplies(t *testing.T) {
	const id, yes = "11223344 00000001 ", "00000000 00000000 00000000 "
	for name, tt := range map[string]struct {
		reply, want, err string
	}{
		"a body":                    {id + yes + "00000000 01020304", "01020304", ""},
		"no body":                   {id + yes + "00000000", "", ""},
		"a verifier":                {id + "00000000 00000001 00000005 aabbccdd ee000000 00000000 01020304", "01020304", ""},
		"another call's":            {"11223345 00000001 " + yes + "00000000", "", errOther.Error()},
		"a call":                    {"11223344 00000000 " + yes + "00000000", "", errOther.Error()},
		"nothing":                   {"", "", errOther.Error()},
		"a half":                    {"11223344", "", errOther.Error()},
		"cut off":                   {id + "00000000 00000000", "", "the reply is cut off after 16 bytes"},
		"without its status":        {id + yes, "", "the reply is cut off after 20 bytes"},
		"a verifier too long":       {id + "00000000 00000000 00000191 00", "", "a verifier of 401 bytes"},
		"a verifier without end":    {id + "00000000 00000000 00000190 00000000", "", "cut off"},
		"neither":                   {id + "00000002", "", "neither accepted nor denied (2)"},
		"no program":                {id + yes + "00000001", "", "does not have this program"},
		"other versions":            {id + yes + "00000002 00000001 00000005", "", "has versions 1 to 5 of the program only"},
		"other versions, unnamed":   {id + yes + "00000002", "", "has other versions"},
		"no procedure":              {id + yes + "00000003", "", "does not have this procedure"},
		"arguments":                 {id + yes + "00000004", "", "could not read the arguments"},
		"its own fault":             {id + yes + "00000005", "", "failed within itself"},
		"a status of the future":    {id + yes + "00000009", "", "refuses with status 9"},
		"RPC of another time":       {id + "00000001 00000000 00000003 00000004", "", "other versions of RPC: 3 to 4, not 2"},
		"credentials":               {id + "00000001 00000001 00000005", "", "wants credentials (auth status 5)"},
		"denied for a new reason":   {id + "00000001 00000007", "", "denied for reason 7"},
		"denied without any reason": {id + "00000001", "", "the call was denied"},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := parseReply(words(t, tt.reply), 0x11223344)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if got := hex.EncodeToString(body); got != tt.want {
				t.Errorf("body %s, want %s", got, tt.want)
			}
		})
	}
}

func TestRstatAnswers(t *testing.T) {
	real, err := parseReply(words(t, rstatReply), 0x11223344)
	if err != nil {
		t.Fatal(err)
	}
	averages := "00000100 00000080 00000040 "
	list := "00000002 00000000 00000000 "
	for name, tt := range map[string]struct {
		version uint32
		body    []byte
		want    Load
		err     string
	}{
		"Debian's":             {3, real, Load{One: 1195. / 256, Five: 668. / 256, Fifteen: 325. / 256}, ""},
		"version 2":            {2, words(t, strings.Repeat("00000007", 18)+averages), Load{One: 1, Five: 0.5, Fifteen: 0.25}, ""},
		"version 4":            {4, words(t, list+list+strings.Repeat("00000007", 11)+averages), Load{One: 1, Five: 0.5, Fifteen: 0.25}, ""},
		"version 4, no disk":   {4, words(t, list+"00000000"+strings.Repeat("00000007", 11)+averages), Load{One: 1, Five: 0.5, Fifteen: 0.25}, ""},
		"version 4, a lie":     {4, words(t, "ffffffff"+averages), Load{}, "version 4 is cut off"},
		"version 1":            {3, real[:18*4], Load{}, "version 3 is cut off after 72 bytes"},
		"too much of a load":   {3, words(t, strings.Repeat("00000007", 18)+"ffffff00"+averages), Load{}, "is no load average"},
		"the last word halved": {3, real[:21*4-2], Load{}, "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseRstat(tt.version, tt.body)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
				t.Errorf("load (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzRPCReplies(f *testing.F) {
	f.Add(words(f, rstatReply))
	for _, s := range []string{
		"11223344 00000001 00000000 00000001 00000004 00000000 00000002 00000001 00000005",
		"11223344 00000001 00000001 00000000 00000002 00000002",
		"11223344 00000001 00000000 00000000 00000000 00000000 00008019",
	} {
		f.Add(words(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		body, err := parseReply(b, 0x11223344)
		var refused *rpcError
		switch {
		case err == nil && !bytes.HasSuffix(b, body):
			t.Errorf("reply %x: body %x", b, body)
		case errors.As(err, &refused) && refused.text == "":
			t.Errorf("reply %x: refused without a word", b)
		}
		for _, version := range []uint32{2, 3, 4} {
			if l, err := parseRstat(version, body); err == nil && (l.check() != nil || len(body) < 21*4 && version < 4) {
				t.Errorf("version %d %x: %v", version, body, l)
			}
		}
		if port, err := parsePort(body); err == nil && uint32(port) != binary.BigEndian.Uint32(body) {
			t.Errorf("port %x: %d", body, port)
		}
	})
}
