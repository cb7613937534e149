package zookeeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/meros-project/meros/election"
)

const (
	orderly       = time.Second // for what is being written when a reign is ended on purpose
	snapshotBytes = 16 << 20    // of log that make a snapshot worth while, however few the entries
)

// A leadership is the goroutine of Run while this master leads. At most one write is on its way; what is proposed meanwhile becomes the
// next one.
type leadership struct {
	e *Elector
	s *session
	t *term

	batch   []proposal // on its way
	writing bool
	results chan written
	stop    chan struct{} // closed to end what is under way

	snapshots chan error   // not nil while a snapshot is being written
	served    []chan error // whom it is for
	askers    []chan error // who came later
}

// written is what became of a write.
type written struct {
	committed bool
	perhaps   bool  // nobody knows
	err       error // why it was not, or why nobody knows
}

// lead opens a reign and serves it to its end. The term is nil if there was none; an error ends the session or Run.
func (e *Elector) lead(ctx context.Context, s *session) (*term, error) {
	for !s.valid() { // the first sign of life
		select {
		case <-s.ended:
			return nil, errSession
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(retryPause):
		}
	}
	version, err := e.bump(s)
	if err != nil {
		return nil, err
	}
	if err := e.catchUp(s); err != nil {
		return nil, err
	}
	l := &leadership{e: e, s: s, t: newTerm(s, version), results: make(chan written, 1), stop: make(chan struct{})}
	open, err := l.open(ctx)
	if err != nil || !open {
		return nil, err
	}
	s.leading.Store(true)
	defer s.leading.Store(false)
	e.setTerm(l.t)
	e.log.Info("leading", "reign", l.t.reign, "term", version)
	e.waiters.Go(func() {
		select {
		case e.terms <- l.t:
		case <-l.t.ended:
		}
	})
	err = l.run(ctx)
	return l.t, l.close(ctx, err)
}

// open writes the opening entry and the leader's record. It tells whether this master still leads.
func (l *leadership) open(ctx context.Context) (bool, error) {
	entry := l.e.env.Opening()
	w := l.write(l.e.applied+1, [][]byte{entry})
	if !w.committed {
		if w.err == nil || errors.Is(w.err, errSession) {
			return false, w.err
		}
		l.e.log.Info("the opening entry was not committed", "err", w.err)
		return false, l.pause(ctx)
	}
	result, err := l.e.apply(entry)
	if err != nil {
		return false, err
	}
	reign, ok := result.(uint64)
	if !ok {
		return false, fmt.Errorf("zookeeper: applying the opening entry gave %T, not the reign as a uint64", result)
	}
	l.t.reign = reign
	data, err := packInfo(ctx, l.e.self)
	if err != nil {
		return false, err
	}
	path := l.e.address.Path + "/" + infoLabel
	for {
		_, err := l.s.conn.Create(path, data, zk.FlagEphemeral|zk.FlagSequence, l.s.public())
		if err == nil {
			return true, nil
		}
		if !transient(err) {
			return false, l.s.explain(path, err)
		}
		if err := l.e.withdraw(l.s); err != nil { // it may be there
			return false, err
		}
	}
}

func (l *leadership) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.s.ended:
		return errSession
	case <-time.After(sessionPause):
		return nil
	}
}

// write commits entries as those from index on. It tries again until it knows what became of them, for as long as this master may lead.
func (l *leadership) write(index uint64, entries [][]byte) written {
	path := l.e.entryPath(index)
	data := pack(rand.Uint64(), entries)
	sent := false
	pause := retryPause
	for {
		err := l.s.multi(&zk.CheckVersionRequest{Path: l.e.termPath(), Version: l.t.version}, &zk.CreateRequest{Path: path, Data: data, Acl: l.s.private()})
		switch {
		case err == nil:
			return written{committed: true}
		case errors.Is(err, zk.ErrNodeExists), errors.Is(err, zk.ErrBadVersion):
			return l.judge(path, data, sent, err)
		case errors.Is(err, zk.ErrNoServer): // it never left
		case transient(err):
			sent = true
		default:
			return written{perhaps: sent, err: l.s.explain(path, err)}
		}
		select {
		case <-l.s.ended:
			return written{perhaps: sent, err: errSession}
		case <-l.stop:
			return written{perhaps: sent, err: err}
		case <-time.After(pause):
			pause = min(2*pause, longestPause)
		}
	}
}

