package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/internal/director"
	"github.com/lvskit/lvskit/lvscf"
	"github.com/lvskit/lvskit/lvscf/convert"
)

// The forms of a configuration that convert knows, beside formatLVSCF.
const (
	formKeepalived = "keepalived"
	formLdirectord = "ldirectord"
	formIPVSAdm    = "ipvsadm"
	formJSON       = "json"
)

func convertCommand() *cli.Command {
	return &cli.Command{
		Name:  "convert",
		Usage: "bring a configuration over from another program, or to it",
		Description: `Reads FILE, "-" being standard input, and prints the same configuration in
another form. It reads lvs.cf, keepalived.conf, ldirectord.cf, rules of ipvsadm
and lvs.cf in JSON, and writes all of them but ldirectord.cf. Without --from
the form is told by the text, and said on standard error.

What the other form cannot say is not left out in silence: each such thing is
listed on standard error with a number, where it stands, what it is, why it
cannot be carried, and what comes nearest. Then the exit code is 1, and --out
writes no file, unless --accept-loss says that the list has been read. -o json
prints the list as JSON there.

A line or a block that cannot be read is one of these things, and the rest is
taken; a file with nothing to take is refused.

Comments stay behind: it is the meaning that is written anew. One entry of the
list counts them, which alone makes no exit code of 1. Servers of rules
come in the order of the kernel, the last one first. What lvs.cf can say and
this version does not do yet is for "lvsctl check" to tell.

Moving from ldirectord, for example:

  lvsctl convert --device eth0 /etc/ha.d/ldirectord.cf >lvs.cf   # read the list
  lvsctl convert --device eth0 --accept-loss --out lvs.cf /etc/ha.d/ldirectord.cf
  lvsctl check lvs.cf                                 # what is missing or doubtful
  lvsctl plan lvs.cf                                  # no change: it is the same table

and back, if need be:

  lvsctl convert --to keepalived --accept-loss lvs.cf >keepalived.conf
  lvsctl save | lvsctl convert --from ipvsadm -       # from a running table`,
		ArgsUsage: "FILE",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "`FORM` of FILE: lvscf, keepalived, ldirectord, ipvsadm or json; without it the text tells"},
			&cli.StringFlag{Name: "to", Value: formatLVSCF, Usage: "`FORM` to print: lvscf, keepalived, ipvsadm or json"},
			&cli.StringFlag{Name: "out", Usage: "write to this `FILE` in place of standard output"},
			&cli.BoolFlag{Name: "accept-loss", Usage: "exit with 0 although there are losses"},
			&cli.StringFlag{Name: "device", Usage: "`DEVICE` of the virtual addresses, which ldirectord.cf and rules do not name; eth0 without it, listed as a loss"},
			&cli.StringFlag{Name: "config-id", Usage: "`WORD` that lines with @ in a keepalived.conf are for, by default none"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "`FORMAT` of the list of losses: table for people or json for scripts"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, "a FILE"); err != nil {
				return err
			}
			asJSON, err := wantJSON(c)
			if err != nil {
				return err
			}
			v := &conversion{
				From: formNamed(c.String("from")), To: formNamed(c.String("to")), asJSON: asJSON, accept: c.Bool("accept-loss"),
				device: c.String("device"), configID: c.String("config-id"), log: c.App.ErrWriter,
			}
			return v.run(c.Context, c.App.Reader, c.App.Writer, c.Args().First(), c.String("out"))
		},
	}
}

// formNamed takes the name of a form's usual file for the form.
func formNamed(word string) string {
	switch word {
	case "lvs.cf":
		return formatLVSCF
	case "keepalived.conf":
		return formKeepalived
	case "ldirectord.cf":
		return formLdirectord
	}
	return word
}

// conversion is one run of the command. Its exported fields are the document
// of -o json.
type conversion struct {
	Schema string         `json:"schema"`
	File   string         `json:"file"`
	From   string         `json:"from"`
	To     string         `json:"to"`
	Losses convert.Losses `json:"losses"`

	asJSON, accept   bool
	device, configID string
	log              io.Writer
}

