// Package convert brings load balancer configurations over from the files of
// other programs, and back to them.
//
// Every way has the same shape: text in, a [lvscf.Config] out, or the other
// way round, and [Losses], a numbered list of all that could not be carried:
// what it is, where it stands, why it cannot be carried, and what comes
// nearest. Nothing is left out in silence. What the other program assumes
// without being told, and lvs.cf would assume otherwise, is written out and is
// no loss.
//
// A file that cannot be read at all gives an error in place of a
// configuration: a [*lvscf.InvalidFileError] with a diagnostic for each fault.
//
// # keepalived.conf
//
// [FromKeepalived] reads the whole language of keepalived.conf(5), version
// 2.2.7: blocks, quotes, comments, includes, conditions, definitions and
// sequences. Virtual servers of all three forms become virtual blocks, one for
// each address of a group; checks become check blocks, one for each url;
// vrrp_instance becomes a vrrp block, whose addresses belong to the virtual
// blocks that answer to them. Not carried are what watches scripts, files,
// processes and BFD sessions, routes, mail, the settings of keepalived's own
// processes, and secrets, which lvs.cf keeps in files of their own.
//
// [ToKeepalived] writes what keepalived 2.2.7 takes without a word of
// complaint, and reads it back to see what became of each directive: what
// differs is a loss. Piranha's pair of routers becomes one vrrp_instance with
// all addresses, and a lone router has them as static ones.
//
// The package does no input or output: files that a file includes are asked
// for through a function that the caller gives.
package convert
