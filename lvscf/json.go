package lvscf

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// seconds is a duration as a number of seconds, with a fraction where there is
// one.
type seconds time.Duration

// IsZero leaves the durations of extensions out where they are not set.
func (s seconds) IsZero() bool { return s == 0 }

func (s seconds) MarshalJSON() ([]byte, error) {
	whole, rest := time.Duration(s)/time.Second, time.Duration(s)%time.Second
	if rest == 0 {
		return strconv.AppendInt(nil, int64(whole), 10), nil
	}
	sign := ""
	if s < 0 {
		sign, whole, rest = "-", -whole, -rest
	}
	text := fmt.Sprintf("%s%d.%09d", sign, whole, rest)
	return []byte(strings.TrimRight(text, "0")), nil
}

var errSeconds = errors.New("want a number of seconds between -2^31 and 2^31, such as 5 or 0.5")

func (s *seconds) UnmarshalJSON(text []byte) error {
	var n json.Number
	if err := json.Unmarshal(text, &n); err != nil || len(text) > 0 && text[0] == '"' {
		return fmt.Errorf("duration %.40q: %w", text, errSeconds)
	}
	if n == "" { // null changes nothing
		return nil
	}
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		if i < math.MinInt32 || i > math.MaxInt32 {
			return fmt.Errorf("duration %.40q: %w", text, errSeconds)
		}
		*s = seconds(time.Duration(i) * time.Second)
		return nil
	}
	if !strings.ContainsAny(n.String(), "eE") && len(n) < 32 {
		// A decimal fraction is read without the detour of a float.
		if d, err := time.ParseDuration(n.String() + "s"); err == nil && d > math.MinInt32*time.Second && d < math.MaxInt32*time.Second {
			*s = seconds(d)
			return nil
		}
	}
	return fmt.Errorf("duration %.40q: %w", text, errSeconds)
}

// The outer fields of these hide the embedded ones of the same name. A test
// knows that none is forgotten.
type (
	plainConfig Config
	configJSON  struct {
		*plainConfig
		Keepalive     *seconds `json:"keepalive"`
		Deadtime      *seconds `json:"deadtime"`
		TCPTimeout    *seconds `json:"tcp_timeout"`
		TCPFinTimeout *seconds `json:"tcpfin_timeout"`
		UDPTimeout    *seconds `json:"udp_timeout"`
		announcingJSON
		DrainTime *seconds `json:"drain_time,omitzero"`
	}
	plainVirtual Virtual
	virtualJSON  struct {
		*plainVirtual
		Persistent *seconds `json:"persistent"`
		Timeout    *seconds `json:"timeout"`
		Reentry    *seconds `json:"reentry"`
		timingJSON
		SlowStart *seconds `json:"slow_start,omitzero"`
	}
	plainServer Server
	serverJSON  struct {
		*plainServer
		SlowStart *seconds `json:"slow_start,omitzero"`
	}
	plainCheck Check
	checkJSON  struct {
		*plainCheck
		Timeout *seconds `json:"timeout,omitzero"`
		timingJSON
	}
	plainVRRP VRRP
	vrrpJSON  struct {
		*plainVRRP
		AdvertInterval *seconds `json:"advert_interval"`
		PreemptDelay   *seconds `json:"preempt_delay,omitzero"`
		announcingJSON
	}

	timingJSON struct {
		Interval       *seconds `json:"interval,omitzero"`
		FastInterval   *seconds `json:"fast_interval,omitzero"`
		DownInterval   *seconds `json:"down_interval,omitzero"`
		ConnectTimeout *seconds `json:"connect_timeout,omitzero"`
		TLSTimeout     *seconds `json:"tls_timeout,omitzero"`
		ReadTimeout    *seconds `json:"read_timeout,omitzero"`
	}
	announcingJSON struct {
		GARPInterval *seconds `json:"garp_interval,omitzero"`
		GARPRefresh  *seconds `json:"garp_refresh,omitzero"`
	}
)

