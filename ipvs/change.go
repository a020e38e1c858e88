package ipvs

// Op is the kind of one change of a table.
type Op uint8

// The kinds of change.
const (
	OpAddService Op = iota + 1
	OpSetService
	OpDelService
	OpAddDestination
	OpSetDestination
	OpDelDestination
)

// Change is one command that alters a table.
type Change struct {
	Op Op
	// Service is the service that is changed or that holds the destination;
	// changes of destinations and OpDelService read only its Key.
	Service Service
	// Destination is read by the destination changes; OpDelDestination
	// reads only its Key.
	Destination Destination
}
