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
// A line or a block that cannot be read is left out, and is a loss with its
// place, the reason and the cure: one that is broken does not cost the good
// ones. A file in which nothing can be read gives an error in place of a
// configuration: a [*lvscf.InvalidFileError] with a diagnostic for each fault.
//
// # keepalived.conf
//
// [FromKeepalived] reads the whole language of keepalived.conf(5), version
// 2.2.7: blocks, quotes, comments, includes, conditions, definitions and
// sequences. Virtual servers of all three forms become virtual blocks, one for
// each address of a group; checks become check blocks, one for each url;
// vrrp_instance becomes a vrrp block, whose addresses belong to the virtual
// blocks that answer to them, with its virtual_routes. Not carried are what
// watches processes and BFD sessions, routes of more than one gateway, rules of
// routing, mail, the settings of keepalived's own processes, and secrets, which
// lvs.cf keeps in files of their own.
//
// [ToKeepalived] writes what keepalived 2.2.7 takes without a word of
// complaint, and reads it back to see what became of each directive: what
// differs is a loss. Piranha's pair of routers becomes one vrrp_instance with
// all addresses and routes, and a lone router has them as static ones.
//
// # ldirectord.cf
//
// [FromLdirectord] reads all that ldirectord 4.12 does: every directive at the
// left margin and in the sections, ranges of real servers, requests of single
// servers, both address families, all services and types of checks. Fallback
// servers become sorry servers, fallbackcommand the commands of the quorum, and
// a number as checktype two check blocks. Not carried are mail, logs, watching
// the file and a folder for maintenance, what only Perl's expressions can say,
// and secrets. There is no way back.
//
// # Rules of ipvsadm, and the table
//
// [FromIPVSAdm] plays rules on an empty table and says that table as lvs.cf;
// [ToIPVSAdm] writes the table that an lvs.cf makes. [Services] and [Table] are
// here because rules are that table as text: whoever turns an lvs.cf into a
// table, the director included, does it by them, so that what is exported is
// what would be applied.
//
// # JSON
//
// [FromJSON] and [ToJSON] carry everything.
//
// The package does no input or output: files that a file includes are asked
// for through a function that the caller gives.
package convert
