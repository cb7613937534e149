package zookeeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/meros-project/meros/election"
)

const (
	chunkBytes = 512 << 10 // of a snapshot in one node
	maxChunks  = 8192
	sweepOps   = 64 // nodes removed at once
)

func (e *Elector) snapshotPath(dir string) string { return e.base() + "/snapshots/" + dir }

func (e *Elector) chunkPath(dir string, n int) string {
	return fmt.Sprintf("%s/%06d", e.snapshotPath(dir), n)
}

// snapshot begins to write the present state, beside the log.
func (l *leadership) snapshot() {
	l.e.since, l.e.sinceBytes = 0, 0
	l.served, l.askers = l.askers, nil
	snap, err := l.e.env.StateMachine.Snapshot()
	if err != nil {
		l.e.log.Error("snapshot failed", "err", err)
		l.answer(err)
		return
	}
	index, done := l.e.applied, make(chan error, 1)
	l.snapshots = done
	go func() {
		defer snap.Release()
		w := &chunkWriter{l: l, p: pointer{Index: index, Dir: fmt.Sprintf("%s-%08x", entryName(index), rand.Uint32())}}
		done <- w.write(snap)
	}()
}

func (l *leadership) snapshotDone(err error) {
	l.snapshots = nil
	if err != nil { // the log stays, and the next threshold tries again
		l.e.log.Error("snapshot failed", "err", err)
	}
	l.answer(err)
}

func (l *leadership) answer(err error) {
	for _, a := range l.served {
		a <- err
	}
	l.served = nil
}

// fenced carries out ops if this master still leads, again and again until it knows that they were.
func (l *leadership) fenced(ops ...any) error {
	ops = append([]any{&zk.CheckVersionRequest{Path: l.e.termPath(), Version: l.t.version}}, ops...)
	err := l.s.retry(func() error {
		select {
		case <-l.stop:
			return election.ErrDeposed
		default:
			return l.s.multi(ops...)
		}
	})
	if errors.Is(err, zk.ErrBadVersion) {
		return election.ErrDeposed
	}
	return err
}

// A chunkWriter writes a snapshot into nodes of its own and then makes it the one that counts.
type chunkWriter struct {
	l   *leadership
	p   pointer
	buf []byte
}

func (w *chunkWriter) write(snap election.Snapshot) error {
	e := w.l.e
	old, _, err := w.l.s.get(e.pointerPath())
	if err != nil {
		return err
	}
	before, err := parsePointer(old)
	if err != nil {
		return err
	}
	if err := w.create(e.snapshotPath(w.p.Dir), nil); err != nil {
		return err
	}
	if _, err := snap.WriteTo(w); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.p.Before = before.Dir
	data, err := json.Marshal(w.p)
	if err != nil {
		return err
	}
	if err := w.l.fenced(&zk.SetDataRequest{Path: e.pointerPath(), Data: data, Version: -1}); err != nil {
		return err
	}
	e.log.Info("snapshot taken", "index", w.p.Index, "bytes", w.p.Bytes, "chunks", w.p.Chunks)
	return w.l.sweep(w.p)
}

// Write implements io.Writer for the state machine.
func (w *chunkWriter) Write(b []byte) (int, error) {
	for left := b; len(left) > 0; {
		n := min(chunkBytes-len(w.buf), len(left))
		w.buf = append(w.buf, left[:n]...)
		left = left[n:]
		if len(w.buf) == chunkBytes {
			if err := w.flush(); err != nil {
				return len(b) - len(left), err
			}
		}
	}
	return len(b), nil
}

func (w *chunkWriter) flush() error {
	if len(w.buf) == 0 && w.p.Chunks > 0 {
		return nil
	}
	if w.p.Bytes += int64(len(w.buf)); w.p.Bytes > w.l.e.cfg.MaxSnapshot {
		return fmt.Errorf("zookeeper: the snapshot has more than the %d bytes that are allowed", w.l.e.cfg.MaxSnapshot)
	}
	path := w.l.e.chunkPath(w.p.Dir, w.p.Chunks)
	w.p.Chunks++
	err := w.create(path, seal(w.buf))
	w.buf = nil
	return err
}

// create makes a node in the snapshot's own folder: one that is there is from an earlier try.
func (w *chunkWriter) create(path string, data []byte) error {
	err := w.l.fenced(&zk.CreateRequest{Path: path, Data: data, Acl: w.l.s.private()})
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// sweep removes the log that the snapshot covers, and the snapshots that do not count, but for the one before, which somebody may be
// reading.
func (l *leadership) sweep(p pointer) error {
	dirs, err := l.s.children(l.e.base() + "/snapshots")
	if err != nil {
		return err
	}
	var paths []string
	for _, dir := range dirs {
		if dir == p.Dir || dir == p.Before {
			continue
		}
		chunks, err := l.s.children(l.e.snapshotPath(dir))
		if err != nil {
			return err
		}
		slices.Sort(chunks)
		for _, c := range chunks {
			paths = append(paths, l.e.snapshotPath(dir)+"/"+c)
		}
		paths = append(paths, l.e.snapshotPath(dir))
	}
	entries, err := l.s.children(l.e.base() + "/log")
	if err != nil {
		return err
	}
	slices.Sort(entries)
	for _, name := range entries {
		if strings.Compare(name, entryName(p.Index)) <= 0 {
			paths = append(paths, l.e.base()+"/log/"+name)
		}
	}
	for some := range slices.Chunk(paths, sweepOps) {
		if err := l.removeAll(some); err != nil {
			return err
		}
	}
	return nil
}

func (l *leadership) removeAll(paths []string) error {
	var ops []any
	for _, path := range paths {
		ops = append(ops, &zk.DeleteRequest{Path: path, Version: -1})
	}
	err := l.fenced(ops...)
	if !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	for _, op := range ops { // an earlier try got through
		if err := l.fenced(op); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return err
		}
	}
	return nil
}
