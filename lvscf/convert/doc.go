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
// The package does no input or output: files that a file includes are asked
// for through a function that the caller gives.
package convert
