package health

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// RADIUSConfig sets up a [RADIUS] check.
type RADIUSConfig struct {
	// Secret is what we share with the server; it is needed.
	Secret string
	// User and Password log in (Access-Request). An empty User asks for the
	// server's state instead (Status-Server, RFC 5997), which some servers
	// do not know and leave without an answer.
	User, Password string
	// AllowReject makes a refusal of the user OK: the server could judge.
	AllowReject bool
	// Dial says how to connect.
	Dial
}

// RADIUS asks an authentication server (RFC 2865) and verifies that the
// answer is of someone who knows the secret. It is safe for concurrent use.
type RADIUS struct {
	cfg  RADIUSConfig
	name string
}

// NewRADIUS returns a RADIUS check, or an error that names every field that
// cannot be used.
func NewRADIUS(cfg *RADIUSConfig) (*RADIUS, error) {
	c := &RADIUS{}
	if cfg != nil {
		c.cfg = *cfg
	}
	err := c.cfg.Dial.validate()
	if c.cfg.Secret == "" {
		err = errors.Join(err, errors.New("secret: want the one that the server has for this machine"))
	}
	if c.cfg.User == "" && (c.cfg.Password != "" || c.cfg.AllowReject) {
		err = errors.Join(err, errors.New("password, allow reject: want a user too"))
	}
	if len(c.cfg.User) > 253 || len(c.cfg.Password) > 128 {
		err = errors.Join(err, errors.New("user, password: want at most 253 and 128 bytes"))
	}
	if err != nil {
		return nil, fmt.Errorf("radius check: %w", err)
	}
	c.name = fmt.Sprintf("radius user=%q password=%s secret=%s reject=%t%s", c.cfg.User, fingerprint(c.cfg.Password), fingerprint(c.cfg.Secret), c.cfg.AllowReject, c.cfg.Dial.identity())
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *RADIUS) Identity() string { return c.name }

// Codes and attributes (RFC 2865, sections 4 and 5; RFC 2869, section 5.14).
const (
	radiusAccessRequest   = 1
	radiusAccessAccept    = 2
	radiusAccessReject    = 3
	radiusAccounting      = 5
	radiusAccessChallenge = 11
	radiusStatusServer    = 12

	radiusUserName      = 1
	radiusUserPassword  = 2
	radiusNASIdentifier = 32
	radiusMessageAuth   = 80

	radiusHeader = 20 // code, id, length, authenticator
)

// Check asks once.
func (c *RADIUS) Check(ctx context.Context, t Target) Result {
	question := c.request()
	r := exchange(ctx, t, &c.cfg.Dial, question, func(answer []byte) (string, error) {
		return c.judge(question, answer)
	})
	if r.Verdict == Fail && strings.HasPrefix(r.Reason, "read: no answer within") {
		// RFC 2865, section 3, and RFC 3579, section 3.2: silence is all
		// that a wrong secret gets.
		r.Reason += "; a RADIUS server is silent to a client it does not know, or with another secret"
	}
	return r
}

// request makes a packet with a Message-Authenticator, which comes first so
// that servers hardened against forgery take it.
func (c *RADIUS) request() []byte {
	b := make([]byte, radiusHeader, 256)
	_, _ = rand.Read(b[1:2]) // never fails
	_, _ = rand.Read(b[4:radiusHeader])
	b[0] = radiusStatusServer
	sign := len(b) + 2
	b = append(b, radiusMessageAuth, 2+md5.Size)
	b = append(b, make([]byte, md5.Size)...)
	attribute := func(kind byte, value []byte) {
		b = append(b, kind, byte(2+len(value)))
		b = append(b, value...)
	}
	if c.cfg.User != "" {
		b[0] = radiusAccessRequest
		attribute(radiusUserName, []byte(c.cfg.User))
		attribute(radiusUserPassword, hidePassword(c.cfg.Password, c.cfg.Secret, b[4:radiusHeader]))
	}
	attribute(radiusNASIdentifier, []byte("lvskit-health"))
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	mac := hmac.New(md5.New, []byte(c.cfg.Secret))
	mac.Write(b)
	copy(b[sign:], mac.Sum(nil))
	return b
}

// hidePassword is what RFC 2865, section 5.2, makes of a password: padded to
// blocks of 16, each mixed with a digest of the secret and the block before.
func hidePassword(password, secret string, authenticator []byte) []byte {
	out := make([]byte, max((len(password)+15)/16, 1)*16)
	copy(out, password)
	last := authenticator
	for block := out; len(block) > 0; block = block[16:] {
		digest := md5.Sum(append([]byte(secret), last...))
		xor(block[:16], digest[:])
		last = block[:16]
	}
	return out
}

// judge verifies an answer and reads its code.
func (c *RADIUS) judge(question, answer []byte) (string, error) {
	if len(answer) < radiusHeader || answer[1] != question[1] {
		return "", errOther
	}
	n := int(binary.BigEndian.Uint16(answer[2:]))
	if n < radiusHeader || n > len(answer) {
		return "", errOther
	}
	answer = answer[:n] // what follows is padding
	// The digest of the answer with the question's authenticator in place of
	// its own, and the secret (section 3).
	whole := bytes.Clone(answer)
	copy(whole[4:radiusHeader], question[4:radiusHeader])
	sum := md5.Sum(append(bytes.Clone(whole), c.cfg.Secret...))
	if !hmac.Equal(sum[:], answer[4:radiusHeader]) {
		return "", unwanted("the answer is signed with another secret than ours")
	}
	if !c.signed(whole) {
		return "", unwanted("the answer's attributes cannot be read, or its Message-Authenticator is wrong")
	}
	switch code := answer[0]; {
	case code == radiusAccessAccept:
		return "Access-Accept", nil
	case code == radiusAccounting && c.cfg.User == "": // from an accounting port
		return "Accounting-Response", nil
	case (code == radiusAccessReject || code == radiusAccessChallenge) && c.cfg.AllowReject:
		return "the server judged, and does not let the user in", nil
	case code == radiusAccessReject:
		return "", unwanted("Access-Reject: the server refuses user and password")
	default:
		return "", unwanted("answer with code %d, expected 2 (Access-Accept)", code)
	}
}

// signed goes through the attributes of an answer and verifies the
// Message-Authenticator if there is one. b is the answer with the question's
// authenticator.
func (c *RADIUS) signed(b []byte) bool {
	for i := radiusHeader; i < len(b); {
		if len(b)-i < 2 || b[i+1] < 2 || int(b[i+1]) > len(b)-i {
			return false
		}
		end := i + int(b[i+1])
		if b[i] == radiusMessageAuth {
			if end-i != 2+md5.Size {
				return false
			}
			zeroed := bytes.Clone(b)
			clear(zeroed[i+2 : end])
			mac := hmac.New(md5.New, []byte(c.cfg.Secret))
			mac.Write(zeroed)
			if !hmac.Equal(mac.Sum(nil), b[i+2:end]) {
				return false
			}
		}
		i = end
	}
	return true
}
