package lvscf

// Is6 reports whether the service takes IPv6 packets, which are other services
// for the kernel even where the mark is the same: by its address, or else, as
// a mark needs none, by its first server with an address, or else by
// SorryServer. Names that were not looked up count for IPv4.
func (v *Virtual) Is6() bool {
	addr := v.Address.Addr
	for i := range v.Servers {
		if !addr.IsValid() {
			addr = v.Servers[i].Address.Addr
		}
	}
	if !addr.IsValid() {
		addr = v.SorryServer
	}
	return addr.Is6()
}
