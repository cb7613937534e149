// Package recording keeps the events of a master's core on disk, and plays them again.
//
// A Recorder is fed by the shell's loop: each event before it is stepped, the effects after it. It never waits for the disk: what is recorded
// goes through a bounded queue to a goroutine that writes. When the disk does not keep up, fails or hangs, the recording is cut: the log says
// so, the file ends with the reason, and after a while the next file begins, whose header names the gap. The master notices nothing.
//
// Files stand for themselves: each opens with the state of the core and its allocator as it lay in memory (internal/image), so any file can be
// played without the ones before it, and the oldest are removed. The events are msgpack (internal/wire), and after each stands a digest of all
// effects so far, so that a Replay knows at which event its decisions are others than those recorded. The digest takes decisions: who is told what about which task. What a message passes on as it
// came, such as a task's command, stands in the event and is not in the digest.
//
// # What a file promises
//
// The byte of version is that of the format; another one is refused. The state can be read only by programs whose types are the same:
// Header.Build is their fingerprint, NewReplay refuses another one, and names the versions of both programs. There is no promise beyond that: a
// later build has other types as a rule, so keep the program with its recordings. One with the same types and another mind plays the file,
// and differs where it decides otherwise.
//
// # What a recording costs
//
// A message costs a copy of the bytes in which it came, six bytes of its own and the digest of what it brings about; a write of a megabyte costs
// little, because it passes the page cache by where the file system can. That is to be less than 3 % of the leader's processor time, which
// e2e/record of internal/bench measures. Memory: blocks of a megabyte, of which five are kept and Config.Queue bounds those that wait; besides,
// at the beginning of a file, one checkpoint. That beginning is when the goroutine that steps the core is held up, for as long as it takes to
// copy the state.
//
// Checksums find damage, not malice: reading a file is bounded whatever it holds, but its checkpoint is believed to be a core's, as far as the
// core's own invariants do not object. Play recordings of your own masters.
//
// # Format
//
// A file is the magic number, one byte of version, and blocks: u32 length, u32 CRC-32C (both little endian) of the body, the body. The body's
// first byte is its kind:
//
//	H  the header, in JSON
//	C  a part of the checkpoint; as many follow as Header.Checkpoint bytes need
//	E  i64 time in nanoseconds since 1970, then entries
//	P  nothing, so that what follows begins at a multiple of 4096 bytes
//	X  why the recording ends here
//
// An entry begins with an uvarint, its kind:
//
//	0    an event: varint nanoseconds since the event before, uvarint length, the event, u32 digest
//	1    a frame: uvarint connection, uvarint length, principal, uvarint length, the batch of messages as it came
//	2+n  an event that is a message of the last frame in the block, n after the one before: varint nanoseconds, u32 digest
//
// A file without X was cut off, by a crash for one: what is whole of it counts. The digest of an event whose effects never came is zero, and
// X follows.
package recording
