package convert

// KeepalivedOptions are what a keepalived.conf depends on beside its text. The
// zero value reads no other files and stands for no machine.
type KeepalivedOptions struct {
	// ImportOptions has the device for virtual addresses that the file leaves
	// to the system; empty is that of the only vrrp_instance, or eth0.
	ImportOptions
	// ConfigID is the word that lines starting with @ are compared with:
	// keepalived's --config-id, by default the first part of the machine's
	// name. When empty only lines with @^ are read, and each line with a
	// condition is listed as a loss.
	ConfigID string
	// Include returns the files that an include line names, by a pattern
	// relative to the folder of the including file; none is no error. It may
	// be nil: include lines are then losses. See [IncludeFrom].
	Include func(folder, pattern string) ([]Included, error)
}

// parseKeepalived reads a keepalived.conf as a tree. Faults and losses are
// entered into the lists given.
func parseKeepalived(name string, src []byte, opt KeepalivedOptions, l *ledger, f *faults) []*statement {
	t := &treeBuilder{faults: f}
	r := &lineReader{opt: opt, emit: t.line, ledger: l, faults: f, defs: map[string]string{}}
	r.file(name, src, 0)
	if r.stopped {
		return nil
	}
	return t.finish()
}
