package lvscf

import (
	"encoding/json"
	"time"
)

// seconds is a duration as the language has it: a whole number.
type seconds time.Duration

func (s seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(int64(time.Duration(s) / time.Second))
}

func (s *seconds) UnmarshalJSON(text []byte) error {
	var n int32
	if err := json.Unmarshal(text, &n); err != nil {
		return err
	}
	*s = seconds(time.Duration(n) * time.Second)
	return nil
}

// The outer fields of these two hide the embedded ones of the same name.
type (
	plainConfig Config
	configJSON  struct {
		*plainConfig
		Keepalive     *seconds `json:"keepalive"`
		Deadtime      *seconds `json:"deadtime"`
		TCPTimeout    *seconds `json:"tcp_timeout"`
		TCPFinTimeout *seconds `json:"tcpfin_timeout"`
		UDPTimeout    *seconds `json:"udp_timeout"`
	}
	plainVirtual Virtual
	virtualJSON  struct {
		*plainVirtual
		Persistent *seconds `json:"persistent"`
		Timeout    *seconds `json:"timeout"`
		Reentry    *seconds `json:"reentry"`
	}
)

func (c *Config) shadow() *configJSON {
	return &configJSON{
		(*plainConfig)(c), (*seconds)(&c.Keepalive), (*seconds)(&c.Deadtime),
		(*seconds)(&c.TCPTimeout), (*seconds)(&c.TCPFinTimeout), (*seconds)(&c.UDPTimeout),
	}
}

func (v *Virtual) shadow() *virtualJSON {
	return &virtualJSON{(*plainVirtual)(v), (*seconds)(&v.Persistent), (*seconds)(&v.Timeout), (*seconds)(&v.Reentry)}
}

// MarshalJSON writes the fields under the names of their directives, with
// durations in whole seconds.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.shadow()) }

// UnmarshalJSON reads what MarshalJSON writes; what is missing stays as it is.
func (c *Config) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, c.shadow()) }

// MarshalJSON writes the fields under the names of their directives, with
// durations in whole seconds.
func (v Virtual) MarshalJSON() ([]byte, error) { return json.Marshal(v.shadow()) }

// UnmarshalJSON reads what MarshalJSON writes; what is missing stays as it is.
func (v *Virtual) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, v.shadow()) }
