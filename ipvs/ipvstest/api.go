package ipvstest

import (
	"context"
	"iter"

	"github.com/lvskit/lvskit/ipvs"
)

// API is all that [ipvs.Client] offers. It serves the conformance suite;
// programs better declare the few methods that they use.
type API interface {
	AddService(context.Context, ipvs.Service) error
	SetService(context.Context, ipvs.Service) error
	DelService(context.Context, ipvs.ServiceKey) error
	Service(context.Context, ipvs.ServiceKey) (ipvs.ServiceState, error)
	Services(context.Context) iter.Seq2[ipvs.ServiceState, error]
	UpdateService(context.Context, ipvs.ServiceKey, ipvs.ServiceUpdate) error
	AddDestination(context.Context, ipvs.ServiceKey, ipvs.Destination) error
	SetDestination(context.Context, ipvs.ServiceKey, ipvs.Destination) error
	UpdateDestination(context.Context, ipvs.ServiceKey, ipvs.DestinationKey, ipvs.DestinationUpdate) error
	DelDestination(context.Context, ipvs.ServiceKey, ipvs.DestinationKey) error
	Destinations(context.Context, ipvs.ServiceKey) iter.Seq2[ipvs.DestinationState, error]
	Snapshot(context.Context) (ipvs.Snapshot, error)
	Apply(context.Context, []ipvs.Change) error
	ApplyUntilFailure(context.Context, []ipvs.Change) error
	Timeouts(context.Context) (ipvs.Timeouts, error)
	SetTimeouts(context.Context, ipvs.Timeouts) error
	Info(context.Context) (ipvs.Info, error)
	StartSync(context.Context, ipvs.SyncDaemon) error
	StopSync(context.Context, ipvs.SyncRole) error
	SyncDaemons(context.Context) ([]ipvs.SyncDaemon, error)
	Zero(context.Context, ipvs.ServiceKey) error
	ZeroAll(context.Context) error
	DeleteEverything(context.Context) error
	Close() error
}

var (
	_ API = (*ipvs.Client)(nil)
	_ API = (*Kernel)(nil)
)
