package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/failover"
)

func announceCommand() *cli.Command {
	return &cli.Command{
		Name:  "announce",
		Usage: "tell the neighbours that addresses are here (send_arp)",
		Description: `Sends a gratuitous ARP for each IPv4 address and an unsolicited neighbour
advertisement for each IPv6 address, as a take-over does, from the device that
has the address or from --device. Neighbours that still believe another machine
send to this one from then on.

An address that this machine does not have is refused: its traffic would come
here and go nowhere. --absent announces it all the same, which needs --device.

  lvsctl announce 192.0.2.10
  lvsctl announce --count 5 --interval 1s 192.0.2.10 2001:db8::10
  lvsctl announce --absent --device eth0 192.0.2.10`,
		ArgsUsage: "ADDRESS...",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "device", Aliases: []string{"i"}, Usage: "send on the device `NAME`, such as eth0, in place of that with the address"},
			&cli.IntFlag{Name: "count", Value: 1, Usage: "announce `N` times, 1 to 1000"},
			&cli.DurationFlag{Name: "interval", Value: time.Second, Usage: "`TIME` between two announcements, 10ms to 1h"},
			&cli.BoolFlag{Name: "absent", Usage: "announce also what this machine does not have"},
			outputFlag(),
		},
		Action: func(c *cli.Context) error {
			asJSON, err := wantJSON(c)
			if err != nil {
				return err
			}
			addrs, err := announced(c)
			if err != nil {
				return err
			}
			owner, err := failover.NewAddresses(&failover.AddressesConfig{Addresses: addrs})
			if errors.Is(err, errors.ErrUnsupported) {
				return fmt.Errorf("announce works on Linux only: %w", err)
			}
			if err != nil {
				return usagef("%v", err)
			}
			count, interval := c.Int("count"), c.Duration("interval")
			if err := repeat(c.Context, count, interval, owner.Announce); err != nil {
				return err
			}
			if !asJSON {
				return nil
			}
			return writeJSON(c.App.Writer, struct {
				Schema    string                    `json:"schema"`
				Addresses []failover.VirtualAddress `json:"addresses"`
				Count     int                       `json:"count"`
			}{"lvskit.announce/v1", addrs, count})
		},
	}
}

// announced reads the arguments and finds the device of each address.
func announced(c *cli.Context) ([]failover.VirtualAddress, error) {
	if !c.Args().Present() {
		return nil, usagef(`announce needs an address (see "lvsctl announce --help")`)
	}
	if n := c.Int("count"); n < 1 || n > 1000 {
		return nil, usagef("--count %d: want 1 to 1000", n)
	}
	if d := c.Duration("interval"); d < 10*time.Millisecond || d > time.Hour {
		return nil, usagef("--interval %v: want 10ms to 1h", d)
	}
	device := c.String("device")
	if device != "" {
		if _, err := net.InterfaceByName(device); err != nil {
			if op := (*net.OpError)(nil); errors.As(err, &op) {
				err = op.Err // without the words for what was called
			}
			return nil, fmt.Errorf("--device %s: %w; %s", device, err, deviceList())
		}
	} else if c.Bool("absent") {
		return nil, usagef("--absent needs --device NAME: an address that is not here does not tell where to announce it")
	}
	var addrs []failover.VirtualAddress
	for _, text := range c.Args().Slice() {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return nil, usagef("%q is no address: want one such as 192.0.2.10 or 2001:db8::10", text)
		}
		addr = addr.Unmap()
		on, err := deviceOf(addr)
		if err != nil {
			return nil, err
		}
		if on == "" && !c.Bool("absent") {
			return nil, fmt.Errorf("%v is not on this machine: its traffic would come here and go nowhere; announce it where it is, or say --absent --device NAME", addr)
		}
		if device != "" {
			on = device
		}
		addrs = append(addrs, failover.VirtualAddress{Prefix: netip.PrefixFrom(addr, addr.BitLen()), Device: on})
	}
	for _, a := range addrs {
		if ifi, err := net.InterfaceByName(a.Device); err == nil && len(ifi.HardwareAddr) != 6 {
			return nil, fmt.Errorf("%v is on %s, which has no neighbours to tell: name another device with --device", a.Prefix.Addr(), a.Device)
		}
	}
	return addrs, nil
}

// deviceOf returns the device that has an address, empty if none has.
func deviceOf(addr netip.Addr) (string, error) {
	devices, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list the devices of this machine: %w", err)
	}
	for _, d := range devices {
		list, err := d.Addrs()
		if err != nil {
			return "", fmt.Errorf("list the addresses of %s: %w", d.Name, err)
		}
		for _, a := range list {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().WithZone("") == addr {
				return d.Name, nil
			}
		}
	}
	return "", nil
}

func deviceList() string {
	devices, err := net.Interfaces()
	if err != nil {
		return "the devices cannot be listed"
	}
	var names []string
	for _, d := range devices {
		names = append(names, d.Name)
	}
	return "there are " + strings.Join(names, ", ")
}

// repeat calls f so many times, with pauses between.
func repeat(ctx context.Context, count int, interval time.Duration, f func(context.Context) error) error {
	for i := range count {
		if i > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(interval):
			}
		}
		if err := f(ctx); err != nil {
			return err
		}
	}
	return nil
}
