// Package lvscf reads lvs.cf, the configuration language of the Piranha load
// balancer. What is wrong is told with line, column, reason and cure.
//
// Reading has two steps. [Parse] turns bytes into a [File], a tree of lines
// and blocks that keeps every byte: [File.Bytes] gives back what was read,
// also from a file full of faults. [File.Config] derives the typed [Config],
// with the defaults of the daemons for what the file does not say. [Load] does
// both and is what most callers want.
//
// Faults are collected as [Diagnostics], as many as one pass can find, each
// with its own cause. Lines and columns count from 1, columns in bytes.
// Errors make a file unusable, warnings and hints do not. Each kind of finding
// has a [Code] that [Explain] tells more of, with an example; [Codes] lists
// them. [Diagnostics.WriteSARIF] makes a log that code hosts show in reviews.
//
// # The dialects
//
// The default dialect, [Lenient], reads what people write: comments behind
// values, key=value, a brace without its blank, decimal numbers with leading
// zeros, keywords in upper case, lines that only Piranha's web tool knows. It
// accepts them with a warning that says how to mend the line, and it has the
// extensions of lvskit. [Strict] is Piranha's own grammar: what its daemons
// accept is accepted, what they refuse is refused. [Options] choose.
//
// # The language
//
// In the strict dialect, which the default one widens:
//
// One directive stands on each line, NAME = VALUE with blanks or tabs around
// the sign. Blocks are "virtual NAME {", "failover NAME {" and, inside them,
// "server NAME {"; lvskit's own are "vrrp NAME {" and, in virtual and server
// blocks, "check NAME {". Each closing brace stands alone on its line. A line whose
// first mark is # is a comment; nothing may follow a value. Values with blanks
// are quoted with ' or ". Numbers are those of C: 0x10 is sixteen and 010 is
// eight. The last of repeated directives wins. [Directives] lists them all.
//
// Line ends may be LF, CRLF or CR, and the last one may be missing. Piranha
// lost lines where CR and LF end lines of one file, which only [Strict]
// refuses, and let a file end within a block, which is an error.
//
// # Editing and writing
//
// A [File] is never changed in place. [File.Apply] returns a copy with edits
// made in it, such as [Set], [Add], [Remove], [Rename] and [Move], all or none
// of them; every line that they do not mean keeps its bytes, and serial_no is
// raised. What they change is named by a [Path], as text
//
//	virtual web/server a/weight
//
// and [ParseEdit] reads edits from text. [File.Format] lays a file out in the
// canonical way without a change of its meaning, and [Config.File] writes a
// configuration as a new file.
//
// # Limits
//
// The package does no input or output and looks nothing up: host names stay
// names until [Config.Resolve] is given a look-up function. Input is bounded
// by [MaxSize], [MaxLines] and [MaxDepth].
//
// Included files are read by the function of [Options.Include].
//
// # One table
//
// All there is to know of a directive stands in one row of one table: its
// name, places, values, default and the version that brought it. The manual
// page lvs.cf.5, the schema lvs.cf.schema.json of the JSON form and the syntax
// files of vim in editors/vim are made of it by "go test ./lvscf -update", and
// its tests fail when they are not what the table says.
package lvscf