func (v *conversion) run(ctx context.Context, stdin io.Reader, stdout io.Writer, path, out string) error {
	switch v.From {
	case "", formatLVSCF, formKeepalived, formLdirectord, formIPVSAdm, formJSON:
	default:
		return usagef("--from %s: want lvscf, keepalived, ldirectord, ipvsadm or json", v.From)
	}
	switch v.To {
	case formatLVSCF, formKeepalived, formIPVSAdm, formJSON:
	case formLdirectord:
		return usagef("--to ldirectord: ldirectord.cf is read and not written: want lvscf, keepalived, ipvsadm or json")
	default:
		return usagef("--to %s: want lvscf, keepalived, ipvsadm or json", v.To)
	}
	v.File = path
	if path == "-" {
		v.File = "<stdin>"
	}
	text, err := patient(ctx, func() ([]byte, error) { return readText(stdin, path) })
	if err != nil {
		return err
	}
	// Comments are not carried, so FILE is worth more than what is made of it.
	if out != "" && path != "-" && sameFile(path, out) {
		return usagef("--out %s: that is the file to read: name another one", out)
	}
	if v.From == "" {
		if v.From = formOf(path, text); v.From == "" {
			return usagef("%s: nothing tells what form it has: say --from lvscf, keepalived, ldirectord, ipvsadm or json", v.File)
		}
		if !v.asJSON {
			fmt.Fprintf(v.log, "lvsctl: %s is taken for %s\n", v.File, v.From)
		}
	}
	conf, read, err := patiently(ctx, func() (*lvscf.Config, convert.Losses, error) { return v.read(ctx, path, text) })
	if err != nil {
		return err
	}
	if v.From == formKeepalived && empty(conf) {
		// To the library this is a configuration like any other; to an
		// operator it is the wrong file.
		if v.Losses = slicesOf(read); !v.asJSON {
			if err := v.tell(); err != nil {
				return err
			}
		}
		return fmt.Errorf("%s:1:1: no virtual server and no router in this file: convert a keepalived.conf with a virtual_server that has real servers, or a vrrp_instance", v.File)
	}
	result, written, err := patiently(ctx, func() ([]byte, convert.Losses, error) { return v.write(ctx, conf) })
	if err != nil {
		return err
	}
	v.Losses = slicesOf(read, written)
	if err := v.tell(); err != nil {
		return err
	}
	refused := !v.Losses.Harmless() && !v.accept
	switch {
	case out == "":
		_, err = stdout.Write(result)
	case refused:
		if !v.asJSON {
			fmt.Fprintf(v.log, "lvsctl: %s is not written: say --accept-loss if these may be lost\n", out)
		}
	default:
		err = writeResult(out, result)
	}
	if err == nil && refused {
		return &quietError{}
	}
	return err
}

// patiently is patient for a half of the way, which yields losses too. A half
// that is left behind changes nothing that is looked at afterwards.
func patiently[T any](ctx context.Context, do func() (T, convert.Losses, error)) (T, convert.Losses, error) {
	type half struct {
		value  T
		losses convert.Losses
	}
	h, err := patient(ctx, func() (half, error) {
		v, ls, err := do()
		return half{v, ls}, err
	})
	return h.value, h.losses, err
}

// sameFile reports whether both names are of one file that is there.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// writeResult writes a file. One that is there is replaced at once, so that a
// full disk does not take the old one.
func writeResult(path string, text []byte) error {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		return replaceFile(path, text)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return fmt.Errorf("%s: %w: name a file that can be written", path, reasonOf(err))
	}
	return nil
}

// empty reports whether a configuration serves nothing and carries neither
// address nor route.
func empty(c *lvscf.Config) bool {
	return len(c.Virtuals)+len(c.VRRPs)+len(c.StaticAddresses)+len(c.FloatingAddresses)+len(c.Routes) == 0
}

// slicesOf joins the losses of both halves of the way and numbers them anew.
func slicesOf(lists ...convert.Losses) convert.Losses {
	all := convert.Losses{}
	for _, l := range lists {
		all = append(all, l...)
	}
	for i := range all {
		all[i].Number = i + 1
	}
	return all
}

// tell lists the losses.
func (v *conversion) tell() error {
	if v.asJSON {
		v.Schema = "lvskit.losses/v1"
		return writeJSON(v.log, v)
	}
	if len(v.Losses) == 0 {
		return nil
	}
	what := "things cannot be carried"
	if len(v.Losses) == 1 {
		what = "thing cannot be carried"
	}
	_, err := fmt.Fprintf(v.log, "lvsctl: %s: %d %s from %s to %s:\n%s", v.File, len(v.Losses), what, v.From, v.To, v.Losses)
	return err
}

