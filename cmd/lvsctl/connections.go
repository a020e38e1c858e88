package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/procfs"
)

// connectionRows reads the kernel's connection table.
func connectionRows(netns string) iter.Seq2[procfs.Connection, error] {
	return func(yield func(procfs.Connection, error) bool) {
		ns, err := procfs.Open(netnsPath(netns))
		if err != nil {
			yield(procfs.Connection{}, err)
			return
		}
		defer ns.Close()
		ns.Connections()(yield)
	}
}

// listConnections prints the connection table row by row, as it may have
// millions.
func (h host) listConnections(c *cli.Context, keys []ipvs.ServiceKey, asJSON bool) error {
	for _, v := range views() {
		if c.Bool(v.flag) {
			return usagef("--connections and --%s are two listings: ask for one", v.flag)
		}
	}
	for _, key := range keys {
		if key.IsMark() {
			return usagef("the connection table does not tell firewall marks: leave %v out", key)
		}
	}
	w := bufio.NewWriterSize(c.App.Writer, 64<<10)
	print := printRow
	before, between, after := fmt.Sprintf(rowFormat, "PROTOCOL", "EXPIRES", "STATE", "CLIENT", "SERVICE", "SERVER"), "", ""
	if asJSON {
		print = printRowJSON
		before, between, after = "{\n  \"schema\": \"lvskit.connections/v1\",\n  \"connections\": [", ",", "\n  ]\n}\n"
	}
	io.WriteString(w, before) //nolint:errcheck // kept by the writer for Flush
	var odd failures
	first := true
	for row, err := range h.connections(c.String("netns")) {
		if line, ok := errors.AsType[*procfs.LineError](err); ok {
			odd.add(fmt.Errorf("connection table: %w", line))
			continue
		}
		if err != nil {
			if first { // nothing was shown, so not the heading either
				return err
			}
			return errors.Join(w.Flush(), err)
		}
		if err := c.Context.Err(); err != nil {
			return err
		}
		if !slices.ContainsFunc(keys, func(k ipvs.ServiceKey) bool { return carries(k, &row) }) && len(keys) > 0 {
			continue
		}
		if !first {
			io.WriteString(w, between)
		}
		first = false
		if err := print(w, &row); err != nil {
			return err
		}
	}
	io.WriteString(w, after)
	return errors.Join(w.Flush(), odd.err())
}

// carries tells whether a connection is one of a service; a service with
// port 0 has all ports.
func carries(k ipvs.ServiceKey, row *procfs.Connection) bool {
	return k.Protocol == row.Protocol && k.Addr.Addr() == row.Virtual.Addr() && (k.Addr.Port() == row.Virtual.Port() || k.Addr.Port() == 0)
}

// rowFormat has room for IPv4; longer addresses move what follows.
const rowFormat = "%-8s  %7s  %-11s  %-21s  %-21s  %s\n"

func printRow(w io.Writer, row *procfs.Connection) error {
	protocol, client, virtual := row.Protocol.String(), row.Client.String(), row.Virtual.String()
	if row.Protocol == 0 {
		protocol = "any"
	}
	if mark, ok := row.Mark(); ok {
		virtual = "fwmark/" + strconv.FormatUint(uint64(mark), 10)
	}
	server := row.Destination.String()
	if row.PEName != "" {
		server += "  " + row.PEName + " " + strconv.Quote(row.PEData)
	}
	_, err := fmt.Fprintf(w, rowFormat, protocol, row.Expires, row.State, client, virtual, server)
	return err
}

func printRowJSON(w io.Writer, row *procfs.Connection) error {
	line, err := json.Marshal(row)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n    %s", line)
	return err
}
