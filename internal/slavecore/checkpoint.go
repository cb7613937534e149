package slavecore

import (
	"slices"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// writes are the records of the Step at hand and what waits for those under way.
type writes struct {
	records []Record
	todo    []then // from next on, first what waits for the oldest checkpoint; at the end what the Step at hand has
	next    int
	now     int // of todo, those of the Step at hand
	token   uint64
	waiting []waiting // the checkpoints that are not on disk, by token
}

// waiting is a checkpoint, and how much is to be done once it is on disk.
type waiting struct {
	token uint64
	todo  int
}

type thenKind uint8

const (
	thenStart     thenKind = iota + 1 // of task
	thenStartExec                     // of exec
	thenUpdated                       // uuid of task may be sent, and acknowledged to exec
	thenForget                        // container, and lastWord is said
	thenReign
	thenOperated // of op
)

// then is what is to be done once a record is on disk.
type then struct {
	kind      thenKind
	task      *task
	exec      *executor
	op        *operation
	uuid      offer.UUID
	container string
	lastWord  *message.StatusUpdate
}

// persist appends a record to the Step's checkpoint and does the rest when it is on disk.
func (c *Core) persist(r Record, t then) {
	c.writes.records = appendChunked(c.writes.records, r)
	if t.kind != 0 {
		c.writes.push(t)
		c.writes.now++
	}
}

func (w *writes) push(t then) { w.todo = append(w.todo, t) }

// pop takes off the first. Its place is used again once as many are done as wait.
func (w *writes) pop() then {
	t := w.todo[w.next]
	w.todo[w.next] = then{}
	w.next++
	if 2*w.next >= len(w.todo) {
		n := copy(w.todo, w.todo[w.next:])
		clear(w.todo[n:])
		w.todo, w.next = w.todo[:n], 0
	}
	return t
}

// appendChunked is append for the slices that Steps hand out one after the other: they are cut from arrays of a chunk's length each.
func appendChunked[T any](s []T, v T) []T {
	const chunk = 64
	if len(s) == cap(s) {
		s = append(make([]T, 0, max(chunk, 2*len(s))), s...)
	}
	return append(s, v)
}

// cut hands out what is in s, and what is left of its array for the next.
func cut[T any](s []T) (out, rest []T) {
	n := len(s)
	return s[:n:n], s[n:]
}

// persistFor is persist for what belongs to a framework: one without checkpointing is not written, and the rest is done at once; but that a
// process starts only when the volumes are there whose records are on their way to the disk.
func (c *Core) persistFor(f *framework, r Record, t then) {
	if !f.info.NoCheckpoint {
		c.persist(r, t)
		return
	}
	if starts := t.kind == thenStart || t.kind == thenStartExec; starts && c.makesVolumes() {
		c.writes.after(t)
		return
	}
	c.carryOut(&t)
}

// makesVolumes reports whether volumes wait for their record to be on disk.
func (c *Core) makesVolumes() bool {
	for o := range c.operations.all {
		if !o.create.Empty() {
			return true
		}
	}
	return false
}

// after has something wait for all checkpoints so far, the one of the Step at hand included. There must be one.
func (w *writes) after(t then) {
	w.push(t)
	if len(w.records) > 0 {
		w.now++
		return
	}
	w.waiting[len(w.waiting)-1].todo++
}

// flush ends a Step with its one checkpoint.
func (c *Core) flush() {
	w := &c.writes
	if len(w.records) == 0 || c.stopped {
		return
	}
	w.token++
	var records []Record
	records, w.records = cut(w.records)
	w.waiting = append(w.waiting, waiting{w.token, w.now})
	w.now = 0
	c.emit(Checkpoint{Token: w.token, Records: records})
}

// knows reports whether a checkpoint is under way.
func (w *writes) knows(token uint64) bool {
	return len(w.waiting) > 0 && w.waiting[0].token <= token && token <= w.token
}

func (c *Core) checkpointed(token uint64) {
	w := &c.writes
	if !w.knows(token) {
		return
	}
	n := 0
	for ; n < len(w.waiting) && w.waiting[n].token <= token; n++ {
		for ; w.waiting[n].todo > 0; w.waiting[n].todo-- { // what is carried out may add to them
			t := w.pop()
			c.carryOut(&t)
		}
	}
	w.waiting = slices.Delete(w.waiting, 0, n)
}

// checkpointFailed ends this run: what the disk holds is not known any more, and nothing that it should hold may be relied on.
func (c *Core) checkpointFailed(ev CheckpointFailed) {
	if !c.writes.knows(ev.Token) {
		return
	}
	c.halt(offer.Refuse(offer.ReasonDiskFailed, "slave: checkpoint: "+ev.Error))
}

func (c *Core) carryOut(t *then) {
	switch t.kind {
	case thenStart:
		c.start(t.task)
	case thenStartExec:
		c.startExecutor(t.exec)
	case thenUpdated:
		t.task.stream.durable(t.uuid)
		if t.exec != nil && t.exec.conn != 0 {
			c.emit(SendExecutor{Conn: t.exec.conn, Message: &message.ExecutorAck{Task: t.task.info.ID, UUID: t.uuid}})
		}
		c.pump(t.task)
	case thenForget:
		if t.lastWord != nil {
			c.sayEnded(t.lastWord)
		}
		if t.container != "" {
			c.emit(Forget{Container: t.container})
		}
	case thenReign:
		c.reignOnDisk()
	case thenOperated:
		c.operated(t.op)
	}
}