// read makes a configuration of a text.
func (v *conversion) read(ctx context.Context, path string, text []byte) (*lvscf.Config, convert.Losses, error) {
	options := convert.ImportOptions{Device: v.device}
	switch v.From {
	case formKeepalived:
		return v.readKeepalived(path, text)
	case formLdirectord:
		return convert.FromLdirectord(v.File, text, options)
	case formIPVSAdm:
		return convert.FromIPVSAdm(ctx, v.File, text, convert.RuleOptions{ImportOptions: options, Resolver: net.DefaultResolver})
	case formJSON:
		conf, err := convert.FromJSON(v.File, text)
		return conf, nil, err
	}
	// Without the files that it includes it would lack services, in silence.
	conf, diags := lvscf.Options{Include: director.ReadIncluded}.Load(v.File, text)
	if err := diags.Err(); err != nil {
		return nil, nil, err
	}
	f, _ := lvscf.Parse(v.File, text)
	return conf, convert.Comments(f), nil
}

// readKeepalived reads with the absolute name of a file: includes are looked
// for beside it, and $_PWD is its folder. Messages have the name as given.
func (v *conversion) readKeepalived(given string, text []byte) (*lvscf.Config, convert.Losses, error) {
	name, asGiven := v.File, func(file string) string { return file }
	if abs, err := filepath.Abs(given); err == nil && given != "-" {
		name = filepath.ToSlash(abs)
		from, to := path.Dir(name)+"/", strings.TrimSuffix(filepath.ToSlash(given), path.Base(name))
		asGiven = func(file string) string {
			if rest, ok := strings.CutPrefix(file, from); ok {
				return to + rest
			}
			return file
		}
	}
	conf, losses, err := convert.FromKeepalived(name, text, convert.KeepalivedOptions{ConfigID: v.configID, Include: convert.IncludeFrom(os.DirFS("/"))})
	for i := range losses {
		losses[i].Where.File = asGiven(losses[i].Where.File)
	}
	var bad *lvscf.InvalidFileError
	if errors.As(err, &bad) {
		for i := range bad.Diagnostics {
			bad.Diagnostics[i].File = asGiven(bad.Diagnostics[i].File)
		}
	}
	if conf != nil {
		conf.Path = v.File
	}
	return conf, losses, err
}

// write makes a text of a configuration.
func (v *conversion) write(ctx context.Context, conf *lvscf.Config) ([]byte, convert.Losses, error) {
	switch v.To {
	case formKeepalived, formIPVSAdm:
		// These have addresses only.
		diags := conf.Resolve(func(name string) (netip.Addr, error) { return lookup(ctx, name) })
		if err := diags.Err(); err != nil {
			return nil, nil, err
		}
		if v.To == formIPVSAdm {
			return convert.ToIPVSAdm(conf)
		}
		text, losses := convert.ToKeepalived(conf)
		return text, losses, nil
	case formJSON:
		text, err := convert.ToJSON(conf)
		return text, nil, err
	}
	f, err := conf.File()
	if err != nil {
		return nil, nil, err
	}
	return f.Bytes(), nil, nil
}

// lookup finds the IPv4 address of a name.
func lookup(ctx context.Context, name string) (netip.Addr, error) {
	as, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", name)
	if err == nil && len(as) == 0 {
		err = errors.New("no IPv4 address")
	}
	if err != nil {
		return netip.Addr{}, err
	}
	return as[0].Unmap(), nil
}

// marks are lines that a form has and no other one.
var marks = []struct {
	form string
	line *regexp.Regexp
}{
	{formKeepalived, regexp.MustCompile(`(?m)^[ \t]*(virtual_server|virtual_server_group|vrrp_instance|vrrp_sync_group|vrrp_script|global_defs|static_ipaddress)\b`)},
	{formLdirectord, regexp.MustCompile(`(?m)^[ \t]*virtual6?[ \t]*=`)},
	{formatLVSCF, regexp.MustCompile(`(?m)^[ \t]*((virtual|failover|vrrp)[ \t]+\S+[ \t]*\{|(primary|serial_no|network|service)[ \t]*=)`)},
}

// formOf tells the form of a text: by its lines, or else by the file's name;
// empty if neither does.
func formOf(path string, text []byte) string {
	if trimmed := bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\ufeff")), " \t\r\n"); bytes.HasPrefix(trimmed, []byte("{")) {
		return formJSON
	}
	for _, m := range marks {
		if m.line.Match(text) {
			return m.form
		}
	}
	if formatOf(text) == formatRules {
		return formIPVSAdm
	}
	name := strings.ToLower(filepath.Base(path))
	for _, n := range []struct{ part, form string }{
		{"keepalived", formKeepalived}, {"ldirectord", formLdirectord}, {"ipvsadm", formIPVSAdm}, {"lvs.cf", formatLVSCF}, {".json", formJSON},
	} {
		if strings.Contains(name, n.part) {
			return n.form
		}
	}
	return ""
}
