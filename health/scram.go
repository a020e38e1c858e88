package health

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

// Bounds of what a server may ask of us.
const (
	// maxSCRAMRounds bounds the work of one login: about 20 ms. PostgreSQL
	// asks for 4,096 by default.
	maxSCRAMRounds = 1 << 17
	maxSCRAMText   = 1 << 10
)

// scram is the client's side of one SCRAM-SHA-256 exchange (RFC 5802, RFC
// 7677) without channel binding. Its user is empty, as PostgreSQL has it from
// elsewhere and ignores it here.
type scram struct {
	password string
	nonce    string
	signed   []byte // what the server must prove to know
}

func newSCRAM(password string) *scram { return &scram{password: password, nonce: rand.Text()} }

// scramHeader says that there is no channel binding and no other identity.
const scramHeader = "n,,"

// bare is the client's first message without its header.
func (s *scram) bare() string { return "n=,r=" + s.nonce }

// first is the client's first message.
func (s *scram) first() string { return scramHeader + s.bare() }

// final answers the server's first message.
func (s *scram) final(server string) (string, error) {
	nonce, salt, rounds, err := parseSCRAMFirst(server, s.nonce)
	if err != nil {
		return "", err
	}
	// A password that is not ASCII is taken as it is, without SASLprep.
	salted, err := pbkdf2.Key(sha256.New, s.password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	without := "c=" + base64.StdEncoding.EncodeToString([]byte(scramHeader)) + ",r=" + nonce
	message := s.bare() + "," + server + "," + without
	key := hmacSHA256(salted, "Client Key")
	stored := sha256.Sum256(key)
	proof := xor(key, hmacSHA256(stored[:], message))
	s.signed = hmacSHA256(hmacSHA256(salted, "Server Key"), message)
	return without + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

// verify reads the server's last message: whether it knows the password, too.
func (s *scram) verify(server string) error {
	value, _, _ := strings.Cut(server, ",")
	if text, ok := strings.CutPrefix(value, "e="); ok {
		return unwanted("the server refuses the login: %s", clipText(text))
	}
	text, ok := strings.CutPrefix(value, "v=")
	proof, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || s.signed == nil || !hmac.Equal(proof, s.signed) {
		return unwanted("the server does not prove that it knows the password; is it the right one?")
	}
	return nil
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// parseSCRAMFirst reads the server's first message: a nonce that begins with
// ours, a salt and the number of rounds.
func parseSCRAMFirst(text, ours string) (nonce string, salt []byte, rounds int, err error) {
	bad := unwanted("the challenge %s of SCRAM cannot be read", clip([]byte(text)))
	parts := strings.SplitN(text, ",", 4)
	if len(text) > maxSCRAMText || len(parts) < 3 {
		return "", nil, 0, bad
	}
	nonce, okNonce := strings.CutPrefix(parts[0], "r=")
	saltText, okSalt := strings.CutPrefix(parts[1], "s=")
	roundsText, okRounds := strings.CutPrefix(parts[2], "i=")
	salt, errSalt := base64.StdEncoding.DecodeString(saltText)
	rounds, errRounds := strconv.Atoi(roundsText)
	switch {
	case !okNonce || !okSalt || !okRounds || errSalt != nil || errRounds != nil || rounds < 1 || len(salt) == 0:
		return "", nil, 0, bad
	case !strings.HasPrefix(nonce, ours) || len(nonce) == len(ours):
		return "", nil, 0, unwanted("the challenge of SCRAM is not for us")
	case rounds > maxSCRAMRounds:
		return "", nil, 0, unwanted("SCRAM with %d rounds, more than %d", rounds, maxSCRAMRounds)
	}
	return nonce, salt, rounds, nil
}
