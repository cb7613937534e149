// Package slavecore is the mind of a slave: registration, the life of its tasks and executors, the streams of status updates, and what
// must be on disk before what.
//
// A Core is a value that changes only in Step. It has no clock, no I/O and no goroutine; the shell performs the effects in their order and
// reports what came of them as events. The order that matters: Checkpoint(Launched) is on disk before Start (T5), Checkpoint(Updated)
// before the update is sent, Checkpoint(Reign) before anything is done on behalf of a new reign (L1).
//
// Checks of tasks are probes that the core asks for when they are due: a bounded number at once, shared between frameworks, and what a result
// means is decided here.
//
// All records of one Step travel in one Checkpoint, so that a message with a thousand launches costs one flush.
package slavecore
