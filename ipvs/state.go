package ipvs

// Stats are the counters and rates of a service or a destination. The
// kernel totals them every two seconds, so a reading may be that old.
type Stats struct {
	Connections uint64 `json:"connections"`
	InPackets   uint64 `json:"in_packets"`
	OutPackets  uint64 `json:"out_packets"`
	InBytes     uint64 `json:"in_bytes"`
	OutBytes    uint64 `json:"out_bytes"`
	// Rates per second.
	CPS    uint64 `json:"connections_per_second"`
	InPPS  uint64 `json:"in_packets_per_second"`
	OutPPS uint64 `json:"out_packets_per_second"`
	InBPS  uint64 `json:"in_bytes_per_second"`
	OutBPS uint64 `json:"out_bytes_per_second"`
}

// ServiceState is a service as observed: its configuration and counters.
type ServiceState struct {
	Service
	Stats Stats `json:"stats"`
}

// DestinationState is a destination as observed.
type DestinationState struct {
	Destination
	// Active counts established connections, Inactive all others,
	// Persistent the persistence templates.
	Active     uint32 `json:"active"`
	Inactive   uint32 `json:"inactive"`
	Persistent uint32 `json:"persistent"`
	Stats      Stats  `json:"stats"`
}

// EntryState is a service with its destinations as observed.
type EntryState struct {
	Service      ServiceState       `json:"service"`
	Destinations []DestinationState `json:"destinations"`
}

// Snapshot is a whole table as observed, ordered by service key. Destinations
// keep the order of the data plane.
type Snapshot []EntryState

// Entry is a service with its destinations, as configuration.
type Entry struct {
	Service      Service       `json:"service"`
	Destinations []Destination `json:"destinations"`
}

// Table is a whole table as configuration: what Diff compares.
type Table []Entry

// Table returns the configuration that the snapshot observed.
func (s Snapshot) Table() Table {
	t := make(Table, len(s))
	for i, e := range s {
		ds := make([]Destination, len(e.Destinations))
		for j, d := range e.Destinations {
			ds[j] = d.Destination
		}
		t[i] = Entry{Service: e.Service.Service, Destinations: ds}
	}
	return t
}
