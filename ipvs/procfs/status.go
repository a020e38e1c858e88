package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/lvskit/lvskit/ipvs"
)

// Status is what /proc/net/ip_vs_status tells, in its order: fill and
// histograms of the hash tables of connections and services, and the state of
// the estimator threads. Linux has it from 7.1 on. Its lines differ with what
// there is to tell, so they are kept as texts.
type Status []StatusLine

// StatusLine is a line of the status.
type StatusLine struct {
	// Name is the text before the colon: "Conns", "Conn buckets".
	Name string `json:"name"`
	// Value is the text behind it, such as "256 (8 bits, lfactor -4)".
	Value string `json:"value"`
}

// Get returns the value of the first line of that name.
func (s Status) Get(name string) (value string, ok bool) {
	for _, l := range s {
		if l.Name == name {
			return l.Value, true
		}
	}
	return "", false
}

// ParseStatus reads the form of /proc/net/ip_vs_status. Every line with a
// name and a colon passes; another one is a [*LineError].
func ParseStatus(r io.Reader) (Status, error) {
	var s Status
	err := each(newLines(&bounded{r, maxFile}), func(line []byte) error {
		if len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if name = bytes.TrimSpace(name); !ok || len(name) == 0 {
			return errors.New("want NAME: VALUE")
		}
		s = append(s, StatusLine{string(name), string(bytes.TrimSpace(value))})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// App is an application helper that is registered on a port, such as the one
// that follows FTP's data connections.
type App struct {
	Protocol ipvs.Protocol `json:"protocol"`
	Port     uint16        `json:"port"`
	// Users is the number of connections that use it.
	Users int    `json:"users"`
	Name  string `json:"name"`
}

// ParseApps reads the form of /proc/net/ip_vs_app, which has decimal ports. A
// line at fault is a [*LineError].
func ParseApps(r io.Reader) ([]App, error) {
	l, err := openFile(r, "prot")
	if err != nil {
		return nil, err
	}
	var apps []App
	err = each(l, func(line []byte) error {
		var a App
		field, rest := cutField(line)
		var err error
		if a.Protocol, err = parseProtocol(field); err != nil {
			return err
		}
		field, rest = cutField(rest)
		port, ok := parseDecimal(field)
		if !ok || port > 0xffff {
			return fmt.Errorf("port %q: want 0..65535", field)
		}
		field, rest = cutField(rest)
		users, ok := parseDecimal(field)
		if !ok || users > 1<<31-1 {
			return fmt.Errorf("use count %q: want a number", field)
		}
		a.Port, a.Users, a.Name = uint16(port), int(users), string(bytes.TrimSpace(rest))
		if a.Name == "" {
			return errors.New("no name")
		}
		apps = append(apps, a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return apps, nil
}
