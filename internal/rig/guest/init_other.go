//go:build !linux

package guest

// Is reports false: guests run Linux.
func Is() bool { return false }

// Main does nothing: guests run Linux.
func Main() {}
