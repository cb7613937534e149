package election

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A standaloneLoop is the goroutine of Run while it leads: it applies what the disk goroutine has made durable. At most one append
// is in flight; what is proposed meanwhile becomes the next one, so that its entries share an fsync.
type standaloneLoop struct {
	s     *standalone
	store standaloneStore

	last  uint64 // index of the last entry applied
	batch []standaloneEntry
	busy  bool // a job is on the disk
	disk  chan func() error
	done  chan error
	stall *time.Timer
	again *time.Timer // fires when a reign is to be opened

	openErr error // why the reign cannot be opened

	sinceSnap int           // entries applied since the last snapshot
	snapDone  chan error    // not nil while a snapshot is being written
	snapIndex uint64        // what that snapshot covers
	snapStop  chan struct{} // closed to cancel it
	compactTo uint64
	askers    []chan error

	waiters sync.WaitGroup // goroutines that offer a Term
}

// lead owns store. The goroutine that touches the disk closes it, so that one that hangs can be left behind.
func (s *standalone) lead(ctx context.Context, store standaloneStore, base, last uint64) error {
	l := &standaloneLoop{
		s: s, store: store, last: last,
		disk: make(chan func() error), done: make(chan error, 1),
		stall: time.NewTimer(s.diskStall), again: time.NewTimer(0),
		snapStop: make(chan struct{}), sinceSnap: int(last - base),
	}
	defer l.stall.Stop()
	defer l.again.Stop()
	closed := make(chan error, 1)
	go func() {
		for job := range l.disk {
			l.done <- job()
		}
		closed <- store.close()
	}()
	err := l.run(ctx)
	s.setLeader(false)
	s.endTerm(nil)
	for batch := s.take(); len(batch) > 0; batch = s.take() {
		fail(batch, ErrDeposed)
	}
	l.waiters.Wait()
	err = errors.Join(err, l.endSnapshot())
	close(l.disk)
	if errors.Is(err, ErrDiskStalled) {
		return err
	}
	select {
	case closeErr := <-closed:
		return errors.Join(err, closeErr)
	case <-time.After(s.diskStall):
		return errors.Join(err, ErrDiskStalled)
	}
}

func fail(batch []standaloneEntry, err error) {
	for _, e := range batch {
		e.done(0, nil, err)
	}
}

func (l *standaloneLoop) run(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil && !l.busy {
			return nil
		}
		if !l.busy {
			l.begin()
		}
		if l.snapDone == nil && (l.sinceSnap >= l.s.snapshotEvery || len(l.askers) > 0) {
			l.snapshot()
		}
		cancelled := ctx.Done()
		if l.busy {
			cancelled = nil // what is on its way to the disk is applied and answered first
		}
		select {
		case <-cancelled:
		case <-l.s.wake:
		case <-l.s.resigned:
			l.again.Reset(reelectionPause)
		case <-l.again.C:
			l.s.enqueue(nil, standaloneEntry{data: l.s.env.Opening(), done: l.opened})
		case a := <-l.s.snapshots:
			l.askers = append(l.askers, a)
		case err := <-l.snapDone:
			if err := l.snapshotDone(err); err != nil {
				return err
			}
		case err := <-l.done:
			if err := l.written(err); err != nil {
				return err
			}
		case <-l.stall.C:
			if l.busy {
				l.s.log.Error("the disk does not answer", "dir", l.s.dir, "after", l.s.diskStall)
				fail(l.batch, ErrUnknown)
				return ErrDiskStalled
			}
		}
	}
}

// begin hands the next job, if there is one, to the disk.
func (l *standaloneLoop) begin() {
	var job func() error
	if to := l.compactTo; to > 0 {
		l.compactTo = 0
		job = func() error { return l.store.compact(to) }
	} else if l.batch = l.s.take(); len(l.batch) > 0 {
		first, data := l.last+1, make([][]byte, len(l.batch))
		for i, e := range l.batch {
			data[i] = e.data
		}
		job = func() error { return l.store.append(first, data) }
	} else {
		return
	}
	l.busy = true
	l.stall.Reset(l.s.diskStall)
	l.disk <- job
}

// written applies what the disk has confirmed. A write that failed may have reached the disk or not, so it ends Run.
func (l *standaloneLoop) written(err error) error {
	l.busy = false
	batch := l.batch
	l.batch = nil
	if err != nil {
		fail(batch, ErrUnknown)
		return err
	}
	for i, e := range batch {
		result, err := l.s.env.StateMachine.Apply(l.last+1, e.data)
		if err != nil {
			fail(batch[i:], ErrUnknown)
			return fmt.Errorf("election: apply entry %d: %w", l.last+1, err)
		}
		l.last++
		l.sinceSnap++
		e.done(l.last, result, nil)
	}
	return l.openErr
}

// opened announces the reign whose opening entry was applied.
func (l *standaloneLoop) opened(_ uint64, result any, err error) {
	if err != nil {
		return // Run is about to say so
	}
	reign, ok := result.(uint64)
	if !ok {
		l.openErr = fmt.Errorf("election: applying the opening entry gave %T, not the reign as a uint64", result)
		return
	}
	t := &standaloneTerm{s: l.s, reign: reign, ended: make(chan struct{})}
	l.s.mu.Lock()
	l.s.term = t
	l.s.mu.Unlock()
	l.s.setLeader(true)
	l.s.log.Info("leading", "reign", reign)
	l.waiters.Go(func() {
		select {
		case l.s.terms <- t:
		case <-t.ended:
		}
	})
}

// snapshot writes the present state beside the appends.
func (l *standaloneLoop) snapshot() {
	l.sinceSnap = 0
	snap, err := l.s.env.StateMachine.Snapshot()
	if err != nil {
		l.s.log.Error("snapshot failed", "err", err)
		l.answer(err)
		return
	}
	index, done := l.last, make(chan error, 1)
	l.snapIndex, l.snapDone = index, done
	go func() {
		defer snap.Release()
		done <- l.store.snapshot(index, snap, l.snapStop)
	}()
}

func (l *standaloneLoop) snapshotDone(err error) error {
	l.snapDone = nil
	l.answer(err)
	switch {
	case errors.Is(err, errNotDurable):
		return err
	case err != nil: // a full disk, say: the log stays, and the next threshold tries again
		l.s.log.Error("snapshot failed", "err", err)
	default:
		l.compactTo = l.snapIndex
	}
	return nil
}

func (l *standaloneLoop) answer(err error) {
	for _, a := range l.askers {
		a <- err
	}
	l.askers = nil
}

// endSnapshot cancels the snapshot that is being written and waits for its goroutine.
func (l *standaloneLoop) endSnapshot() error {
	close(l.snapStop)
	defer l.answer(ErrDeposed)
	if l.snapDone == nil {
		return nil
	}
	select {
	case <-l.snapDone:
		return nil
	case <-time.After(l.s.diskStall):
		return ErrDiskStalled
	}
}
