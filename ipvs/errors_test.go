package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestErrnoTable(t *testing.T) {
	// Each row of the table: for which command which errno means what.
	tests := []struct {
		op    Op
		errno syscall.Errno
		is    []error
		hint  string // a part of it
	}{
		{OpAddDestination, syscall.EEXIST, []error{ErrDestinationExists, fs.ErrExist}, "changed instead"},
		{OpStartSync, syscall.EEXIST, []error{ErrSyncRunning, fs.ErrExist}, "stop it first"},
		{OpStopSync, syscall.ESRCH, []error{ErrSyncNotRunning, fs.ErrNotExist}, ""},
		{OpStartSync, syscall.ENODEV, []error{ErrNoInterface, fs.ErrNotExist}, "ip link"},
		{OpStartSync, syscall.EINVAL, []error{ErrInvalid, fs.ErrInvalid}, "multicast"},
		{OpStartSync, syscall.ENETUNREACH, nil, "an address of the group's family"},
		{OpStartSync, syscall.EADDRNOTAVAIL, nil, "an address of the group's family"},
		{OpAddService, syscall.EEXIST, []error{ErrServiceExists, fs.ErrExist}, "changed instead"},
		{OpSetService, syscall.ESRCH, []error{ErrServiceNotFound, fs.ErrNotExist}, "list the services"},
		{OpSetDestination, syscall.ENOENT, []error{ErrDestinationNotFound, fs.ErrNotExist}, "list the service's"},
		{OpSetService, syscall.ENOENT, []error{ErrSchedulerNotFound, fs.ErrNotExist}, "ip_vs_"},
		{OpDial, syscall.ENOENT, []error{ErrNoIPVS, errors.ErrUnsupported}, "modprobe ip_vs"},
		{OpListServices, syscall.EPERM, []error{ErrNotPermitted, fs.ErrPermission}, "CAP_NET_ADMIN in the initial user namespace"},
		{OpListServices, syscall.EACCES, []error{ErrNotPermitted, fs.ErrPermission}, "CAP_NET_ADMIN in the initial user namespace"},
		{OpAddDestination, syscall.EINVAL, []error{ErrInvalid, fs.ErrInvalid}, "ip link set lo up"},
		{OpSetTimeouts, syscall.EINVAL, []error{ErrInvalid, fs.ErrInvalid}, "31 bits"},
		{OpZero, syscall.EINVAL, []error{ErrInvalid, fs.ErrInvalid}, ""},
		{OpAddDestination, syscall.ERANGE, []error{ErrInvalid, fs.ErrInvalid}, "weight"},
		{OpAddService, syscall.EAFNOSUPPORT, []error{ErrNotSupported, errors.ErrUnsupported}, "IPv6"},
		{OpInfo, syscall.EOPNOTSUPP, []error{ErrNotSupported, errors.ErrUnsupported}, "command"},
		{OpDial, syscall.EPROTONOSUPPORT, []error{ErrNoIPVS, errors.ErrUnsupported}, "generic netlink"},
		{OpListServices, syscall.EBUSY, nil, "another listing"},
		{OpApply, syscall.EMSGSIZE, nil, "wmem_default"},
		{OpApply, syscall.ENOBUFS, nil, "rmem_default"},
		{OpInfo, syscall.ENOPROTOOPT, nil, "being removed"},
		{OpInfo, syscall.ENOMEM, nil, "memory"},
	}
	if len(tests) != len(errnoTable) {
		t.Errorf("%d tests for %d rows", len(tests), len(errnoTable))
	}
	all := []error{
		ErrServiceExists, ErrServiceNotFound, ErrDestinationExists, ErrDestinationNotFound, ErrSchedulerNotFound,
		ErrSyncRunning, ErrSyncNotRunning, ErrNoInterface,
		ErrNotPermitted, ErrNoIPVS, ErrInvalid, ErrNotSupported, ErrStateUnknown,
	}
	for i, test := range tests {
		t.Run(fmt.Sprintf("%v %v", test.op, test.errno), func(t *testing.T) {
			if row := errnoTable[i]; row.errno != test.errno || row.on != nil && !row.on(test.op) {
				t.Errorf("row %d is of %v", i, row.errno)
			}
			var err error = &OpError{Op: test.op, Service: MarkService(1), Err: test.errno}
			if !errors.Is(err, test.errno) {
				t.Error("the errno is out of reach")
			}
			for _, target := range test.is {
				if !errors.Is(err, target) {
					t.Errorf("is not %q", target)
				}
			}
			for _, target := range all {
				if errors.Is(err, target) && (len(test.is) == 0 || target != test.is[0]) {
					t.Errorf("is %q as well", target)
				}
			}
			hint := err.(*OpError).Hint()
			if !strings.Contains(hint, test.hint) || (hint == "") != (test.hint == "") {
				t.Errorf("hint %q, want one with %q", hint, test.hint)
			}
			if !strings.Contains(err.Error(), hint) || !strings.Contains(err.Error(), test.errno.Error()) {
				t.Errorf("text %q lacks the hint or the errno", err)
			}
		})
	}
}

