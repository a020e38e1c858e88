package health

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Bounds of what an [HTTP] check compares.
const (
	// MaxMatches is the most headers and the most JSON values of one check.
	MaxMatches = 32
	// MaxRedirects is the most redirects of one check.
	MaxRedirects = 10
)

// HeaderMatch is a header that an answer must have.
type HeaderMatch struct {
	// Name is the header's name.
	Name string
	// Value is what one of the headers of that name must be; empty is
	// anything.
	Value string
	// Regex makes Value a regular expression (RE2 syntax) that must match
	// somewhere in the value.
	Regex bool
}

// JSONMatch is a value that a body of JSON must have.
type JSONMatch struct {
	// Path leads to the value: names of members with dots between, indexes of
	// arrays from 0 in brackets, as in status.db[0].ok. A name with other
	// characters is a JSON string in brackets, as in ["a.b"]. An empty path is
	// the whole body. At most 32 steps.
	Path string
	// Value is what stands there: the contents of a string, or a number
	// (compared by value: 1.0 is 1), true, false or null. Objects and arrays
	// are never equal to anything.
	Value string
}

// httpMatch is what of an answer is compared beside its status. It is made
// once and then only read.
type httpMatch struct {
	body    string
	regex   *regexp.Regexp
	digest  []byte // SHA-256 by 32 bytes, MD5 by 16
	headers []headerMatch
	values  []jsonMatch
}

type headerMatch struct {
	HeaderMatch
	regex *regexp.Regexp
}

type jsonMatch struct {
	JSONMatch
	steps []jsonStep
}

// newHTTPMatch reports every field that cannot be used.
func newHTTPMatch(cfg *HTTPConfig) (m httpMatch, err error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	m.body = cfg.Body
	if cfg.BodyRegex != "" {
		if m.regex, err = regexp.Compile(cfg.BodyRegex); err != nil {
			bad("body regex: %w", err)
		}
	}
	if cfg.Digest != "" {
		m.digest, err = hex.DecodeString(cfg.Digest)
		if err != nil || len(m.digest) != sha256.Size && len(m.digest) != md5.Size {
			bad("digest %s: want the 64 hexadecimal digits of SHA-256, or the 32 of MD5", clip([]byte(cfg.Digest)))
		}
	}
	if len(cfg.ExpectHeader) > MaxMatches || len(cfg.JSON) > MaxMatches {
		bad("%d headers and %d JSON values are expected: want at most %d of each", len(cfg.ExpectHeader), len(cfg.JSON), MaxMatches)
	}
	for _, h := range cfg.ExpectHeader {
		match := headerMatch{HeaderMatch: h}
		if !isToken(h.Name) {
			bad("expected header name %q is not valid", h.Name)
		}
		if h.Regex {
			if match.regex, err = regexp.Compile(h.Value); err != nil {
				bad("expected header %s: %w", h.Name, err)
			}
		}
		m.headers = append(m.headers, match)
	}
	for _, v := range cfg.JSON {
		steps, err := parseJSONPath(v.Path)
		if err != nil {
			bad("%w", err)
		}
		m.values = append(m.values, jsonMatch{v, steps})
	}
	return m, errors.Join(errs...)
}

// identity is what of it matters to the answer, each part after a blank.
func (m *httpMatch) identity(maxBody int) string {
	var b strings.Builder
	if m.regex != nil || m.body != "" {
		pattern := ""
		if m.regex != nil {
			pattern = m.regex.String()
		}
		fmt.Fprintf(&b, " body=%q regex=%q", m.body, pattern)
	}
	if m.digest != nil {
		fmt.Fprintf(&b, " digest=%x", m.digest)
	}
	for _, v := range m.values {
		fmt.Fprintf(&b, " json=%q:%q", v.Path, v.Value)
	}
	if m.wantsBody() {
		fmt.Fprintf(&b, " max=%d", maxBody)
	}
	for _, h := range m.headers {
		fmt.Fprintf(&b, " expect-header=%q:%q regex=%t", h.Name, h.Value, h.Regex)
	}
	return b.String()
}

// wantsBody tells whether the body matters, wantsAll whether all of it does.
func (m *httpMatch) wantsBody() bool { return m.body != "" || m.regex != nil || m.wantsAll() }
func (m *httpMatch) wantsAll() bool  { return m.digest != nil || len(m.values) > 0 }

