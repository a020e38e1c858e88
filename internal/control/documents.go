package control

import (
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
)

// The schema strings stand in each document's first field. A change that
// breaks a reader gets a new number.
const (
	StatusSchema = "lvskit.status/v1"
	ListSchema   = "lvskit.list/v1"
)

// Status says what the daemon does and why.
type Status struct {
	Schema    string    `json:"schema"`
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	Started   time.Time `json:"started"`
	Config    Config    `json:"config"`
	Dataplane Dataplane `json:"dataplane"`
	Role      Role      `json:"role"`
	Services  []Service `json:"services"`
	// Notes are what an operator should know: directives without effect, a
	// table change that failed, a forwarding switch that is off.
	Notes []string `json:"notes"`
}

// Config is the configuration in force.
type Config struct {
	Source string    `json:"source"`
	Serial int       `json:"serial"`
	Digest string    `json:"digest"`
	Loaded time.Time `json:"loaded"`
	// ReloadError says why the last reload was refused; empty when the file
	// on disk is the one in force.
	ReloadError string `json:"reload_error,omitempty"`
}

// Dataplane is what carries the traffic.
type Dataplane struct {
	// Kind is "kernel" or "userspace".
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
	// Error is the last attempt to change the table, if it failed.
	Error string `json:"error,omitempty"`
	// Changes counts the commands that changed the table since the start.
	Changes uint64 `json:"changes"`
}