func TestOpErrorText(t *testing.T) {
	key, dest := TCPService(ap("192.0.2.1:80")), ap("10.0.0.1:80")
	_, validate := appendChange(nil, 1, 1, &Change{Op: OpAddDestination, Service: Service{Key: key}, Destination: Destination{Key: dest, Weight: -1}})
	tests := []struct {
		err  *OpError
		want string
	}{
		{
			&OpError{OpSetDestination, key, dest, syscall.ENOENT},
			"ipvs: set destination 10.0.0.1:80 of tcp/192.0.2.1:80: no such destination (" + syscall.ENOENT.Error() + "); list the service's destinations to see what is there",
		},
		{
			&OpError{Op: OpDial, Err: syscall.ENOENT},
			"ipvs: open: this kernel offers no IPVS (" + syscall.ENOENT.Error() + "); the look-up has already made the kernel ask for the module ip_vs, and it did not come: module loading is off (often so in containers), the module is not installed, or the kernel is built without CONFIG_IP_VS; try modprobe ip_vs on the host, and a line ip_vs in /etc/modules-load.d to keep it",
		},
		{&OpError{Op: OpGetService, Service: MarkService(3), Err: context.Canceled}, "ipvs: get service fwmark/3: context canceled"},
		{
			&OpError{OpAddDestination, key, dest, validate},
			"ipvs: add destination 10.0.0.1:80 of tcp/192.0.2.1:80: weight -1: want 0..2147483647: " + syscall.ERANGE.Error(),
		},
		{
			&OpError{Op: OpApply, Err: outcome(&unanswered{os.NewSyscallError("receive", syscall.ENOBUFS)})},
			"ipvs: apply changes: outcome unknown, read the table again: receive: " + syscall.ENOBUFS.Error() + "; the receive buffer overflowed: raise net.core.rmem_default",
		},
	}
	for _, test := range tests {
		if got := test.err.Error(); got != test.want {
			t.Errorf("text\n got %s\nwant %s", got, test.want)
		}
	}
}

func TestApplyErrorText(t *testing.T) {
	e := &ApplyError{Applied: 5, Unknown: 2, Unsent: 1, Cause: &OpError{Op: OpApply, Err: ErrStateUnknown}}
	for i := range 5 {
		e.Failed = append(e.Failed, &OpError{Op: OpDelService, Service: MarkService(uint32(i + 1)), Err: syscall.ESRCH})
	}
	want := "ipvs: apply changes: 5 applied, 5 failed, 2 unknown, 1 not sent: apply changes: outcome unknown, read the table again" +
		"; delete service fwmark/1: no such service (" + syscall.ESRCH.Error() + "); list the services to see what is there" +
		"; delete service fwmark/2: no such service (" + syscall.ESRCH.Error() + "); list the services to see what is there" +
		"; delete service fwmark/3: no such service (" + syscall.ESRCH.Error() + "); list the services to see what is there; and 2 more"
	if got := e.Error(); got != want {
		t.Errorf("text\n got %s\nwant %s", got, want)
	}
	if !errors.Is(e, ErrStateUnknown) || !errors.Is(e, ErrServiceNotFound) || errors.Is(e, ErrInvalid) {
		t.Error("the error is not what its parts are")
	}
}