// header compares the headers of an answer and says what is wrong.
func (m *httpMatch) header(h http.Header) error {
	for _, want := range m.headers {
		values := h.Values(want.Name)
		if slices.ContainsFunc(values, func(v string) bool {
			if want.regex != nil {
				return want.regex.MatchString(v)
			}
			return want.Value == "" || v == want.Value
		}) {
			continue
		}
		switch {
		case len(values) == 0:
			return unwanted("there is no header %s", want.Name)
		case want.regex != nil:
			return unwanted("header %s is %s, which regex %s does not match", want.Name, clip([]byte(values[0])), clip([]byte(want.Value)))
		}
		return unwanted("header %s is %s, expected %s", want.Name, clip([]byte(values[0])), clip([]byte(want.Value)))
	}
	return nil
}

// content compares a body, of which more than limit bytes may have come where
// all of it matters, and says what is wrong.
func (m *httpMatch) content(body []byte, limit int) error {
	whole := len(body) <= limit
	body = body[:min(len(body), limit)]
	if m.body != "" && !bytes.Contains(body, []byte(m.body)) {
		return unwanted("%s is not in the first %d bytes of the body", clip([]byte(m.body)), len(body))
	}
	if m.regex != nil && !m.regex.Match(body) {
		return unwanted("regex %s matches nothing in the first %d bytes of the body", clip([]byte(m.regex.String())), len(body))
	}
	if m.wantsAll() && !whole {
		return unwanted("the body has more than %d bytes, and all of it is needed; raise the limit (max body)", limit)
	}
	if m.digest != nil {
		var sum []byte
		if len(m.digest) == md5.Size {
			d := md5.Sum(body)
			sum = d[:]
		} else {
			d := sha256.Sum256(body)
			sum = d[:]
		}
		if !bytes.Equal(sum, m.digest) {
			return unwanted("the digest of the %d bytes of the body is %x, expected %x", len(body), sum, m.digest)
		}
	}
	var bad error
	if len(m.values) > 0 {
		bad = jsonCheck(body)
	}
	for _, want := range m.values {
		var at json.RawMessage
		var value string
		var number bool
		err := bad
		if err == nil {
			at, err = jsonFind(body, want.steps)
		}
		if err == nil {
			value, number, err = jsonScalar(at)
		}
		switch {
		case err != nil:
			return unwanted("json %s: %v", clip([]byte(want.Path)), err)
		case !jsonEqual(value, number, want.Value):
			return unwanted("json %s is %s, expected %s", clip([]byte(want.Path)), clip([]byte(value)), clip([]byte(want.Value)))
		}
	}
	return nil
}

// redirect is where an answer sends us (RFC 9110, section 15.4), as the next
// request of the same host. It is an error if it leads elsewhere: a check is
// about one server.
func (c *HTTP) redirect(method string, from *url.URL, host, location string, code int) (string, *url.URL, error) {
	scheme := "http"
	if c.tls != nil {
		scheme = "https"
	}
	base := *from
	base.Scheme, base.Host = scheme, host
	to, err := base.Parse(location)
	switch {
	case location == "":
		return "", nil, unwanted("status %d without a Location", code)
	case err != nil:
		return "", nil, unwanted("status %d to %s, which is no address", code, clip([]byte(location)))
	case to.Scheme != scheme || to.User != nil || !sameHost(to, host):
		return "", nil, unwanted("status %d to %s, which is not at %s://%s and so not followed", code, clip([]byte(location)), scheme, host)
	}
	if code == http.StatusSeeOther && method != http.MethodHead ||
		(code == http.StatusMovedPermanently || code == http.StatusFound) && method == http.MethodPost {
		method = http.MethodGet
	}
	if to.Path == "" {
		to.Path = "/"
	}
	return method, &url.URL{Path: to.Path, RawPath: to.RawPath, RawQuery: to.RawQuery}, nil
}

// sameHost tells whether an address leads to the host that was asked: by its
// name, and by its port where it has one.
func sameHost(to *url.URL, host string) bool {
	asked := url.URL{Host: host}
	port := asked.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[to.Scheme]
	}
	return strings.EqualFold(to.Hostname(), asked.Hostname()) && (to.Port() == "" || to.Port() == port)
}

// isRedirect tells whether a status sends us elsewhere by its Location.
func isRedirect(code int) bool {
	switch code {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}