func (t *Timing) shadow() timingJSON {
	return timingJSON{
		(*seconds)(&t.Interval), (*seconds)(&t.FastInterval), (*seconds)(&t.DownInterval),
		(*seconds)(&t.ConnectTimeout), (*seconds)(&t.TLSTimeout), (*seconds)(&t.ReadTimeout),
	}
}

func (a *Announcing) shadow() announcingJSON {
	return announcingJSON{(*seconds)(&a.GARPInterval), (*seconds)(&a.GARPRefresh)}
}

func (c *Config) shadow() *configJSON {
	return &configJSON{
		(*plainConfig)(c), (*seconds)(&c.Keepalive), (*seconds)(&c.Deadtime),
		(*seconds)(&c.TCPTimeout), (*seconds)(&c.TCPFinTimeout), (*seconds)(&c.UDPTimeout),
		c.Announcing.shadow(), (*seconds)(&c.DrainTime),
	}
}

func (v *Virtual) shadow() *virtualJSON {
	return &virtualJSON{
		(*plainVirtual)(v), (*seconds)(&v.Persistent), (*seconds)(&v.Timeout), (*seconds)(&v.Reentry),
		v.Timing.shadow(), (*seconds)(&v.SlowStart),
	}
}

func (s *Server) shadow() *serverJSON {
	return &serverJSON{(*plainServer)(s), (*seconds)(&s.SlowStart)}
}

func (c *Check) shadow() *checkJSON {
	return &checkJSON{(*plainCheck)(c), (*seconds)(&c.Timeout), c.Timing.shadow()}
}

func (r *VRRP) shadow() *vrrpJSON {
	return &vrrpJSON{(*plainVRRP)(r), (*seconds)(&r.AdvertInterval), (*seconds)(&r.PreemptDelay), r.Announcing.shadow()}
}

// MarshalJSON writes the fields under the names of their directives, with
// durations as numbers of seconds.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.shadow()) }

// UnmarshalJSON reads what MarshalJSON writes; what is missing stays as it is.
func (c *Config) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, c.shadow()) }

// MarshalJSON writes the fields under the names of their directives, with
// durations as numbers of seconds.
func (v Virtual) MarshalJSON() ([]byte, error) { return json.Marshal(v.shadow()) }

// UnmarshalJSON reads what MarshalJSON writes; what is missing stays as it is.
func (v *Virtual) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, v.shadow()) }

// MarshalJSON writes the fields under the names of their directives, with
// durations as numbers of seconds.
func (s Server) MarshalJSON() ([]byte, error) { return json.Marshal(s.shadow()) }

// UnmarshalJSON reads what MarshalJSON writes; what is missing stays as it is.
func (s *Server) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, s.shadow()) }

// MarshalJSON writes the fields under the names of their directives, with
// durations as numbers of seconds.
func (c Check) MarshalJSON() ([]byte, error) { return json.Marshal(c.shadow()) }

// UnmarshalJSON reads what MarshalJSON writes. What is missing stays as it is,
// or has its default in a check without a name and kind: certificates are not
// taken unseen because a line is missing.
func (c *Check) UnmarshalJSON(text []byte) error {
	if c.Name == "" && c.Kind == CheckPiranha {
		*c = NewCheck("")
	}
	return json.Unmarshal(text, c.shadow())
}

// MarshalJSON writes the fields under the names of their directives, with
// durations as numbers of seconds.
func (r VRRP) MarshalJSON() ([]byte, error) { return json.Marshal(r.shadow()) }

// UnmarshalJSON reads what MarshalJSON writes. What is missing stays as it is,
// or has its default in a block without a name and version.
func (r *VRRP) UnmarshalJSON(text []byte) error {
	if r.Name == "" && r.Version == 0 {
		*r = NewVRRP("")
	}
	return json.Unmarshal(text, r.shadow())
}
