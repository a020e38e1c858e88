package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// reorder puts the flags of a command before its arguments: the flag parser
// ends at the first argument, and people write flags where they come to mind.
// What follows "--" are arguments. Who asks for help gets that of the command
// and not of its first argument, which the parser would take for a topic.
func reorder(app *cli.App, args []string) []string {
	if len(args) == 0 || args[len(args)-1] == "--generate-bash-completion" {
		return args
	}
	out := []string{args[0]}
	var options, rest []string
	help := false
	flags, commands := app.Flags, app.Commands
	for i := 1; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if isOption(arg) {
			options = append(options, arg)
			help = help || arg == "--help" || arg == "-h"
			if takesNext(flags, arg) && i+1 < len(args) {
				i++
				options = append(options, args[i])
			}
			continue
		}
		at := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(arg) })
		if len(commands) > 0 && at < 0 { // no command: its flags are not known either
			return append(append(out, options...), args[i:]...)
		}
		if at < 0 {
			rest = append(rest, arg)
			continue
		}
		out = append(append(out, options...), arg)
		options, flags, commands = nil, commands[at].Flags, commands[at].Subcommands
		help = false // that of a command above is shown by itself
	}
	out = append(out, options...)
	if help {
		return out
	}
	if len(rest) > 0 && isOption(rest[0]) {
		out = append(out, "--")
	}
	return append(out, rest...)
}

// isOption tells a flag from an argument; a single hyphen is standard input.
func isOption(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

// takesNext tells whether the value of a flag is the argument after it.
func takesNext(flags []cli.Flag, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	if strings.Contains(name, "=") {
		return false
	}
	if f := findFlag(flags, name); f != nil {
		return f.TakesValue()
	}
	if strings.HasPrefix(arg, "--") {
		return false
	}
	// Of short flags written together, the last may have a value.
	f := findFlag(flags, name[len(name)-1:])
	return f != nil && f.TakesValue()
}

func findFlag(flags []cli.Flag, name string) cli.DocGenerationFlag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			d, _ := f.(cli.DocGenerationFlag)
			return d
		}
	}
	return nil
}