// judge finds out whether an earlier try of a write that was refused had got through.
func (l *leadership) judge(path string, data []byte, sent bool, refusal error) written {
	if !sent {
		return written{err: refusal}
	}
	got, _, err := l.s.get(path)
	switch {
	case err == nil && bytes.Equal(got, data):
		return written{committed: true}
	case err == nil: // the place is taken, so it never can get through
		return written{err: refusal}
	default: // perhaps a later leader has put a snapshot in its place
		return written{perhaps: true, err: err}
	}
}

// run serves the reign until it ends. Its error ends Run.
func (l *leadership) run(ctx context.Context) error {
	lease := time.NewTimer(0)
	defer lease.Stop()
	for {
		over, _ := l.t.state()
		if over || ctx.Err() != nil {
			return nil
		}
		if !l.writing {
			l.next()
		}
		if l.snapshots == nil && (l.e.since >= l.e.cfg.SnapshotEvery || l.e.sinceBytes >= snapshotBytes || len(l.askers) > 0) {
			l.snapshot()
		}
		select {
		case <-ctx.Done():
		case <-l.t.wake:
		case <-l.s.ended:
			return errSession
		case <-lease.C:
			if !l.s.valid() {
				l.e.log.Warn("nothing heard of the ensemble: the reign ends before the session can", "reign", l.t.reign, "timeout", l.s.timeout())
				return nil
			}
			lease.Reset(time.Until(l.s.until()) + time.Millisecond)
		case w := <-l.results:
			l.writing = false
			if err := l.settle(w); err != nil || !w.committed {
				return err
			}
		case a := <-l.e.asks:
			l.askers = append(l.askers, a)
		case err := <-l.snapshots:
			l.snapshotDone(err)
		}
	}
}

// next begins to write what is queued.
func (l *leadership) next() {
	if l.batch = l.t.take(); len(l.batch) == 0 {
		return
	}
	entries, index := make([][]byte, len(l.batch)), l.e.applied+1
	for i, p := range l.batch {
		entries[i] = p.entry
		l.e.sinceBytes += len(p.entry)
	}
	l.writing = true
	go func() { l.results <- l.write(index, entries) }()
}

// settle applies what was committed and tells the outcomes. Its error ends the session or Run.
func (l *leadership) settle(w written) error {
	batch := l.batch
	l.batch = nil
	if !w.committed {
		outcome := election.ErrDeposed
		if w.perhaps {
			outcome = election.ErrUnknown
		}
		fail(batch, outcome)
		if errors.Is(w.err, zk.ErrBadVersion) || errors.Is(w.err, zk.ErrNodeExists) || transient(w.err) {
			l.e.log.Warn("another master leads", "reign", l.t.reign, "err", w.err)
			return nil
		}
		return w.err
	}
	for i, p := range batch {
		result, err := l.e.apply(p.entry)
		if err != nil {
			fail(batch[i:], election.ErrUnknown)
			return err
		}
		p.done(l.e.applied, result, nil)
	}
	return nil
}

func fail(batch []proposal, err error) {
	for _, p := range batch {
		p.done(0, nil, err)
	}
}

// close ends the reign and whatever it has under way.
func (l *leadership) close(ctx context.Context, err error) error {
	over, _ := l.t.state()
	inTime := err == nil && (over || ctx.Err() != nil) && l.s.valid() // resigned, or Run is to end
	l.t.end()
	l.e.setTerm(nil)
	_, resigned := l.t.state()
	for batch := l.t.take(); len(batch) > 0; batch = l.t.take() {
		fail(batch, election.ErrDeposed)
	}
	if l.writing && inTime {
		select {
		case w := <-l.results:
			l.writing = false
			err = errors.Join(err, l.settle(w))
		case <-time.After(orderly):
		}
	}
	close(l.stop)
	if l.writing { // the entries are applied when the log is read again, if they are there
		fail(l.batch, election.ErrUnknown)
	}
	if ctx.Err() != nil || err != nil {
		l.s.close()
	}
	if l.writing {
		<-l.results
	}
	if l.snapshots != nil {
		l.snapshotDone(<-l.snapshots)
	}
	l.served = append(l.served, l.askers...)
	l.askers = nil
	l.answer(election.ErrDeposed)
	close(l.t.gone)
	l.e.log.Info("reign ended", "reign", l.t.reign, "resigned", resigned)
	if err == nil && !resigned { // it was lost: others have time to take it
		err = l.pause(ctx)
	}
	return err
}