// Role is this director's part among its routers.
type Role struct {
	// Mode is "pulse", the heartbeats of a pair, or "vrrp".
	Mode string `json:"mode"`
	// Role is "init", "backup", "active", "fault" or "leaving". With VRRP it is
	// active if any of Routers is, and Reason and Since are of one that is so.
	Role   string    `json:"role"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Identity is "primary", "backup" or "alone".
	Identity string    `json:"identity"`
	Partner  *Partner  `json:"partner,omitempty"`
	Channels []Channel `json:"channels"`
	// Routers are those of VRRP, in the order of the file.
	Routers []Router `json:"routers,omitempty"`
	// Addresses are the floating addresses and whether this node holds them:
	// with VRRP those of routers that are active or still serve, or all if none
	// does.
	Addresses     []string `json:"addresses"`
	AddressesHeld bool     `json:"addresses_held"`
	// Unreachable says of each device that is down or has no carrier which of
	// the addresses that are held here nobody reaches for that, and what helps.
	Unreachable []string `json:"unreachable,omitempty"`
	// Routes move with the addresses; with VRRP they are with the routers.
	Routes []string `json:"routes,omitempty"`
	// Error is the trouble with taking or giving back the addresses.
	Error string `json:"error,omitempty"`
	// Rival tells that both routers are active.
	Rival bool `json:"rival"`
	// PartnerRefused is why the partner's heartbeats are not believed right
	// now, empty when they are: both routers may be active meanwhile.
	PartnerRefused string `json:"partner_refused,omitempty"`
	// Refused counts heartbeats, or adverts of VRRP, that were not believed, by
	// reason, and RefusedAt is when the last one of each came.
	Refused   map[string]uint64    `json:"refused"`
	RefusedAt map[string]time.Time `json:"refused_at,omitempty"`
	// Beat is the process that the election runs in.
	Beat Beat `json:"beat"`
	// Tracked is what this director needs to serve, and whether it has it.
	Tracked []Tracked `json:"tracked,omitempty"`
	// Legacy tells that the partner is spoken to by Piranha's heartbeat, which is
	// not authenticated.
	Legacy bool `json:"legacy,omitempty"`
	// HandOver is how far a hand-over has come, empty while there is none.
	HandOver string `json:"hand_over,omitempty"`
	// Sightings are what others did to the addresses while they were held here,
	// the last of each kind for each address.
	Sightings []Sighting `json:"sightings,omitempty"`
	// SyncDaemons are the kernel's connection synchronisation as far as it runs
	// for the configuration, SyncError is the trouble with it.
	SyncDaemons []string `json:"sync_daemons,omitempty"`
	SyncError   string   `json:"sync_error,omitempty"`
}

// Beat is where the election runs.
type Beat struct {
	// Mode is "process" or "inline", which is this process, for the Reason
	// given.
	Mode   string `json:"mode"`
	Reason string `json:"reason,omitempty"`
	// PID is that of the process, 0 while there is none; Since it runs, and
	// Starts counts how often one was started.
	PID    int        `json:"pid,omitempty"`
	Since  *time.Time `json:"since,omitempty"`
	Starts uint64     `json:"starts,omitempty"`
	// Priority is what it runs with, as "real-time 10", and MemoryLocked that
	// its memory is never paged out.
	Priority     string `json:"priority,omitempty"`
	MemoryLocked bool   `json:"memory_locked,omitempty"`
	// Limits say what is not permitted here, what is lost by it, and what
	// mends it.
	Limits []string `json:"limits,omitempty"`
	// Error is why there is no process, or why the last one ended.
	Error string `json:"error,omitempty"`
}

// Tracked is something that a director or a router of it needs.
type Tracked struct {
	Name string `json:"name"`
	// Router is the router of VRRP that needs it, empty for the director.
	Router string `json:"router,omitempty"`
	// OK and Since; nil if it was not looked at yet.
	OK    bool       `json:"ok"`
	Since *time.Time `json:"since,omitempty"`
	Error string     `json:"error,omitempty"`
}

// Sighting is something that others did to a floating address.
type Sighting struct {
	At time.Time `json:"at"`
	// Kind is "address-removed", "address-claimed", "address-duplicate" or
	// "address-unbelieved", with the address and the reason in words.
	Kind    string `json:"kind"`
	Address string `json:"address"`
	Reason  string `json:"reason"`
	// Count is how often it was told since the start.
	Count uint64 `json:"count"`
}

// Router is one virtual router of VRRP. Role, Reason and Since are as in Role.
type Router struct {
	Name string `json:"name"`
	// Group is its sync group, empty for none.
	Group  string    `json:"group,omitempty"`
	Role   string    `json:"role"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`

	VRID    uint8  `json:"vrid"`
	Device  string `json:"device"`
	Version uint8  `json:"version"`
	// Source is the address that adverts are sent from, empty while none can
	// be.
	Source string `json:"source,omitempty"`
	// Priority is the effective one.
	Priority uint8 `json:"priority"`
	// IntervalMS is between two of our adverts; after DownMS of silence the
	// active router counts as gone.
	IntervalMS float64 `json:"interval_ms"`
	DownMS     float64 `json:"down_ms"`
	// Active is another router that is active, empty if none was heard. While
	// this one is active it is a rival.
	Active         string `json:"active,omitempty"`
	ActivePriority uint8  `json:"active_priority,omitempty"`
	Rival          bool   `json:"rival"`
	// Addresses move with it; they are held here while it is active, and until
	// the router that takes over serves.
	Addresses     []string `json:"addresses"`
	AddressesHeld bool     `json:"addresses_held"`
	// Routes move with the addresses.
	Routes []string `json:"routes,omitempty"`
	// Error is the trouble with the device, with sending or with addresses.
	Error string `json:"error,omitempty"`
	// Peers are the routers that were heard, the latest last.
	Peers []RouterPeer `json:"peers"`
	// Refused counts adverts that were not believed, by reason.
	Refused  map[string]uint64 `json:"refused"`
	Sent     uint64            `json:"sent"`
	Received uint64            `json:"received"`
	// Stalls counts how often this process stood still for longer than an
	// interval.
	Stalls uint64 `json:"stalls"`
}

// RouterPeer is another router of VRRP as its adverts describe it.
type RouterPeer struct {
	Address    string    `json:"address"`
	LastHeard  time.Time `json:"last_heard"`
	Priority   uint8     `json:"priority"`
	Version    uint8     `json:"version"`
	IntervalMS float64   `json:"interval_ms"`
	// Mismatch says in what its configuration differs, with what mends it.
	Mismatch []string `json:"mismatch,omitempty"`
}

// Partner is the other router as its heartbeats describe it.
type Partner struct {
	Role string `json:"role"`
	// Alive: heard on at least one channel; HearsUs: it says that it hears
	// this router.
	Alive   bool `json:"alive"`
	HearsUs bool `json:"hears_us"`
	// Serving: it holds the addresses, and its neighbours know.
	Serving       bool `json:"serving"`
	ConfigDiffers bool `json:"config_differs"`
	// ClockOffsetMS is how far its clock of day is ahead of ours; ClocksDiffer
	// tells that this is more than a second.
	ClockOffsetMS float64 `json:"clock_offset_ms"`
	ClocksDiffer  bool    `json:"clocks_differ"`
	// Verdicts is how many servers it told the state of, VerdictsAgeMS how long
	// ago.
	Verdicts      int     `json:"verdicts"`
	VerdictsAgeMS float64 `json:"verdicts_age_ms"`
	// Differences are the first of them, from our value to the partner's, and
	// MoreDifferences counts the others. DifferencesUnknown says why there are
	// none here although the configurations differ.
	Differences        []string `json:"differences,omitempty"`
	MoreDifferences    int      `json:"more_differences,omitempty"`
	DifferencesUnknown string   `json:"differences_unknown,omitempty"`
}

// Channel is one heartbeat path.
type Channel struct {
	Name      string     `json:"name"`
	Local     string     `json:"local"`
	Peer      string     `json:"peer"`
	Up        bool       `json:"up"`
	LastHeard *time.Time `json:"last_heard,omitempty"`
	Error     string     `json:"error,omitempty"`
}

// Service is one virtual service with its servers.
type Service struct {
	Name    string          `json:"name"`
	Key     ipvs.ServiceKey `json:"key"`
	InTable bool            `json:"in_table"`
	Reason  string          `json:"reason"`
	Sorry   string          `json:"sorry,omitempty"`
	// SorryUsed tells that a sorry server takes the clients now; SorryServers
	// are all of them in their order.
	SorryUsed    bool     `json:"sorry_used,omitempty"`
	SorryServers []Server `json:"sorry_servers,omitempty"`
	Quorum       Quorum   `json:"quorum"`
	Servers      []Server `json:"servers"`
}

// Quorum is whether a service has enough live servers.
type Quorum struct {
	// State is "gained", "lost" or "undecided", and Since when; nil while this
	// router does not serve and only tells what it would decide.
	State string     `json:"state"`
	Since *time.Time `json:"since,omitempty"`
	// Live is the live weight; below Need a gained quorum is lost, and at
	// Need a lost one is gained.
	Live int64 `json:"live"`
	Need int64 `json:"need"`
	// Why is both in words.
	Why string `json:"why"`
}

// Server is one real server and the reason of its state.
type Server struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// State is "up", "down" or "unknown".
	State  string     `json:"state"`
	Reason string     `json:"reason"`
	Since  *time.Time `json:"since,omitempty"`
	// InTable and Weight tell how it stands in the table right now.
	InTable bool `json:"in_table"`
	Weight  int  `json:"weight"`
	// Why says in one line why it has this weight or none, WhySince since when
	// that is so; nil while this router does not serve.
	Why      string     `json:"why"`
	WhySince *time.Time `json:"why_since,omitempty"`
	// Load is what the server's load was when it was asked for last, nil if
	// that did not tell it; LoadReason is the answer in words, or why there
	// is none. Both are empty where no load is asked for.
	Load       *health.Load `json:"load,omitempty"`
	LoadReason string       `json:"load_reason,omitempty"`
	// Check describes the question; Results are the last answers, newest
	// last.
	Check   string   `json:"check"`
	Results []Result `json:"results"`
	// Good and Bad are the answers of one kind in a row, one of them 0.
	Good int `json:"good"`
	Bad  int `json:"bad"`
	// NoticedMS is the longest time from the server's death to its state down.
	NoticedMS float64 `json:"noticed_ms"`
}

// Result is one answer of a health check.
type Result struct {
	At      time.Time `json:"at"`
	Verdict string    `json:"verdict"`
	Reason  string    `json:"reason"`
	TookMS  float64   `json:"took_ms"`
	// Phases are the steps of the check, the failed one included, and Seen is
	// the beginning of the answer, with escapes for what is not printable.
	Phases []Phase `json:"phases,omitempty"`
	Seen   string  `json:"seen,omitempty"`
	// Weight is one that the check proposes; nil is none.
	Weight *int `json:"weight,omitempty"`
}

// Phase is one step of a check.
type Phase struct {
	Name   string  `json:"name"`
	TookMS float64 `json:"took_ms"`
}

// List is the data plane's table with counters.
type List struct {
	Schema    string      `json:"schema"`
	Dataplane string      `json:"dataplane"`
	Services  []ListEntry `json:"services"`
}

// ListEntry is one service of a List. Names are those of the configuration,
// empty for what it does not know.
type ListEntry struct {
	Name         string            `json:"name,omitempty"`
	Key          ipvs.ServiceKey   `json:"key"`
	Service      ipvs.Service      `json:"service"`
	Stats        ipvs.Stats        `json:"stats"`
	Destinations []ListDestination `json:"destinations"`
}

// ListDestination is one destination of a List.
type ListDestination struct {
	Name string `json:"name,omitempty"`
	ipvs.DestinationState
}

// NewList makes the document of a table. names gives the configuration's
// name of a service, or of a destination of it when the key is valid; nil
// knows none.
func NewList(dataplane string, snap ipvs.Snapshot, names func(ipvs.ServiceKey, ipvs.DestinationKey) string) *List {
	if names == nil {
		names = func(ipvs.ServiceKey, ipvs.DestinationKey) string { return "" }
	}
	l := &List{Schema: ListSchema, Dataplane: dataplane, Services: make([]ListEntry, 0, len(snap))}
	for _, e := range snap {
		key := e.Service.Key
		entry := ListEntry{
			Name: names(key, ipvs.DestinationKey{}), Key: key,
			Service: e.Service.Service, Stats: e.Service.Stats,
			Destinations: make([]ListDestination, 0, len(e.Destinations)),
		}
		for _, d := range e.Destinations {
			entry.Destinations = append(entry.Destinations, ListDestination{Name: names(key, d.Key), DestinationState: d})
		}
		l.Services = append(l.Services, entry)
	}
	return l
}
