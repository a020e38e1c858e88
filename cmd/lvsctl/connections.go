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
	netns, err := netnsOf(c)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(c.App.Writer, 64<<10)
	appendTo := appendRow
	before, between, after := rowHeading, "", ""
	if asJSON {
		appendTo = appendRowJSON
		before, between, after = "{\n  \"schema\": \"lvskit.connections/v1\",\n  \"connections\": [", ",", "\n  ]\n}\n"
	}
	io.WriteString(w, before) // Flush has the errors of all writes
	var odd failures
	first := true
	for row, err := range h.connections(netns) {
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
		line, err := appendTo(w.AvailableBuffer(), &row)
		if err != nil {
			return err
		}
		w.Write(line)
	}
	io.WriteString(w, after)
	return errors.Join(w.Flush(), odd.err())
}

// carries tells whether a connection is one of a service; a service with
// port 0 has all ports.
func carries(k ipvs.ServiceKey, row *procfs.Connection) bool {
	return k.Protocol == row.Protocol && k.Addr.Addr() == row.Virtual.Addr() && (k.Addr.Port() == row.Virtual.Port() || k.Addr.Port() == 0)
}

// rowHeading stands over the columns of appendRow, which have room for IPv4;
// longer addresses move what follows.
const rowHeading = "PROTOCOL  EXPIRES  STATE        CLIENT                 SERVICE                SERVER\n"

func appendRow(b []byte, row *procfs.Connection) ([]byte, error) {
	start := len(b)
	if row.Protocol == 0 {
		b = append(b, "any"...)
	} else {
		b = append(b, row.Protocol.String()...)
	}
	expires := row.Expires.String()
	b = pad(b, start+17-len(expires))
	b = append(append(b, expires...), "  "...)
	column := len(b)
	b = pad(append(b, row.State...), column+11)
	b = append(b, "  "...)
	column = len(b)
	b = pad(row.Client.AppendTo(b), column+21)
	b = append(b, "  "...)
	column = len(b)
	if mark, ok := row.Mark(); ok {
		b = strconv.AppendUint(append(b, "fwmark/"...), uint64(mark), 10)
	} else {
		b = row.Virtual.AppendTo(b)
	}
	b = append(pad(b, column+21), "  "...)
	b = row.Destination.AppendTo(b)
	if row.PEName != "" {
		b = append(append(append(b, "  "...), row.PEName...), ' ')
		b = strconv.AppendQuote(b, row.PEData)
	}
	return append(b, '\n'), nil
}

// pad adds spaces up to a length.
func pad(b []byte, to int) []byte {
	for len(b) < to {
		b = append(b, ' ')
	}
	return b
}

func appendRowJSON(b []byte, row *procfs.Connection) ([]byte, error) {
	line, err := json.Marshal(row)
	return append(append(b, "\n    "...), line...), err
}
