package ipvs

import (
	"encoding/json"
	"math"
	"time"
)

// serviceJSON is how a service looks in JSON: durations are whole seconds, as
// in the kernel and in ipvsadm.
type serviceJSON struct {
	Key                ServiceKey   `json:"key"`
	Scheduler          string       `json:"scheduler,omitempty"`
	Flags              ServiceFlags `json:"flags,omitempty"`
	PersistenceSeconds int64        `json:"persistence_seconds,omitempty"`
	PersistencePrefix  int          `json:"persistence_prefix,omitempty"`
	Engine             string       `json:"engine,omitempty"`
}

func (s Service) json() serviceJSON {
	return serviceJSON{s.Key, s.Scheduler, s.Flags, seconds(s.Persistence), s.PersistencePrefix, s.Engine}
}

func (j serviceJSON) service() Service {
	return Service{j.Key, j.Scheduler, j.Flags, fromSeconds(j.PersistenceSeconds), j.PersistencePrefix, j.Engine}
}

// MarshalJSON writes the service with its persistence in whole seconds,
// rounded up.
func (s Service) MarshalJSON() ([]byte, error) { return json.Marshal(s.json()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Service) UnmarshalJSON(b []byte) error {
	var j serviceJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*s = j.service()
	return nil
}

// stateJSON exists because the embedded Service would otherwise lend its
// MarshalJSON to the whole state and drop the counters.
type stateJSON struct {
	serviceJSON
	Stats Stats `json:"stats"`
}

// MarshalJSON writes the service's fields and its counters side by side.
func (s ServiceState) MarshalJSON() ([]byte, error) {
	return json.Marshal(stateJSON{s.Service.json(), s.Stats})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *ServiceState) UnmarshalJSON(b []byte) error {
	var j stateJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*s = ServiceState{j.service(), j.Stats}
	return nil
}

type timeoutsJSON struct {
	TCP    int64 `json:"tcp_seconds"`
	TCPFin int64 `json:"tcp_fin_seconds"`
	UDP    int64 `json:"udp_seconds"`
}

// MarshalJSON writes the timeouts in whole seconds, rounded up.
func (t Timeouts) MarshalJSON() ([]byte, error) {
	return json.Marshal(timeoutsJSON{seconds(t.TCP), seconds(t.TCPFin), seconds(t.UDP)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *Timeouts) UnmarshalJSON(b []byte) error {
	var j timeoutsJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*t = Timeouts{fromSeconds(j.TCP), fromSeconds(j.TCPFin), fromSeconds(j.UDP)}
	return nil
}

// fromSeconds is the longest duration for what does not fit one, so that
// Validate refuses it: the product could be anything.
func fromSeconds(n int64) time.Duration {
	const most = int64(math.MaxInt64 / time.Second)
	return time.Duration(min(max(n, -most), most)) * time.Second
}

func seconds(d time.Duration) int64 { return int64(roundUpSeconds(d) / time.Second) }
