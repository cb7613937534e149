// Package recording keeps the events of a master's core on disk, and plays them again.
//
// A Recorder is fed by the shell's loop: each event before it is stepped, the effects after it. It never waits for the disk: what is recorded
// goes through a bounded queue to a goroutine that writes. When the disk does not keep up, fails or hangs, the recording is cut: the log says
// so, the file ends with the reason, and after a while the next file begins, whose header names the gap. The master notices nothing.
//
// Files stand for themselves: each opens with the state of the core and its allocator as it lay in memory (internal/image), so any file can be
// played without the ones before it, and the oldest are removed. The state can be read by programs with the same types only; Header.Build
// tells. The events are msgpack (internal/wire), and after each stands a digest of all effects so far, so that a Replay knows at which event
// its decisions are others than those recorded. The digest takes decisions: who is told what about which task. What a message passes on as it
// came, such as a task's command, stands in the event and is not in the digest.
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
//	E  i64 time in nanoseconds since 1970, then entries: varint nanoseconds since the entry before, uvarint length, the event, u32 digest
//	X  why the recording ends here
//
// A file without X was cut off, by a crash for one: what is whole of it counts. The digest of an event whose effects never came is zero, and
// X follows.
package recording
