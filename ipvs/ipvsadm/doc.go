// Package ipvsadm reads and writes the rule language of ipvsadm 1.31: its
// command lines, the text that `ipvsadm -S` saves and `ipvsadm -R` restores,
// and the listings of `ipvsadm -L`. It is text alone: it neither asks nor
// changes a kernel, and works on any system.
//
// # Reading
//
// [Parse] reads a text and [ParseArgs] the arguments of a program into
// [Command] values, in numbers and checked as the real program checks them.
// [Table] plays the commands on an empty table, which finds what a kernel
// would refuse on the way (a server of a service that is not there, an entry
// added twice) with line and column. So a restore can know that a text is
// right before it touches anything, and then apply it as one batch:
//
//	commands, err := ipvsadm.Parse(ctx, text, ipvsadm.Options{})
//	table, err := ipvsadm.Table(commands)
//	changes := ipvs.Diff(have, table, owned)
//
// Names of hosts and ports are refused unless [Options.Resolver] can look
// them up; `ipvsadm -S -n` writes none.
//
// People keep their commands in scripts, so a text may also have what
// `ipvsadm -R` does not take: empty lines, comments from a # at the beginning
// of a word to the end of the line, the words sudo, /sbin/ipvsadm and
// $IPVSADM before a command, quotes and backslashes, a backslash that joins
// two lines, both kinds of line ends. It is not run by a shell: other
// variables, and characters that mean more to one, are errors.
//
// # Writing
//
// [AppendTable] writes a table as rule text that restores it, its order
// included; [AppendTimeouts] and [AppendDaemon] write what else can be set;
// [Line] tells one change as a command line. [WriteList], [WriteTimeouts] and
// [WriteDaemons] write listings, byte for byte those of the real program with
// -n.
//
// # Where it differs
//
// The real program was asked, command line by command line, and what it takes
// or refuses is taken or refused, but for these:
//
//   - Options come in any order: the command need not be the first word, nor
//     -f come before -6, nor -t before -M.
//   - The port of a server is kept as written. The real program replaces it by
//     that of the service without a word unless forwarding is -m, although
//     kernels hold, and it saves, servers of -g and -i with ports of their own.
//   - Numbers have digits only, no sign or space before them, and addresses
//     have the usual form: 10.1 and 010.0.0.1 are refused, as are IPv4
//     addresses in IPv6 form.
//   - An IPv4 netmask has no gaps, is not 0.0.0.0, and is not written as a
//     prefix length, which the real program takes for 0.0.0.24 and the like.
//   - Names of schedulers and persistence engines consist of letters, digits
//     and the signs - _ . +, at most 15.
//   - Addresses that no kernel takes for a server (multicast, 0.0.0.0, ::) and
//     a sync daemon without a device are refused at once.
//
// -p without a number is 360 seconds as in the real program, not 300 as in its
// manual.
package ipvsadm
